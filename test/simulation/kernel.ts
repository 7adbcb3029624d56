/**
 * The kernel's side of the simulated wake-ups (wake-ups.ts): what lies in the buffers of each
 * socket, when it can be read and written, and how a connection ends, as native/engine does it.
 */
import type { CloseReason, ConnectionId } from '../../src/io/engine.ts'
import type { Pass } from '../../src/io/socket-pass.ts'
import type { Random } from '../support/random.ts'
import { type Item, type Listener, Wire } from './network.ts'

/** Above it `send` answers false, and nothing passes. */
export const highOctets = 3_000
const lowOctets = 500
const flushMs = 30_000

/** What has come, and when. */
export interface Arrival {
  readonly item: Item
  readonly atMs: number
}

/** A connection and what the kernel and the native engine know of it. */
export class Line extends Wire {
  readonly arrivals: Arrival[] = []
  arrivesAtMs = 0
  /** The handler has ended it or was told of its end. */
  isDead = false
  isSlow = false
  hasPeerEnded = false
  backlog = ''
  /** Backlog and what no operation has brought there yet. */
  queued = 0
  isOverHighMark = false
  wantsDrain = false
  writableAtMs = 0
  deadlineAtMs = 0
  connectAtMs = 0
  connectFailsAtMs = 0
  address = ''
  pass: Pass | undefined
  reason: CloseReason = 'reset'
  farAtMs = 0
  isCutOff = false
}

/** Told one round later than what it comes from. */
type Pending = 'open' | 'drain' | 'deadline' | 'close'

/** What the handler is told. */
export type Event =
  | { readonly kind: 'open' | 'connected' | 'drain' | 'end' | 'deadline' | 'close'; line: Line }
  | { readonly kind: 'data'; line: Line; chunk: Uint8Array; items: readonly Item[] }
  | { readonly kind: 'passed'; line: Line; pass: Pass; silentMs: number }

/** The sockets of one simulated engine. */
export class Kernel {
  readonly lines = new Map<ConnectionId, Line>()
  readonly pending: { readonly kind: Pending; readonly line: Line }[] = []
  /** What has come by now can be seen. */
  horizonMs = 0
  /** What the handler is told next. */
  readonly events: Event[] = []
  readonly listeners = new Map<string, Listener>()
  isSweepDue = false
  readonly trace: string[]
  readonly #random: Random
  readonly #onSign: () => void

  /** @param onSign something can be read, written or told. */
  constructor(random: Random, trace: string[], onSign: () => void) {
    this.#random = random
    this.trace = trace
    this.#onSign = onSign
  }

  collect(): void {
    this.#deliverPending()
    const ready: (Line | 'sweep')[] = [...this.lines.values()].filter((one) => this.isReady(one))
    if (this.isSweepDue) ready.push('sweep')
    this.isSweepDue = false
    while (ready.length > 0) {
      const [one] = ready.splice(this.#random.below(ready.length), 1)
      if (one === 'sweep') this.sweep()
      else if (one !== undefined && !this.#random.chance(0.1)) this.#handle(one)
    }
    if (this.events.length === 0) this.#deliverPending()
  }

  #handle(line: Line): void {
    if (line.state === 'connecting') {
      this.#handleConnecting(line)
      return
    }
    const isBroken = this.isBroken(line)
    if (this.isWritable(line) && !(isBroken && line.state === 'open')) this.flush(line)
    const [first] = line.arrivals
    if (first === undefined || first.atMs > this.horizonMs || line.state === 'gone') return
    if (line.state === 'closing') {
      line.arrivals.length = 0
      if (isBroken) this.finish(line, 'reset')
    } else if (line.isPaused) {
      if (isBroken) this.finish(line, 'reset')
    } else this.#read(line, first)
  }

  #handleConnecting(line: Line): void {
    const far = this.listeners.get(line.address)?.(line)
    line.connectAtMs = Number.POSITIVE_INFINITY
    if (far === undefined) this.finish(line, 'refused')
    else if (far !== 'silent') {
      line.far = far
      line.state = 'open'
      this.events.push({ kind: 'connected', line })
      if (line.backlog !== '') this.flush(line)
    }
  }

  /** One read: octets as far as they have come, or the end, or the error. */
  #read(line: Line, first: Arrival): void {
    if (first.item.kind === 'cut') {
      this.finish(line, 'reset')
      return
    }
    const items: Item[] = []
    let text = ''
    for (let next = line.arrivals[0]; next !== undefined; next = line.arrivals[0]) {
      if (next.atMs > this.horizonMs || next.item.kind !== 'octets') break
      text += next.item.text
      items.push(next.item)
      line.arrivals.shift()
    }
    const chunk = Buffer.from(text, 'latin1')
    if (text !== '' && this.#passOn(line, chunk)) return
    this.#endPass(line)
    if (line.state === 'waiting') this.#tellOpen(line)
    if (text !== '') this.events.push({ kind: 'data', line, chunk, items })
    else {
      line.arrivals.shift()
      line.hasPeerEnded = true
      this.events.push({ kind: 'end', line })
    }
  }

  #passOn(line: Line, chunk: Uint8Array): boolean {
    const { pass } = line
    const target = pass === undefined ? undefined : this.lines.get(pass.target)
    if (pass === undefined || target?.state !== 'open') return false
    if (target.backlog.length > highOctets) return false
    const octets = pass.take(chunk)
    if (octets === undefined) return false
    line.arrived += chunk.length
    target.queued += octets.length
    this.trace.push(`  ${line.id} ${chunk.length} octets pass to ${target.id}`)
    if (octets.length > 0) this.write(target, Buffer.from(octets).toString('latin1'))
    return true
  }

  #endPass(line: Line): void {
    const { pass } = line
    line.pass = undefined
    if (pass === undefined) return
    this.events.push({ kind: 'passed', line, pass, silentMs: pass.silentMs })
  }

  #tellOpen(line: Line): void {
    line.state = 'open'
    line.deadlineAtMs = 0
    this.events.push({ kind: 'open', line })
  }

  #deliverPending(): void {
    for (const { kind, line } of this.pending.splice(0)) {
      this.#endPass(line)
      if (kind === 'open') {
        if (line.state !== 'waiting') continue
        this.#tellOpen(line)
        this.events.push({ kind: 'deadline', line })
      } else if (kind === 'close' || line.state === 'open') this.events.push({ kind, line })
    }
  }

  isReady(line: Line): boolean {
    if (line.state === 'gone') return false
    if (line.state === 'connecting') return line.connectAtMs <= this.horizonMs
    if (this.isBroken(line) || this.isWritable(line)) return true
    const [first] = line.arrivals
    return first !== undefined && first.atMs <= this.horizonMs && !line.isPaused
  }

  isWritable({ backlog, isStuck, writableAtMs }: Line): boolean {
    return backlog !== '' && !isStuck && writableAtMs <= this.horizonMs
  }

  isBroken({ arrivals }: Line): boolean {
    return arrivals.some(({ item, atMs }) => item.kind === 'cut' && atMs <= this.horizonMs)
  }

  sweep(): void {
    for (const line of this.lines.values()) {
      const { state } = line
      if (state === 'connecting' && line.connectFailsAtMs <= this.horizonMs) {
        this.finish(line, 'timeout')
      }
      if (line.deadlineAtMs === 0 || line.deadlineAtMs > this.horizonMs) continue
      line.deadlineAtMs = 0
      if (state === 'waiting') this.pending.push({ kind: 'open', line })
      else if (state === 'open') this.pending.push({ kind: 'deadline', line })
      else if (state === 'closing') this.finish(line, 'closed')
    }
  }

  write(line: Line, text: string): void {
    const wasEmpty = line.backlog === ''
    line.backlog += text
    if (line.state !== 'open' || !wasEmpty) return
    if (this.isBroken(line)) this.finish(line, 'reset')
    else this.flush(line)
  }

  /** The kernel takes what it has room for. */
  flush(line: Line): void {
    const most = line.isSlow ? this.#random.below(2_000) : line.backlog.length
    const taken = line.isStuck ? '' : line.backlog.slice(0, most)
    line.backlog = line.backlog.slice(taken.length)
    line.queued -= taken.length
    if (taken !== '') this.carry(line, () => line.far?.onText(taken))
    if (line.backlog !== '') {
      const afterMs = this.#random.below(40)
      line.writableAtMs = Date.now() + afterMs
      setTimeout(() => this.#onSign(), afterMs)
    } else if (line.state === 'closing') this.afterFlush(line, false)
    if (line.state === 'open') this.checkDrain(line)
  }

  checkDrain(line: Line): void {
    if (!line.wantsDrain || line.backlog.length > lowOctets) return
    line.wantsDrain = false
    this.pending.push({ kind: 'drain', line })
  }

  closePolitely(line: Line, isDone: boolean): void {
    line.reason = line.hasPeerEnded ? 'ended' : 'closed'
    if (line.state === 'connecting') {
      this.finish(line, 'closed')
      return
    }
    line.state = 'closing'
    line.isPaused = false
    line.deadlineAtMs = Date.now() + flushMs
    if (line.backlog === '') this.afterFlush(line, isDone)
  }

  afterFlush(line: Line, isDone: boolean): void {
    if (isDone || line.hasPeerEnded) this.finish(line, line.reason)
    else setTimeout(() => this.finish(line, line.reason), this.#random.below(5))
  }

  finish(line: Line, reason: CloseReason, isReset = false): void {
    const { state } = line
    if (state === 'gone') return
    if (state !== 'closing') line.reason = reason
    line.state = 'gone'
    line.backlog = ''
    line.queued = 0
    line.deadlineAtMs = 0
    this.carry(line, () => line.far?.onGone(isReset), true)
    if (state === 'waiting') {
      line.isDead = true
      this.lines.delete(line.id)
    } else this.pending.push({ kind: 'close', line })
    this.#onSign()
  }

  /** To the far end, in order, after a while. */
  carry(line: Line, act: () => void, isLast = false): void {
    line.farAtMs = Math.max(line.farAtMs, Date.now() + this.#random.below(4))
    setTimeout(() => {
      if (isLast || !line.isCutOff) act()
    }, line.farAtMs - Date.now())
  }
}
