/**
 * Credit: what an application may have unanswered at its daemon, and how its sessions share that.
 *
 * The daemon closes a client that passes its credit, so calls wait here: those of a session in its
 * Lane, in order. A read that waits for its peer, or a write that its peer does not take, keeps its
 * credit for as long; it must stop no other session (A12):
 * - A session's writes, but for one, have no more unanswered than an eighth of what is left: a
 *   score of sessions that are stuck leave room for the next.
 * - A read asks for no more than leaves room for writes; it may answer less than was wanted. The
 *   last calls are for writes and ends of leases: what others wait for.
 * - A read goes before its session's writes that wait: a peer that echoes is read, else it would
 *   take nothing more.
 * - A lease that ends as broken waits for none of its own calls: those that were not sent end here.
 *   Else a peer that takes nothing would keep it from ending.
 *
 * Pure.
 */
import {
  tlsDataOctetsMax,
  tlsReadOctetsMin,
  tlsWriteReserveCalls,
  tlsWriteReserveOctets,
} from '../base/limits.ts'
import { chargeOf } from './charge.ts'
import { callKinds } from './wire.ts'

/** A call as a channel sends it. */
export interface ChannelCall {
  readonly kind: number
  readonly flags: number
  readonly priority: number
  readonly lease: number
  /** What the body begins with. */
  readonly head: Uint8Array
  /** A read: octets that the answer may hold, sent behind `head`; else −1. */
  readonly readOctets: number
  /** What the body ends with. */
  readonly data: Uint8Array
  /** The session's; undefined: the call is none of a session. */
  readonly lane: Lane | undefined
}

/** A call that waits: to be sent, or for its answer. */
export interface WaitingCall {
  call: ChannelCall
}

/** The calls of one session that wait for credit, and what its writes have of it. */
export class Lane<Waiting extends WaitingCall = WaitingCall> {
  /** Writes without an answer. */
  calls = 0
  octets = 0
  /** Reads that nothing but writes stands before. */
  readonly #reads: Waiting[] = []
  /** All others; the reads among them have a barrier before them. */
  readonly #others: Waiting[] = []
  /** Calls of `#others` that no read may pass. */
  #barriers = 0

  get isEmpty(): boolean {
    return this.#reads.length === 0 && this.#others.length === 0
  }

  /** Calls that wait. */
  get size(): number {
    return this.#reads.length + this.#others.length
  }

  /** Sends a call that need not wait. @param send false: there is no credit. */
  offer(waiting: Waiting, send: (waiting: Waiting) => boolean): boolean {
    const isNext = this.#mayPass(waiting)
      ? this.#reads.length === 0
      : this.#others.length === 0 && !this.#isBehindReads(waiting)
    return isNext && send(waiting)
  }

  /** Sends a call, or keeps it behind those that wait. @param send false: there is no credit. */
  place(waiting: Waiting, send: (waiting: Waiting) => boolean): void {
    if (this.offer(waiting, send)) return
    if (this.#mayPass(waiting)) this.#reads.push(waiting)
    else {
      this.#others.push(waiting)
      this.#barriers += barrierOf(waiting)
    }
  }

  /** Sends what the credit covers now. */
  drain(send: (waiting: Waiting) => boolean): void {
    this.#drainReads(send)
    for (let next = this.#others[0]; next !== undefined; next = this.#others[0]) {
      if (this.#isBehindReads(next) || !send(next)) return
      this.#others.shift()
      if (barrierOf(next) === 0) continue
      this.#barriers--
      this.#freeReads()
      this.#drainReads(send)
    }
  }

  /** Takes out everything, in order. */
  clear(): readonly Waiting[] {
    this.#barriers = 0
    return [...this.#reads.splice(0), ...this.#others.splice(0)]
  }

  /** Takes out the reads and writes of a lease that wait; `drain` what stood behind them. */
  dropLease(lease: number): readonly Waiting[] {
    const dropped: Waiting[] = []
    for (const calls of [this.#reads, this.#others]) {
      let kept = 0
      for (const waiting of calls) {
        const isDropped = waiting.call.lease === lease && barrierOf(waiting) === 0
        if (isDropped) dropped.push(waiting)
        else calls[kept++] = waiting
      }
      calls.length = kept
    }
    return dropped
  }

  #mayPass(waiting: Waiting): boolean {
    return isRead(waiting) && this.#barriers === 0
  }

  #drainReads(send: (waiting: Waiting) => boolean): void {
    while (this.#reads[0] !== undefined && send(this.#reads[0])) this.#reads.shift()
  }

  /** A barrier has gone: reads up to the next one pass the writes before them. */
  #freeReads(): void {
    const others = this.#others
    let seen = 0
    let kept = 0
    for (let next = others[0]; next !== undefined && barrierOf(next) === 0; next = others[seen]) {
      if (isRead(next)) this.#reads.push(next)
      else others[kept++] = next
      seen++
    }
    if (kept < seen) others.splice(kept, seen - kept)
  }

  /** The end of a lease does not come before the reads of it; other leases are not its matter. */
  #isBehindReads(waiting: Waiting): boolean {
    if (this.#reads.length === 0 || barrierOf(waiting) === 0) return false
    const { kind, lease } = waiting.call
    const isOfLease = kind === callKinds.lease || kind === callKinds.release
    return !isOfLease || this.#reads.some(({ call }) => call.lease === lease)
  }
}

function isRead({ call }: WaitingCall): boolean {
  return call.kind === callKinds.read
}

/** 1: no read passes it. */
function barrierOf({ call }: WaitingCall): number {
  return call.kind === callKinds.write || call.kind === callKinds.read ? 0 : 1
}

/** What is left of the daemon's credit. */
export class Credit {
  #calls: number
  #octets: number

  constructor(calls: number, octets: number) {
    this.#calls = calls
    this.#octets = octets
  }

  /** The call as it may be sent: a read asks for no more than leaves room for others. */
  fit(call: ChannelCall): ChannelCall {
    const { readOctets } = call
    if (readOctets <= tlsReadOctetsMin) return call
    const octets = Math.max(tlsReadOctetsMin, (this.#octets - tlsWriteReserveOctets) >> 2)
    return readOctets <= octets ? call : { ...call, readOctets: octets }
  }

  /** Whether a call may be sent, and `other` with it. */
  covers(call: ChannelCall, other?: ChannelCall): boolean {
    const calls = this.#calls - (other === undefined ? 0 : 1)
    const octets = this.#octets - (other === undefined ? 0 : weightOf(other))
    const weight = weightOf(call)
    const { kind, lane } = call
    const isWrite = kind === callKinds.write
    const isLast = calls <= tlsWriteReserveCalls
    if (calls < 1 || octets < weight) return false
    if (isLast && !isWrite && kind !== callKinds.release) return false
    if (!isWrite || lane === undefined) return true
    return lane.calls === 0 || (lane.calls < calls >> 3 && lane.octets + weight <= octets >> 3)
  }

  /** A call was sent. */
  charge(call: ChannelCall): void {
    this.#add(call, -1)
  }

  /** It was answered. */
  giveBack(call: ChannelCall): void {
    this.#add(call, 1)
  }

  #add(call: ChannelCall, calls: 1 | -1): void {
    const octets = calls * weightOf(call)
    this.#calls += calls
    this.#octets += octets
    const { kind, lane } = call
    if (kind !== callKinds.write || lane === undefined) return
    lane.calls -= calls
    lane.octets -= octets
  }
}

/** What a call takes of the credit. Statistics ask for nothing, and are answered at length. */
export function weightOf({ kind, head, readOctets, data }: ChannelCall): number {
  if (kind === callKinds.stats) return tlsDataOctetsMax
  const wordOctets = readOctets === -1 ? 0 : 4
  return chargeOf(head.length + wordOctets + data.length, readOctets)
}
