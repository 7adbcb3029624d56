/**
 * Session: one TLS connection and the calls that wait for it.
 *
 * Two lanes, one call at a time in each: writes are whole and never interleaved, reads are answered
 * one after the other, and a read that waits stops no write. The lanes belong to whoever has the
 * turn: all callers together, or one lease (group.ts); calls of the others wait in their own lanes.
 * The same class stands below the sessions of an application's own process and the shared ones.
 *
 * Invariants: every call is answered exactly once; when the connection ends, every waiting call is
 * answered with its end, reads after what was still received. A writer that goes away in the middle
 * of a write ends the connection: nobody could tell where the half message stops.
 */
import type tls from 'node:tls'
import { tlsQueueCallsMax, tlsReconnectPauseMs } from '../base/limits.ts'
import {
  emptyRead,
  failure,
  type NewOptions,
  type Outcome,
  type ReadOutcome,
  success,
} from './api.ts'
import type { ClientListener } from './client-listener.ts'
import { timedOut } from './fault.ts'
import { Link } from './link.ts'
import { CallQueue, type Discipline } from './queue.ts'

/** Whom a call belongs to: compared by identity only. */
export type Holder = object

/** Octets of a write, and who waits for them to be taken. */
export interface WritePart {
  readonly octets: Uint8Array
  readonly done: (outcome: Outcome) => void
}

/** A write: one part, or several that arrive one by one. */
export interface WriteCall {
  readonly holder: Holder
  readonly parts: WritePart[]
  /** No further part comes. */
  isClosed: boolean
}

/** A read that waits. */
export interface ReadCall {
  readonly holder: Holder
  readonly octetsMax: number
  readonly done: (outcome: ReadOutcome) => void
}

/** Calls that wait for one turn. */
export class Lanes {
  readonly writers: CallQueue<WriteCall>
  readonly readers: CallQueue<ReadCall>
  /** Something was written in this turn. */
  hasWritten = false

  constructor(discipline: Discipline) {
    this.writers = new CallQueue(discipline, tlsQueueCallsMax)
    this.readers = new CallQueue(discipline, tlsQueueCallsMax)
  }

  /** No call waits. */
  get isEmpty(): boolean {
    return this.writers.size === 0 && this.readers.size === 0
  }

  /** Answers every call that waits. */
  answerAll(outcome: Outcome): void {
    for (let call = this.writers.shift(); call !== undefined; call = this.writers.shift()) {
      answerParts(call, outcome)
    }
    this.answerReaders(outcome)
  }

  /** Answers every read that waits. */
  answerReaders(outcome: Outcome): void {
    for (let call = this.readers.shift(); call !== undefined; call = this.readers.shift()) {
      call.done(emptyRead(outcome))
    }
  }
}

/** What a session tells its group. */
export interface SessionEvents {
  /** Octets are there and nobody waits for them. */
  onUnclaimed(): void
  /** The next common write may begin, unless a lease comes before it. */
  onFree(): void
  /** No call of the turn is left, or the connection ended. */
  onSettled(): void
}

const notConnected = failure('syscall', 'the session is not connected')
const queueFull = failure('refused', `more than ${tlsQueueCallsMax} calls wait for the session`)
const freed = failure('badToken', 'the handle was freed')
/** How a read ends that would have to wait. */
export const wouldRead = emptyRead(failure('wantRead', 'nothing to read yet'))
/** How a write ends that would have to wait. */
export const wouldWrite = failure('wantWrite', 'the session is busy')

/** One connection, opened again when asked after it ended. */
export class Session {
  readonly options: NewOptions
  /** Calls outside any lease. */
  readonly commonLanes: Lanes
  /** Have the turn while nobody's calls may be served: between two tenants. Always empty. */
  readonly noLanes = new Lanes({ kind: 'fifo' })
  handshakes = 0
  octetsIn = 0
  octetsOut = 0
  /** When it was last used, on the clock of `performance.now()`. */
  usedAtMs = performance.now()
  readonly #events: SessionEvents
  #turn: Lanes
  #link: Link | undefined
  #opening: Promise<Outcome> | undefined
  #ticket: Buffer | undefined
  #end: Outcome = notConnected
  #failedAtMs = Number.NEGATIVE_INFINITY
  #active: WriteCall | undefined
  #blocked: WritePart | undefined
  #stallTimer: NodeJS.Timeout | undefined

  constructor(options: NewOptions, discipline: Discipline, events: SessionEvents) {
    this.options = options
    this.#events = events
    this.commonLanes = new Lanes(discipline)
    this.#turn = this.commonLanes
  }

  get isOpen(): boolean {
    return this.#link?.isOpen === true
  }

  get isOpening(): boolean {
    return this.#opening !== undefined
  }

  /** No call is being served or waits in the lanes that have the turn. */
  get isSettled(): boolean {
    return this.#isWritten && this.#turn.readers.size === 0
  }

  /** A lease may have it: in common use, no write going on, and none before the lease's. */
  isFreeFor(leases: CallQueue<unknown>): boolean {
    const isCommon = this.#active === undefined && this.#turn === this.commonLanes
    return isCommon && !this.commonLanes.writers.isBefore(leases)
  }

  /** A write has begun and is not done. */
  get isWriting(): boolean {
    return this.#active !== undefined
  }

  get #isWritten(): boolean {
    return this.#active === undefined && this.#turn.writers.size === 0
  }

  /** Octets that a read would give at once. */
  get pending(): number {
    return this.#link?.buffered ?? 0
  }

  /** What was agreed in the last handshake. */
  get link(): Link | undefined {
    return this.#link
  }

  /** Whose calls are being served. */
  get turn(): Lanes {
    return this.#turn
  }

  /** Gives the turn to other lanes; the calls that wait in them are served from now on. */
  setTurn(lanes: Lanes): void {
    this.#turn = lanes
    this.#serve()
  }

  /** Connects, where it is not connected: callers at the same time share one handshake. */
  open(contextOf: () => tls.SecureContext): Promise<Outcome> {
    return this.#openBy((link) => link.open(contextOf(), this.#ticket))
  }

  /** Takes the listener's next client. */
  accept(listener: ClientListener): Promise<Outcome> {
    return this.#openBy((link) => link.openAccepted(listener))
  }

  /** Takes a write, or a further part of one that has begun. */
  write(lanes: Lanes, call: WriteCall, priority: number, wait: boolean): void {
    this.usedAtMs = performance.now()
    const isFirst = lanes === this.#turn && this.#isWritten && this.isOpen
    if (isFirst) {
      this.#active = call
      this.#proceed()
    } else if (!this.isOpen && !this.isOpening) answerParts(call, this.#end)
    else if (!wait) answerParts(call, wouldWrite)
    else if (!lanes.writers.push(call, priority, this.usedAtMs)) answerParts(call, queueFull)
  }

  /** More parts were added to a call that `write` has taken. */
  continueWrite(call: WriteCall): void {
    if (this.#active === call && this.#blocked === undefined) this.#proceed()
    else if (!this.isOpen && !this.isOpening) answerParts(call, this.#end)
  }

  /** Takes a read. */
  read(lanes: Lanes, call: ReadCall, priority: number, wait: boolean): void {
    this.usedAtMs = performance.now()
    const isFirst = lanes === this.#turn && lanes.readers.size === 0
    if (isFirst && this.#serveRead(call)) return
    if (!wait) call.done(wouldRead)
    else if (!lanes.readers.push(call, priority, this.usedAtMs)) call.done(emptyRead(queueFull))
  }

  /** Ends the calls of a holder that is gone. What was read for nobody stays for the next. */
  forget(holder: Holder): void {
    const { writers, readers } = this.commonLanes
    for (const call of writers.remove((one) => one.holder === holder)) answerParts(call, freed)
    for (const call of readers.remove((one) => one.holder === holder)) call.done(emptyRead(freed))
    if (this.#active?.holder === holder && !this.#active.isClosed) void this.#link?.destroy()
  }

  /** An SMTP command between two tenants. @returns the code of the reply, 0 for none. */
  ask(command: string): Promise<number> {
    return this.#link?.ask(command) ?? Promise.resolve(0)
  }

  /** Ends the connection with close-notify (and QUIT); resolves when it is over. */
  async close(): Promise<void> {
    await this.#link?.close()
  }

  /** Ends the connection at once, with what has come on it; resolves when it is over. */
  async destroy(): Promise<void> {
    this.#link?.discard()
    await this.#link?.destroy()
  }

  #openBy(open: (link: Link) => Promise<Outcome>): Promise<Outcome> {
    if (this.isOpen) return Promise.resolve(success)
    if (this.#opening !== undefined) return this.#opening
    if (performance.now() - this.#failedAtMs < tlsReconnectPauseMs) {
      return Promise.resolve(this.#end)
    }
    const link = new Link(this.options, {
      onReadable: () => this.#serveReaders(),
      onDrain: () => this.#onDrain(),
      onEnd: (outcome) => this.#onEnd(outcome),
      onTicket: (ticket) => {
        this.#ticket = ticket
      },
    })
    this.#link = link
    this.#opening = open(link).then((outcome) => this.#opened(outcome))
    return this.#opening
  }

  #opened(outcome: Outcome): Outcome {
    this.#opening = undefined
    this.usedAtMs = performance.now()
    if (outcome.code !== 'none') {
      this.#failedAtMs = this.usedAtMs
      this.#onEnd(outcome)
      return outcome
    }
    this.handshakes++
    this.#serve()
    return outcome
  }

  #serve(): void {
    this.#nextWrite()
    this.#serveReaders()
    // Reads that came while another had the turn, behind a connection that had ended by then.
    if (!this.isOpen && !this.isOpening) this.#turn.answerAll(this.#end)
  }

  #nextWrite(): void {
    // Not from inside the write before: a long row of short ones must not grow the stack.
    while (this.#active === undefined) {
      if (this.#turn === this.commonLanes) this.#events.onFree()
      if (this.#active !== undefined || !this.isOpen) return
      const next = this.#turn.writers.shift()
      if (next === undefined) {
        this.#events.onSettled()
        return
      }
      this.#active = next
      this.#pump()
    }
  }

  /** Goes on with the active write, then with those behind it. */
  #proceed(): void {
    this.#pump()
    this.#nextWrite()
  }

  /** Sends the parts of the active write, until one must wait or the write is done. */
  #pump(): void {
    const call = this.#active
    const link = this.#link
    if (call === undefined || link === undefined) return
    this.#turn.hasWritten = true
    for (let part = call.parts.shift(); part !== undefined; part = call.parts.shift()) {
      this.octetsOut += part.octets.length
      if (!link.write(part.octets)) {
        this.#blocked = part
        this.#watchStall(link)
        return
      }
      part.done(success)
    }
    if (call.isClosed) this.#active = undefined
  }

  /** One timer for many parts: most are taken long before it, and each costs nothing. */
  #watchStall(link: Link): void {
    const { stallMs } = this.options
    if (stallMs === undefined || this.#stallTimer !== undefined) return
    const part = this.#blocked
    this.#stallTimer = setTimeout(() => {
      this.#stallTimer = undefined
      if (this.#blocked === undefined || this.#link === undefined) return
      if (this.#blocked === part) void link.destroy(timedOut('a write', stallMs))
      else this.#watchStall(this.#link)
    }, stallMs).unref()
  }

  #onDrain(): void {
    const part = this.#blocked
    if (part === undefined) return
    this.#blocked = undefined
    part.done(success)
    this.#proceed()
  }

  #serveReaders(): void {
    const { readers } = this.#turn
    const had = readers.size
    while (readers.size > 0 && this.pending > 0) {
      const call = readers.shift()
      if (call !== undefined) this.#serveRead(call)
    }
    if (had > 0 && this.isSettled) this.#events.onSettled()
    if (this.pending > 0) this.#events.onUnclaimed()
  }

  /** Answers a read if it need not wait. */
  #serveRead(call: ReadCall): boolean {
    const data = this.#link?.take(call.octetsMax)
    if (data !== undefined) {
      this.octetsIn += data.length
      call.done({ code: 'none', message: '', data })
      return true
    }
    if (this.isOpen || this.isOpening) return false
    call.done(emptyRead(this.#end))
    return true
  }

  #onEnd(outcome: Outcome): void {
    this.#end = outcome
    const blocked = this.#blocked
    const active = this.#active
    this.#blocked = undefined
    this.#active = undefined
    blocked?.done(outcome)
    if (active !== undefined) answerParts(active, outcome)
    this.#serveReaders()
    this.#turn.answerAll(outcome)
    if (this.#turn !== this.commonLanes) this.commonLanes.answerAll(outcome)
    this.#events.onSettled()
    this.#events.onFree()
  }
}

/** Ends a write: every part that was not taken is answered. */
export function answerParts(call: WriteCall, outcome: Outcome): void {
  call.isClosed = true
  for (let part = call.parts.shift(); part !== undefined; part = call.parts.shift()) {
    part.done(outcome)
  }
}
