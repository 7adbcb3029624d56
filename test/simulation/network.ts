/**
 * A network in memory: an engine whose connections run to simulated clients and mailhosts.
 *
 * Octets travel in order and in random pieces, each after a random while; either end may close, cut
 * or stop reading at any time. The clock is that of fake timers. As the real engines do, it calls
 * the handler only from its own events, gives a chunk for the time of the call alone (it is
 * overwritten after it), and is deaf on a connection that is gone.
 */

import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import type { CloseReason, ConnectionId, Engine, EngineHandler, Peer } from '../../src/io/engine.ts'
import type { Random } from '../support/random.ts'

/** What stands at the other end of a connection. */
export interface FarEnd {
  /** Octets of the proxy, latin1. */
  onText(text: string): void
  /** The proxy has closed, or reset. Last call. */
  onGone(isReset: boolean): void
}

/** Who takes connections at an address; undefined: refused; `silent`: nobody answers. */
export type Listener = (wire: Wire) => FarEnd | 'silent' | undefined

type State = 'waiting' | 'connecting' | 'open' | 'closing' | 'gone'

/** What a far end has sent. */
export type Item =
  | { readonly kind: 'octets'; readonly text: string; readonly onArrived?: () => void }
  | { readonly kind: 'end' }
  | { readonly kind: 'cut' }

/** A network as a world and its ledger use it. */
export interface WorldNetwork extends Engine {
  handler: EngineHandler | undefined
  /** Counts events: an order of things that happen in the same millisecond. */
  event: number
  /** Events and operations, for a failure's message. */
  readonly trace: readonly string[]
  /** Somebody takes connections there. */
  listen(address: string, listener: Listener): void
  /** A client has been accepted and greeted. */
  accept(peer: Peer, newFar: (wire: Wire) => FarEnd): Wire
  /** Something stands in the inbox. */
  pump(wire: Wire): void
}

/** One connection, as its far end and the ledger see it. */
export class Wire {
  readonly id: ConnectionId
  readonly peer: Peer | undefined
  far: FarEnd | undefined
  state: State = 'connecting'
  /** Everything that the proxy has sent, latin1. */
  written = ''
  /** Octets that the proxy was given. */
  arrived = 0
  /** The network's event in which the proxy lost or left the connection; 0 = not yet. */
  overAt = 0
  /** The far end reads no more: the proxy's octets pile up. */
  isStuck = false
  isPaused = false
  isOver = false
  outbox = ''
  isFlushing = false
  isDelivering = false
  readonly inbox: Item[] = []
  deadline: NodeJS.Timeout | undefined
  readonly #network: WorldNetwork

  constructor(network: WorldNetwork, id: ConnectionId, peer: Peer | undefined) {
    this.#network = network
    this.id = id
    this.peer = peer
  }

  /** The far end says something; `onArrived` when the proxy has it. */
  say(text: string, onArrived?: () => void): void {
    this.inbox.push({ kind: 'octets', text, ...(onArrived && { onArrived }) })
    this.#network.pump(this)
  }

  /** The far end says no more. */
  end(): void {
    this.inbox.push({ kind: 'end' })
    this.#network.pump(this)
  }

  /** The connection breaks, behind what was said. */
  cut(): void {
    this.inbox.push({ kind: 'cut' })
    this.#network.pump(this)
  }
}

/** The engine of one simulated thread. */
export class SimulatedNetwork implements WorldNetwork {
  readonly token = 0
  handler: EngineHandler | undefined
  event = 0
  readonly trace: string[] = []
  readonly #random: Random
  readonly #listeners = new Map<string, Listener>()
  readonly #wires = new Map<ConnectionId, Wire>()
  #live: Uint8Array | undefined
  #lastId = 0
  #onEmpty: (() => void) | undefined
  #clientDeadlineMs = 5_000

  constructor(random: Random) {
    this.#random = random
  }

  get backlogOctets(): number {
    return [...this.#wires.values()].reduce((sum, { outbox }) => sum + outbox.length, 0)
  }

  get connections(): number {
    return this.#wires.size
  }

  listen(address: string, listener: Listener): void {
    this.#listeners.set(address, listener)
  }

  accept(peer: Peer, newFar: (wire: Wire) => FarEnd): Wire {
    const wire = this.#add(peer)
    wire.state = 'waiting'
    wire.far = newFar(wire)
    this.deadline(wire.id, this.#clientDeadlineMs)
    return wire
  }

  connect(address: string, _port: number, timeoutMs: number): ConnectionId {
    const wire = this.#add(undefined)
    this.#later(wire, 5, () => {
      if (wire.state !== 'connecting') return
      const far = this.#listeners.get(address)?.(wire)
      if (far === undefined) this.#lose(wire, 'refused')
      else if (far === 'silent') setTimeout(() => this.#lose(wire, 'timeout'), timeoutMs)
      else {
        wire.far = far
        wire.state = 'open'
        this.handler?.onConnected(wire.id)
        this.pump(wire)
      }
    })
    return wire.id
  }

  send(id: ConnectionId, octets: Uint8Array): boolean {
    return this.sendText(id, Buffer.from(octets).toString('latin1'))
  }

  sendText(id: ConnectionId, text: string): boolean {
    const wire = this.#wires.get(id)
    if (wire?.state !== 'open') return true
    wire.written += text
    wire.outbox += text
    if (!wire.isFlushing) {
      wire.isOver = wire.isStuck || this.#random.chance(0.03)
      wire.isFlushing = true
      this.#later(wire, wire.isOver ? 60 : 3, () => this.#flush(wire))
    }
    return !wire.isOver && !wire.isStuck
  }

  forward(id: ConnectionId, start: number, end: number): boolean {
    const live = this.#live
    assert(live !== undefined && start < end && end <= live.length, 'inside the live chunk')
    return this.send(id, live.subarray(start, end))
  }

  untaken(id: ConnectionId): number {
    return this.#wires.get(id)?.outbox.length ?? 0
  }

  pause(id: ConnectionId): void {
    const wire = this.#wires.get(id)
    if (wire !== undefined) wire.isPaused = true
  }

  resume(id: ConnectionId): void {
    const wire = this.#wires.get(id)
    if (wire === undefined) return
    wire.isPaused = false
    this.pump(wire)
  }

  deadline(id: ConnectionId, afterMs: number): void {
    const wire = this.#wires.get(id)
    if (wire === undefined) return
    clearTimeout(wire.deadline)
    wire.deadline = undefined
    if (afterMs === 0) return
    wire.deadline = setTimeout(() => {
      if (!this.#firstSign(wire)) return
      this.event++
      this.handler?.onDeadline(id)
    }, afterMs)
  }

  clientDeadline(afterMs: number): void {
    this.#clientDeadlineMs = afterMs
  }

  close(id: ConnectionId): void {
    const wire = this.#wires.get(id)
    if (wire === undefined || wire.state === 'closing') return
    wire.state = 'closing'
    wire.overAt = ++this.event
    this.#later(wire, 5, () => {
      if (wire.outbox !== '' && !wire.isStuck) wire.far?.onText(wire.outbox)
      this.#lose(wire, 'closed')
    })
  }

  reset(id: ConnectionId): void {
    const wire = this.#wires.get(id)
    if (wire === undefined || wire.state === 'closing') return
    wire.state = 'closing'
    wire.overAt = ++this.event
    this.#later(wire, 1, () => this.#lose(wire, 'closed', true))
  }

  detach(): Socket | undefined {
    return undefined
  }

  stop(): Promise<void> {
    if (this.#wires.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onEmpty = resolve
    })
  }

  /** Gives the proxy what has come for it, one piece at a time. */
  pump(wire: Wire): void {
    const isReady = wire.state === 'open' || wire.state === 'waiting'
    if (wire.isDelivering || wire.isPaused || !isReady || wire.inbox.length === 0) return
    wire.isDelivering = true
    this.#later(wire, 4, () => {
      wire.isDelivering = false
      if (!wire.isPaused) this.#deliver(wire)
      this.pump(wire)
    })
  }

  #deliver(wire: Wire): void {
    const item = wire.inbox[0]
    if (item === undefined || !this.#firstSign(wire)) return
    this.event++
    wire.inbox.shift()
    if (item.kind === 'end') this.handler?.onEnd(wire.id)
    else if (item.kind === 'cut') this.#lose(wire, 'reset')
    else this.#deliverOctets(wire, item)
  }

  /** The first piece, and by chance some that follow it. */
  #deliverOctets(wire: Wire, first: Item & { readonly kind: 'octets' }): void {
    let { text } = first
    const taken = [first]
    for (let next = wire.inbox[0]; next?.kind === 'octets'; next = wire.inbox[0]) {
      if (this.#random.chance(0.4)) break
      text += next.text
      taken.push(next)
      wire.inbox.shift()
    }
    const chunk = Buffer.from(text, 'latin1')
    wire.arrived += chunk.length
    this.#live = chunk
    this.handler?.onData(wire.id, chunk, 0, chunk.length)
    this.#live = undefined
    // Whoever has kept a view of the chunk reads nonsense.
    chunk.fill(0x21)
    for (const { onArrived } of taken) onArrived?.()
  }

  #firstSign(wire: Wire): boolean {
    if (wire.state === 'waiting' && wire.peer !== undefined) {
      wire.state = 'open'
      this.deadline(wire.id, 0)
      this.handler?.onOpen(wire.id, wire.peer)
    }
    return wire.state === 'open'
  }

  #flush(wire: Wire): void {
    if (wire.state !== 'open' || wire.isStuck) return
    wire.isFlushing = false
    const { outbox } = wire
    wire.outbox = ''
    if (wire.isOver) {
      wire.isOver = false
      this.event++
      this.handler?.onDrain(wire.id)
    }
    wire.far?.onText(outbox)
  }

  #lose(wire: Wire, reason: CloseReason, isReset = false): void {
    if (wire.state === 'gone') return
    wire.state = 'gone'
    wire.overAt ||= ++this.event
    clearTimeout(wire.deadline)
    this.#wires.delete(wire.id)
    this.handler?.onClose(wire.id, reason)
    wire.far?.onGone(isReset)
    if (this.#wires.size === 0) this.#onEmpty?.()
  }

  #add(peer: Peer | undefined): Wire {
    const wire = new Wire(this, ++this.#lastId, peer)
    this.#wires.set(wire.id, wire)
    return wire
  }

  #later(wire: Wire, msMax: number, act: () => void): void {
    setTimeout(() => {
      if (wire.state !== 'gone') act()
    }, this.#random.below(msMax))
  }
}
