/**
 * GroupCalls: the calls of one holder, done on sessions of this process.
 *
 * Stands in two places: in the application for its unshared sessions, and in the daemon, one for
 * each connected client, for the shared ones. Which sessions a handle reaches is the directory's
 * matter; everything else is the same, which is why an application sees no difference.
 */
import { tlsCreditCalls } from '../base/limits.ts'
import {
  type CallOptions,
  emptyRead,
  failure,
  type Lease,
  type LeaseEnding,
  type LeaseOptions,
  leaseOf,
  type NewOptions,
  newLeaseId,
  type Outcome,
  type ReadOutcome,
  type SessionHandle,
  success,
  type TlsCalls,
  type WriteOutcome,
  writeEnd,
} from './api.ts'
import type { SessionGroup, Tenancy } from './group.ts'
import type { Holder, WriteCall } from './session.ts'

/** Where handles come from and what they reach. */
export interface Directory {
  /** Makes or finds a session for a holder. Never throws. */
  make(options: NewOptions, holder: Holder): Promise<SessionHandle>
  /** The sessions of a handle that this holder may use. */
  find(handle: SessionHandle, holder: Holder): SessionGroup | undefined
  /** Ends the session, unless others hold it. */
  shutdown(handle: SessionHandle, holder: Holder): Promise<Outcome>
  /** The holder gives the handle up. */
  free(handle: SessionHandle, holder: Holder): Outcome
}

/** A write in parts that is not whole. */
interface OpenWrite {
  readonly call: WriteCall
  /** Parts that have come and are not answered. */
  unanswered: number
  /** When none was left, on the clock of `performance.now()`. */
  answeredAtMs: number
}

const badToken = failure('badToken', 'no such session of this user')
const noLease = failure('refused', 'no such lease')
const leaseRefused = failure('refused', 'lease id in use, or too many')

/** The calls of one holder. */
export class GroupCalls implements TlsCalls {
  readonly #directory: Directory
  readonly #holder: Holder
  readonly #tenancies = new Map<number, Tenancy>()
  readonly #openWrites = new Map<string, OpenWrite>()
  readonly #errors = new Map<string, Outcome>()

  constructor(directory: Directory, holder: Holder) {
    this.#directory = directory
    this.#holder = holder
  }

  new(options: NewOptions): Promise<SessionHandle> {
    return this.#directory.make(options, this.#holder)
  }

  async connect(handle: SessionHandle): Promise<Outcome> {
    const group = this.#directory.find(handle, this.#holder)
    return this.#note(handle, group === undefined ? absent(handle) : await group.connect())
  }

  async accept(handle: SessionHandle): Promise<Outcome> {
    const group = this.#directory.find(handle, this.#holder)
    return this.#note(handle, group === undefined ? absent(handle) : await group.accept())
  }

  write(handle: SessionHandle, data: Uint8Array, options: CallOptions = {}): Promise<WriteOutcome> {
    return new Promise((resolve) => this.writeThen(handle, data, options, resolve))
  }

  /** As `write`; tells the end in place of promising it, and takes an earlier turn of the loop. */
  writeThen(
    handle: SessionHandle,
    data: Uint8Array,
    options: CallOptions,
    end: (outcome: WriteOutcome) => void,
  ): void {
    const done = (outcome: Outcome): void => end(this.#written(handle, outcome, data))
    const call: WriteCall = {
      holder: this.#holder,
      parts: [{ octets: data, done }],
      isClosed: true,
    }
    const fault = this.#place(handle, call, options)
    if (fault !== undefined) done(fault)
  }

  /**
   * A write that comes in parts. @param isFirst begins it: not while one has begun, see `hasBegun`.
   * @param isLast ends it.
   */
  writePart(
    handle: SessionHandle,
    data: Uint8Array,
    options: CallOptions & { readonly isFirst: boolean; readonly isLast: boolean },
  ): Promise<WriteOutcome> {
    const key = keyOf(handle, options.lease)
    return new Promise((resolve) => {
      const open = options.isFirst ? this.#begin(key) : this.#openWrites.get(key)
      const done = (outcome: Outcome): void => {
        const isOver = outcome.code !== 'none' && this.#openWrites.get(key) === open
        if (isOver) this.#openWrites.delete(key)
        if (open !== undefined) answered(open)
        resolve(this.#written(handle, outcome, data))
      }
      if (open === undefined) return done(failure('refused', 'continues no write'))
      const { call } = open
      open.unanswered++
      // Ended while none of its parts waited: what remains of it belongs nowhere.
      if (call.isClosed)
        return done(failure('zeroReturn', 'the connection of this write has ended'))
      call.parts.push({ octets: data, done })
      call.isClosed = options.isLast
      if (options.isLast) this.#openWrites.delete(key)
      const fault = options.isFirst
        ? this.#place(handle, call, options)
        : this.#continue(handle, call, options)
      if (fault !== undefined) done(fault)
    })
  }

  /** True where a write in parts has begun and its last one has not come. */
  hasBegun(handle: SessionHandle, lease: number): boolean {
    if (this.#openWrites.size === 0) return false
    return this.#openWrites.get(keyOf(handle, lease))?.call.isClosed === false
  }

  /** True where a write in parts has waited for its next one since then, or for longer. */
  owesPart(sinceMs: number): boolean {
    for (const { call, unanswered, answeredAtMs } of this.#openWrites.values()) {
      // Whose turn has not come, or whose peer takes nothing, waits as any other call.
      if (!call.isClosed && unanswered === 0 && answeredAtMs <= sinceMs) return true
    }
    return false
  }

  read(handle: SessionHandle, octetsMax: number, options: CallOptions = {}): Promise<ReadOutcome> {
    return new Promise((resolve) => this.readThen(handle, octetsMax, options, resolve))
  }

  /** As `read`; tells the end in place of promising it. */
  readThen(
    handle: SessionHandle,
    octetsMax: number,
    options: CallOptions,
    end: (outcome: ReadOutcome) => void,
  ): void {
    const done = (outcome: ReadOutcome): void => {
      if (outcome.code !== 'none') this.#note(handle, outcome)
      end(outcome)
    }
    const group = this.#directory.find(handle, this.#holder)
    const tenancy = this.#tenancyOf(group, options.lease)
    if (group === undefined) done(emptyRead(absent(handle)))
    else if (tenancy === null) done(emptyRead(noLease))
    else {
      const call = { holder: this.#holder, octetsMax: Math.max(1, octetsMax), done }
      group.read(tenancy, call, options.priority ?? 0, options.wait !== false)
    }
  }

  pending(handle: SessionHandle, lease?: number): number {
    return this.#sessionOf(this.#directory.find(handle, this.#holder), lease)?.pending ?? 0
  }

  async shutdown(handle: SessionHandle): Promise<Outcome> {
    return this.#note(handle, await this.#directory.shutdown(handle, this.#holder))
  }

  async free(handle: SessionHandle): Promise<Outcome> {
    const outcome = this.#directory.free(handle, this.#holder)
    // Behind the ends of the calls that still waited.
    this.#errors.delete(handle.token)
    if (this.#openWrites.size > 0) this.#forgetWrites(handle)
    return outcome
  }

  getError(handle: SessionHandle): Outcome {
    return handle.fault ?? this.#errors.get(handle.token) ?? success
  }

  lease(handle: SessionHandle, options: LeaseOptions = {}): Promise<Lease> {
    const id = options.id ?? newLeaseId()
    const release = async (ending: LeaseEnding): Promise<Outcome> =>
      this.releaseNow(handle, id, ending)
    const granted = new Promise<Lease>((resolve) => {
      this.leaseThen(handle, id, options, (outcome, greeting) => {
        resolve(leaseOf(outcome, id, greeting, release))
      })
    })
    return options.eager === true ? Promise.resolve(leaseOf(success, id, '', release)) : granted
  }

  /** As `lease`; tells the end in place of promising it. */
  leaseThen(
    handle: SessionHandle,
    id: number,
    options: LeaseOptions,
    end: (outcome: Outcome, greeting: string) => void,
  ): void {
    // Set before the grant, which may come at once and may refuse.
    let isRefused = false
    let tenancy: Tenancy | undefined
    const done = (outcome: Outcome, greeting: string): void => {
      isRefused = outcome.code !== 'none'
      // Given back before its grant, it has left its id to another.
      if (isRefused && this.#tenancies.get(id) === tenancy) this.#tenancies.delete(id)
      end(this.#note(handle, outcome), greeting)
    }
    const group = this.#directory.find(handle, this.#holder)
    if (this.#tenancies.size >= tlsCreditCalls) this.#forgetGone()
    const isOver = id === 0 || this.#tenancies.has(id) || this.#tenancies.size >= tlsCreditCalls
    if (group === undefined) end(this.#note(handle, absent(handle)), '')
    else if (isOver) end(this.#note(handle, leaseRefused), '')
    else {
      tenancy = group.lease(this.#holder, id, options, done)
      if (!isRefused) this.#tenancies.set(id, tenancy)
    }
  }

  /** Gives a lease back. */
  releaseNow(handle: SessionHandle, id: number, ending: LeaseEnding): Outcome {
    const tenancy = this.#tenancies.get(id)
    const group = this.#directory.find(handle, this.#holder)
    if (tenancy === undefined || tenancy.group !== group) return noLease
    this.#tenancies.delete(id)
    // Nobody continues it: what its writer had not sent by then is not sent any more.
    const isHalfWritten = this.hasBegun(handle, id)
    if (this.#openWrites.size > 0) this.#openWrites.delete(keyOf(handle, id))
    group.release(tenancy, isHalfWritten ? 'broken' : ending)
    return success
  }

  /** Writes in parts that went with the last handle of their session. */
  #forgetWrites(handle: SessionHandle): void {
    if (this.#directory.find(handle, this.#holder) !== undefined) return
    for (const key of this.#openWrites.keys()) {
      if (key.startsWith(handle.token)) this.#openWrites.delete(key)
    }
  }

  /** Leases that went with their handle, or were taken back, and that nobody has given back. */
  #forgetGone(): void {
    for (const [id, { state }] of this.#tenancies) {
      if (state === 'gone') this.#tenancies.delete(id)
    }
  }

  /** A write whose connection has ended is none that another could come between. */
  #begin(key: string): OpenWrite {
    const call: WriteCall = { holder: this.#holder, parts: [], isClosed: false }
    const begun = { call, unanswered: 0, answeredAtMs: 0 }
    this.#openWrites.set(key, begun)
    return begun
  }

  #place(handle: SessionHandle, call: WriteCall, options: CallOptions): Outcome | undefined {
    const group = this.#directory.find(handle, this.#holder)
    if (group === undefined) return absent(handle)
    const tenancy = this.#tenancyOf(group, options.lease)
    if (tenancy === null) return noLease
    group.write(tenancy, call, options.priority ?? 0, options.wait !== false)
    return undefined
  }

  /** Sends further parts of a write; of one whose turn has not come they wait with it. */
  #continue(handle: SessionHandle, call: WriteCall, { lease }: CallOptions): Outcome | undefined {
    const group = this.#directory.find(handle, this.#holder)
    if (group === undefined) return absent(handle)
    const tenancy = this.#tenancyOf(group, lease)
    if (tenancy === null) return noLease
    const session = tenancy === undefined ? group.first : tenancy.session
    session?.continueWrite(call)
    return undefined
  }

  /** The lease that a call names: undefined for none, null for one that these sessions have not. */
  #tenancyOf(group: SessionGroup | undefined, id: number | undefined): Tenancy | undefined | null {
    if (id === undefined || id === 0) return undefined
    const tenancy = this.#tenancies.get(id)
    return tenancy !== undefined && tenancy.group === group ? tenancy : null
  }

  #sessionOf(group: SessionGroup | undefined, lease: number | undefined) {
    const tenancy = this.#tenancyOf(group, lease)
    return tenancy === undefined ? group?.first : tenancy?.session
  }

  #written(handle: SessionHandle, outcome: Outcome, data: Uint8Array): WriteOutcome {
    if (outcome.code === 'none') return writeEnd(outcome, data.length)
    return writeEnd(this.#note(handle, outcome), 0)
  }

  #note(handle: SessionHandle, outcome: Outcome): Outcome {
    if (outcome.code === 'none') return outcome
    // Tokens that were never given out, or given up meanwhile, must not fill the map.
    const isHeld = this.#directory.find(handle, this.#holder) !== undefined
    if (isHeld) this.#errors.set(handle.token, outcome)
    return outcome
  }
}

function answered(open: OpenWrite): void {
  open.unanswered--
  open.answeredAtMs = performance.now()
}

/** What a client writes in parts: one at a time on a session and lease. */
function keyOf(handle: SessionHandle, lease = 0): string {
  return `${handle.token} ${lease}`
}

function absent(handle: SessionHandle): Outcome {
  return handle.fault ?? badToken
}
