/**
 * A network in memory whose engine works in wake-ups, as the native one does (native/engine).
 *
 * What has come for all sockets by one moment is collected, one read a socket and round, in an
 * order that the seed permutes; the handler gets it in one batch, and what it does is carried out
 * behind the batch. So events that stand in a batch are told although the handler has paused their
 * socket, set its deadline anew, or ended another one meanwhile; of a socket that it has ended
 * itself nothing is told but the close. Closes, drains and deadlines come one round later than what
 * they come from. What is done outside a wake-up is carried out before or behind the next batch.
 */
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import type { ConnectionId, EngineHandler, Peer } from '../../src/io/engine.ts'
import { Pass } from '../../src/io/socket-pass.ts'
import type { Random } from '../support/random.ts'
import { type Event, highOctets, Kernel, Line } from './kernel.ts'
import type { FarEnd, Item, Listener, Wire, WorldNetwork } from './network.ts'

const textHighOctets = 1_000
const roundsMax = 16
const sweepMs = 500

type Kind = 'send' | 'pause' | 'resume' | 'deadline' | 'drain' | 'close' | 'reset'

interface Operation {
  readonly kind: Kind
  readonly line: Line
  readonly text: string
  readonly value: number
}

/** The engine of one simulated thread. */
export class WakeUpNetwork implements WorldNetwork {
  readonly token = 0
  handler: EngineHandler | undefined
  event = 0
  readonly trace: string[] = []
  readonly #random: Random
  readonly #wakeMsMax: number
  readonly #gapMsMax: number
  readonly #kernel: Kernel
  readonly #sweeper: NodeJS.Timeout
  #operations: Operation[] = []
  #live: { id: ConnectionId; chunk: Uint8Array } | undefined
  #lastId = 0
  #isInTurn = false
  #isWakeDue = false
  #isFlushDue = false
  #isStopping = false
  #onEmpty: (() => void) | undefined
  #clientDeadlineMs = 5_000

  constructor(random: Random) {
    this.#random = random
    this.#kernel = new Kernel(random, this.trace, () => this.#wake())
    this.#gapMsMax = random.pick([4, 20, 60])
    this.#wakeMsMax = random.pick([1, 5, 30, 120])
    this.#sweeper = setInterval(() => {
      this.#kernel.isSweepDue = true
      this.#wake()
    }, sweepMs)
  }

  get connections(): number {
    return [...this.#kernel.lines.values()].filter(({ state }) => state !== 'gone').length
  }

  get backlogOctets(): number {
    return [...this.#kernel.lines.values()].reduce((sum, { queued }) => sum + queued, 0)
  }

  listen(address: string, listener: Listener): void {
    this.#kernel.listeners.set(address, listener)
  }

  accept(peer: Peer, newFar: (wire: Wire) => FarEnd): Wire {
    const line = this.#add(peer)
    line.state = 'waiting'
    line.far = newFar(line)
    line.deadlineAtMs = Date.now() + this.#clientDeadlineMs
    // The gate gives a client to no engine that stops.
    if (this.#isStopping) this.#kernel.finish(line, 'reset')
    return line
  }

  connect(address: string, _port: number, timeoutMs: number): ConnectionId {
    const line = this.#add(undefined)
    line.address = address
    line.connectFailsAtMs = Date.now() + timeoutMs
    line.connectAtMs = Date.now() + this.#random.below(5)
    setTimeout(() => this.#wake(), line.connectAtMs - Date.now())
    return line.id
  }

  send(id: ConnectionId, octets: Uint8Array): boolean {
    return this.#queue(id, Buffer.from(octets).toString('latin1'), highOctets)
  }

  sendText(id: ConnectionId, text: string): boolean {
    return this.#queue(id, text, textHighOctets)
  }

  forward(id: ConnectionId, start: number, end: number): boolean {
    const chunk = this.#live?.chunk
    assert(chunk !== undefined && start < end && end <= chunk.length, 'inside the live chunk')
    return this.send(id, chunk.subarray(start, end))
  }

  pass(source: ConnectionId, target: ConnectionId, scanState: number, octetsMax: number): void {
    const line = this.#liveLine(source)
    if (line === undefined || this.#live?.id !== source || octetsMax <= 0) return
    if (this.#liveLine(target) !== undefined) line.pass = new Pass(target, scanState, octetsMax)
  }

  pause(id: ConnectionId): void {
    this.#act('pause', id)
  }

  resume(id: ConnectionId): void {
    this.#act('resume', id)
  }

  deadline(id: ConnectionId, afterMs: number): void {
    this.#act('deadline', id, afterMs)
  }

  close(id: ConnectionId, isDone = false): void {
    this.#end('close', id, isDone ? 1 : 0)
  }

  reset(id: ConnectionId): void {
    this.#end('reset', id, 0)
  }

  detach(): Socket | undefined {
    return undefined
  }

  untaken(id: ConnectionId): number {
    return this.#liveLine(id)?.queued ?? 0
  }

  clientDeadline(afterMs: number): void {
    this.#clientDeadlineMs = afterMs
  }

  stop(): Promise<void> {
    this.#isStopping = true
    for (const line of this.#kernel.lines.values()) {
      if (line.state === 'waiting') this.#kernel.pending.push({ kind: 'open', line })
    }
    return new Promise((resolve) => {
      this.#onEmpty = resolve
      this.#makeFlushDue()
    })
  }

  /** The far end has said something: it comes after a while, behind what it said before. */
  pump(wire: Wire): void {
    const line = wire as Line
    for (const item of line.inbox.splice(0)) {
      const afterMs = this.#random.below(this.#random.chance(0.1) ? 200 : this.#gapMsMax)
      line.arrivesAtMs = Math.max(line.arrivesAtMs, Date.now()) + afterMs
      line.arrivals.push({ item, atMs: line.arrivesAtMs })
      setTimeout(() => this.#wake(), line.arrivesAtMs - Date.now())
    }
  }

  #wake(): void {
    if (this.#isWakeDue) return
    this.#isWakeDue = true
    setTimeout(() => {
      this.#isWakeDue = false
      this.#turn(false)
    }, this.#random.below(this.#wakeMsMax))
  }

  #makeFlushDue(): void {
    if (this.#isFlushDue) return
    this.#isFlushDue = true
    setTimeout(() => {
      this.#isFlushDue = false
      this.#turn(true)
    }, this.#random.below(2))
  }

  /** A descriptor's wake-up collects before it carries out what was done outside. */
  #turn(isFlush: boolean): void {
    this.#isInTurn = true
    this.#kernel.horizonMs = Date.now()
    if (isFlush) this.#execute()
    this.#kernel.collect()
    for (let round = 1; this.#kernel.events.length > 0; round++) {
      const from = isFlush ? 'flush' : 'wake-up'
      this.trace.push(`${Date.now() % 1e6} ${from}, round ${round}`)
      for (const event of this.#kernel.events.splice(0)) this.#dispatch(event)
      this.#execute()
      if (round === roundsMax) break
      this.#kernel.horizonMs += this.#random.below(3)
      this.#kernel.collect()
    }
    this.#execute()
    this.#isInTurn = false
    if (this.#kernel.pending.length > 0) this.#makeFlushDue()
    else if (this.#onEmpty !== undefined && this.connections === 0) {
      clearInterval(this.#sweeper)
      this.#onEmpty()
    }
    if ([...this.#kernel.lines.values()].some((line) => this.#kernel.isReady(line))) this.#wake()
  }

  #dispatch(event: Event): void {
    const { line, kind } = event
    const { id } = line
    const { handler } = this
    if (kind !== 'close' && line.isDead) return
    this.event++
    this.trace.push(`  ${id} ${kind}${tellOf(event)}`)
    switch (event.kind) {
      case 'open':
        assert(line.peer !== undefined)
        handler?.onOpen(id, line.peer)
        break
      case 'data':
        this.#dispatchData(line, event.chunk, event.items)
        break
      case 'passed':
        handler?.onPassed?.(id, event.pass.octets, event.pass.scanState, event.silentMs)
        break
      case 'connected':
        handler?.onConnected(id)
        break
      case 'drain':
        line.isOverHighMark = false
        handler?.onDrain(id)
        break
      case 'end':
        handler?.onEnd(id)
        break
      case 'deadline':
        handler?.onDeadline(id)
        break
      case 'close':
        line.isDead = true
        line.overAt ||= this.event
        this.#kernel.lines.delete(id)
        handler?.onClose(id, line.reason)
    }
  }

  #dispatchData(line: Line, chunk: Uint8Array, items: readonly Item[]): void {
    line.arrived += chunk.length
    for (const item of items) if (item.kind === 'octets') item.onArrived?.()
    this.#live = { id: line.id, chunk }
    this.handler?.onData(line.id, chunk, 0, chunk.length)
    this.#live = undefined
    // Whoever has kept a view of the chunk reads nonsense.
    chunk.fill(0x21)
  }

  #queue(id: ConnectionId, text: string, mark: number): boolean {
    const line = this.#liveLine(id)
    if (line === undefined || text === '') return true
    line.written += text
    line.queued += text.length
    this.#push('send', line, 0, text)
    if (line.queued <= mark) return true
    if (!line.isOverHighMark) this.#push('drain', line, 0)
    line.isOverHighMark = true
    return false
  }

  #liveLine(id: ConnectionId): Line | undefined {
    const line = this.#kernel.lines.get(id)
    return line === undefined || line.isDead ? undefined : line
  }

  #act(kind: Kind, id: ConnectionId, value = 0): void {
    const line = this.#liveLine(id)
    if (line !== undefined) this.#push(kind, line, value)
  }

  #end(kind: 'close' | 'reset', id: ConnectionId, value: number): void {
    const line = this.#liveLine(id)
    if (line === undefined) return
    this.#push(kind, line, value)
    line.isDead = true
    line.overAt = ++this.event
  }

  #push(kind: Kind, line: Line, value: number, text = ''): void {
    const words = text === '' ? `${value}` : JSON.stringify(text.slice(0, 60))
    this.trace.push(`    ${line.id} ${kind} ${words}`)
    this.#operations.push({ kind, line, value, text })
    if (!this.#isInTurn) this.#makeFlushDue()
    // The list is full, or a long text went by it.
    if (this.#random.chance(0.02)) this.#execute()
  }

  #execute(): void {
    for (const { kind, line, value, text } of this.#operations.splice(0)) {
      if (line.state !== 'open' && line.state !== 'connecting') continue
      if (kind === 'send') this.#kernel.write(line, text)
      else if (kind === 'pause') line.isPaused = true
      else if (kind === 'resume') line.isPaused = false
      else if (kind === 'deadline' && line.state === 'open') {
        line.deadlineAtMs = value === 0 ? 0 : Date.now() + value
      } else if (kind === 'drain') {
        line.wantsDrain = true
        this.#kernel.checkDrain(line)
      } else if (kind === 'close') this.#kernel.closePolitely(line, value === 1)
      else if (kind === 'reset') {
        line.isCutOff = this.#random.chance(0.5)
        this.#kernel.finish(line, 'closed', true)
      }
    }
  }

  #add(peer: Peer | undefined): Line {
    const line = new Line(this, ++this.#lastId, peer)
    line.isSlow = this.#random.chance(0.1)
    this.#kernel.lines.set(line.id, line)
    return line
  }
}

function tellOf(event: Event): string {
  if (event.kind === 'passed') return ` ${event.pass.octets}`
  if (event.kind === 'close') return ` ${event.line.reason}`
  if (event.kind !== 'data') return ''
  const text = Buffer.from(event.chunk).toString('latin1')
  return ` ${text.length} ${JSON.stringify(text.slice(0, 100))}`
}
