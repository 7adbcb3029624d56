/**
 * DaemonStub: the shared sessions as an application sees them; every call travels to the daemon.
 *
 * One connection to the daemon for all handles (daemon-access.ts). It is made by `new`, and made
 * again by the next `new` after it was lost; a handle of a daemon that is gone answers
 * `daemonGone`, or `badToken` when another daemon has taken its place.
 */

import { tlsDataOctetsMax } from '../base/limits.ts'
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
import { type Answer, DaemonChannel, faultAnswer, noOctets, plain } from './channel.ts'
import { type ChannelCall, Lane } from './credit.ts'
import type { DaemonStatistics, SessionStatistics } from './daemon.ts'
import { DaemonAccess, type OnDaemon } from './daemon-access.ts'
import { encodeHandle, hexText } from './handle.ts'
import { callKinds, frameFlags, handleOctets, writeU32 } from './wire.ts'

/** What is kept of a handle: two handles of one session have nothing in common here. */
interface Known {
  /** The connection that it was made on: on another the daemon knows it not, or as another's. */
  readonly channel: DaemonChannel
  readonly octets: Uint8Array
  readonly priority: number
  pending: number
  error: Outcome
  isFreed: boolean
  /** Its calls that wait for credit: they stop no other handle's. */
  readonly lane: Lane
}

/** Octets of data in one frame of a long write: several are on their way at once. */
const partOctets = 64 * 1024

const daemonGone = failure('daemonGone', 'no TLS daemon')
const badToken = failure('badToken', 'no such session')

/** The calls, on the sessions of the daemon at a socket. */
export class DaemonStub implements TlsCalls {
  readonly #access: DaemonAccess
  readonly #known = new WeakMap<SessionHandle, Known>()

  /** @param path of the daemon's socket, or of `tls wrap --api`. */
  constructor(path: string, onDaemon?: OnDaemon) {
    this.#access = new DaemonAccess(path, onDaemon)
  }

  async new(options: NewOptions): Promise<SessionHandle> {
    const route = options.shared === false ? 'unshared' : 'shared'
    const channel = await this.#access.open()
    if (!(channel instanceof DaemonChannel)) return { route, token: '', fault: channel }
    const { fallback: _ours, ...asked } = options
    const head = Buffer.from(JSON.stringify(asked))
    const answer = await channel.call({ ...plain, kind: callKinds.new, head })
    if (answer.outcome.code !== 'none') return { route, token: '', fault: answer.outcome }
    const octets = answer.body.slice(0, handleOctets)
    const token = hexText(octets, 1, handleOctets)
    const port = (answer.body[handleOctets] ?? 0) | ((answer.body[handleOctets + 1] ?? 0) << 8)
    const handle = { route, token, ...(port === 0 ? {} : { listeningPort: port }) } as const
    const priority = options.priority ?? 0
    const lane = new Lane()
    this.#known.set(handle, {
      channel,
      octets,
      priority,
      pending: 0,
      error: success,
      isFreed: false,
      lane,
    })
    return handle
  }

  /** `alias` is `handle` under another object. */
  alias(handle: SessionHandle, alias: SessionHandle): void {
    const known = this.#known.get(handle)
    if (known !== undefined) this.#known.set(alias, known)
  }

  connect(handle: SessionHandle): Promise<Outcome> {
    return this.#plainCall(handle, callKinds.connect)
  }

  accept(handle: SessionHandle): Promise<Outcome> {
    return this.#plainCall(handle, callKinds.accept)
  }

  async write(
    handle: SessionHandle,
    data: Uint8Array,
    options: CallOptions = {},
  ): Promise<WriteOutcome> {
    if (data.length <= partOctets) return this.#writePart(handle, data, options, 0)
    const parts: Promise<WriteOutcome>[] = []
    for (let at = 0; at < data.length; at += partOctets) {
      const end = Math.min(at + partOctets, data.length)
      const continues = at === 0 ? 0 : frameFlags.continues
      const more = end === data.length ? 0 : frameFlags.more
      parts.push(this.#writePart(handle, data.subarray(at, end), options, continues | more))
    }
    const ends = await Promise.all(parts)
    const failed = ends.findIndex((end) => end.code !== 'none')
    if (failed === -1) return writeEnd(success, data.length)
    const written = ends.slice(0, failed).reduce((sum, end) => sum + end.written, 0)
    return writeEnd(ends[failed] ?? success, written)
  }

  async read(
    handle: SessionHandle,
    octetsMax: number,
    options: CallOptions = {},
  ): Promise<ReadOutcome> {
    const wanted = Math.min(octetsMax, tlsDataOctetsMax)
    const answer = await this.#call(handle, callKinds.read, {
      ...ordered(options, this.#known.get(handle)?.priority),
      flags: options.wait === false ? frameFlags.noWait : 0,
      readOctets: wanted,
    })
    return this.#readEnd(handle, answer)
  }

  /**
   * A write and the read of its answer in one frame each way. The write's fault, or the read's end.
   */
  exchange(
    handle: SessionHandle,
    data: Uint8Array,
    octetsMax: number,
    options: CallOptions = {},
  ): Promise<ReadOutcome> {
    const known = this.#known.get(handle)
    const channel = this.#access.current
    const isKnown = known?.isFreed === false && known.channel === channel
    const isLong = data.length > partOctets
    if (!isKnown || channel === undefined || isLong || options.wait === false) {
      return this.#writeAndRead(handle, data, octetsMax, options)
    }
    const priority = options.priority ?? known.priority
    const lease = options.lease ?? 0
    const { octets: head, lane } = known
    const readOctets = Math.min(octetsMax, tlsDataOctetsMax)
    // Literals of one shape: spread objects cost more here than all the rest (bench tls).
    const { quiet } = frameFlags
    return new Promise((resolve) => {
      channel.exchange(
        { kind: callKinds.write, flags: quiet, priority, lease, head, readOctets: -1, data, lane },
        { kind: callKinds.read, flags: 0, priority, lease, head, readOctets, data: noOctets, lane },
        (answer) => resolve(this.#readEnd(handle, answer)),
      )
    })
  }

  async #writeAndRead(
    handle: SessionHandle,
    data: Uint8Array,
    octetsMax: number,
    options: CallOptions,
  ): Promise<ReadOutcome> {
    const written = await this.write(handle, data, options)
    return written.code === 'none' ? this.read(handle, octetsMax, options) : emptyRead(written)
  }

  pending(handle: SessionHandle): number {
    return this.#known.get(handle)?.pending ?? 0
  }

  shutdown(handle: SessionHandle): Promise<Outcome> {
    return this.#plainCall(handle, callKinds.shutdown)
  }

  async free(handle: SessionHandle): Promise<Outcome> {
    const freeing = this.#plainCall(handle, callKinds.free)
    const known = this.#known.get(handle)
    if (known !== undefined) known.isFreed = true
    return freeing
  }

  getError(handle: SessionHandle): Outcome {
    return handle.fault ?? this.#known.get(handle)?.error ?? success
  }

  async lease(handle: SessionHandle, options: LeaseOptions = {}): Promise<Lease> {
    const id = options.id ?? newLeaseId()
    const known = this.#known.get(handle)
    const isKnown = known?.isFreed === false && known.channel === this.#access.current
    if (options.eager === true && isKnown) {
      const flags = frameFlags.quiet | (options.yields === true ? frameFlags.yields : 0)
      this.#tell(known, callKinds.lease, flags, options.priority ?? known.priority, id)
      return leaseOf(success, id, '', async (ending) => {
        this.#tell(known, callKinds.release, frameFlags.quiet | flagOf(ending), 0, id)
        return success
      })
    }
    const order = ordered({ ...options, lease: id }, known?.priority)
    const flags = options.yields === true ? frameFlags.yields : 0
    const answer = await this.#call(handle, callKinds.lease, { ...order, flags })
    const greeting = answer.outcome.code === 'none' ? textOf(answer.body) : ''
    return leaseOf(answer.outcome, id, greeting, async (ending) => {
      const more = { lease: id, flags: flagOf(ending) }
      return (await this.#call(handle, callKinds.release, more)).outcome
    })
  }

  #tell(known: Known, kind: number, flags: number, priority: number, lease: number): void {
    const { octets: head, lane } = known
    const call = { kind, flags, priority, lease, head, readOctets: -1, data: noOctets, lane }
    known.channel.tell(call)
  }

  /** Names a program to start when octets come for the session and nobody reads them. */
  activate(handle: SessionHandle, program: string): Promise<Outcome> {
    const call = this.#call(handle, callKinds.activate, { data: Buffer.from(program) })
    return call.then((answer) => answer.outcome)
  }

  /** The daemon's figures, or why there are none. */
  async statistics(): Promise<DaemonStatistics | Outcome> {
    const channel = await this.#access.open()
    if (!(channel instanceof DaemonChannel)) return channel
    const sessions: SessionStatistics[] = []
    const head = new Uint8Array(4)
    for (;;) {
      const answer = await channel.call({ ...plain, kind: callKinds.stats, head: head.slice() })
      if (answer.outcome.code !== 'none') return answer.outcome
      const { next = 0, ...figures } = JSON.parse(textOf(answer.body)) as DaemonStatistics
      sessions.push(...figures.sessions)
      if (next === 0) return { ...figures, sessions }
      writeU32(head, 0, next)
    }
  }

  /** Ends the connection to the daemon; the sessions live on there. */
  close(): void {
    this.#access.close()
  }

  async #plainCall(handle: SessionHandle, kind: number): Promise<Outcome> {
    return (await this.#call(handle, kind, {})).outcome
  }

  async #call(handle: SessionHandle, kind: number, more: Partial<ChannelCall>): Promise<Answer> {
    const known = this.#known.get(handle)
    const channel = this.#access.current
    const isOther = channel !== undefined && known !== undefined && known.channel !== channel
    const isOver = isOther || known?.isFreed === true
    const head = isOver ? undefined : (known?.octets ?? encodeHandle(handle))
    const outcome = handle.fault ?? (head === undefined ? badToken : daemonGone)
    if (handle.fault !== undefined || head === undefined || channel === undefined) {
      return faultAnswer(outcome)
    }
    const answer = await channel.call({ ...plain, ...more, kind, head, lane: known?.lane })
    if (answer.outcome.code !== 'none') this.#note(handle, answer.outcome)
    return answer
  }

  async #writePart(
    handle: SessionHandle,
    data: Uint8Array,
    options: CallOptions,
    flags: number,
  ): Promise<WriteOutcome> {
    const answer = await this.#call(handle, callKinds.write, {
      ...ordered(options, this.#known.get(handle)?.priority),
      flags: flags | (options.wait === false ? frameFlags.noWait : 0),
      data,
    })
    return writeEnd(answer.outcome, answer.word)
  }

  #readEnd(handle: SessionHandle, answer: Answer): ReadOutcome {
    if (answer.outcome.code !== 'none') return emptyRead(this.#note(handle, answer.outcome))
    const known = this.#known.get(handle)
    if (known !== undefined) known.pending = answer.word
    return { code: 'none', message: '', data: answer.body }
  }

  #note(handle: SessionHandle, outcome: Outcome): Outcome {
    const known = this.#known.get(handle)
    if (known !== undefined) known.error = outcome
    return outcome
  }
}

function ordered(options: CallOptions, usual = 0): { priority: number; lease: number } {
  return { priority: options.priority ?? usual, lease: options.lease ?? 0 }
}

function flagOf(ending: LeaseEnding): number {
  return ending === 'finished' ? 0 : frameFlags[ending]
}

function textOf(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8')
}
