/**
 * CallServer: frames of one client in, calls on sessions, answers out.
 *
 * The daemon has one for each client; `activemx tls wrap --api` has one for the unshared sessions
 * of each of its clients. Counts what the client has unanswered against its credit: a client that
 * sends more than it was told, or a frame that makes no sense, is a fault, and its connection is
 * closed by whoever owns it. What a call carries besides (a bad token, bad options) is answered by
 * a code.
 */
import {
  tlsAnswerBacklogOctetsMax,
  tlsCreditCalls,
  tlsCreditOctets,
  tlsDataOctetsMax,
} from '../base/limits.ts'
import {
  failure,
  type Outcome,
  type SessionHandle,
  success,
  tlsCodes,
  type WriteOutcome,
} from './api.ts'
import type { GroupCalls } from './calls.ts'
import { chargeOf } from './charge.ts'
import type { FrameStream } from './frame-stream.ts'
import { encodeHandle, routeOf, tokenOf } from './handle.ts'
import { parseNewOptions } from './options.ts'
import { answerBit, callKinds, type Frame, frameFlags, handleOctets, readU32 } from './wire.ts'

/** Calls that are not for the sessions (statistics, activation): their owner answers them. */
export type Extra = (
  frame: Frame,
) => { readonly outcome: Outcome; readonly body: Uint8Array } | undefined

/** Why a client is closed. */
export type ClientFault = 'over-credit' | 'bad-frame'

interface Ask {
  readonly kind: number
  readonly request: number
  readonly charge: number
}

const codeNumbers = new Map(tlsCodes.map((code, number) => [code, number]))
const noOctets = new Uint8Array(0)
const noWord = -1
const answersWait = failure('refused', 'take the answers that wait before you ask for figures')
const notShared = failure('refused', 'programs are started for shared sessions only')

/** A write whose success is not answered: the read right behind it stands for both. */
interface QuietWrite {
  readonly request: number
  readonly handle: SessionHandle
  readonly lease: number
  fault: Outcome | undefined
}

/** Serves one client's frames; hello is its owner's. */
export class CallServer {
  /** Set by a frame that ends the connection. */
  fault: ClientFault | undefined
  readonly #calls: GroupCalls
  readonly #frames: FrameStream
  readonly #extra: Extra
  readonly #header = { kind: 0, flags: 0, priority: 0, code: 0, request: 0, lease: 0 }
  readonly #handleOctets = new Uint8Array(handleOctets)
  #handle: SessionHandle | undefined
  #quietWrite: QuietWrite | undefined
  #unansweredCalls = 0
  #unansweredOctets = 0

  constructor(calls: GroupCalls, frames: FrameStream, extra: Extra) {
    this.#calls = calls
    this.#frames = frames
    this.#extra = extra
  }

  /** Takes one call. The frame's octets must not be used again by the reader. */
  serve(frame: Frame): void {
    const ask = this.#charge(frame)
    if (ask === undefined) return
    const { kind } = frame
    if (kind === callKinds.new) this.#serveNew(ask, frame)
    else if (kind === callKinds.stats && this.#frames.backlog > tlsAnswerBacklogOctetsMax) {
      this.#answer(ask, answersWait)
    } else {
      const isExtra = kind === callKinds.stats || kind === callKinds.activate
      const extra = isExtra ? this.#extra(frame) : undefined
      const handle = this.#handleOf(frame)
      if (extra !== undefined) this.#answer(ask, extra.outcome, extra.body)
      else if (handle === undefined) this.fault = 'bad-frame'
      else this.#serveCall(ask, frame, handle)
    }
  }

  /** The handle of a frame: most calls of a client are on the same one as the call before. */
  #handleOf(frame: Frame): SessionHandle | undefined {
    const known = this.#handleOctets
    const { octets, start, bodyOctets } = frame
    let at = bodyOctets < handleOctets ? handleOctets + 1 : 0
    while (at < handleOctets && octets[start + at] === known[at]) at++
    if (at === handleOctets && this.#handle !== undefined) return this.#handle
    const route = routeOf(frame)
    if (route === undefined) return undefined
    known.set(octets.subarray(start, start + handleOctets))
    this.#handle = { route, token: tokenOf(frame) }
    return this.#handle
  }

  #answer(ask: Ask, outcome: Outcome, body: Uint8Array = noOctets): void {
    const payload = outcome.code === 'none' ? body : Buffer.from(outcome.message)
    this.#put(ask, outcome, noWord, payload)
  }

  #put(ask: Ask, outcome: Outcome, word: number, body: Uint8Array): void {
    this.#return(ask)
    const header = this.#header
    header.kind = ask.kind | answerBit
    header.code = codeNumbers.get(outcome.code) ?? 0
    header.request = ask.request
    this.#frames.put(header, noOctets, word, body)
  }

  #charge(frame: Frame): Ask | undefined {
    const wanted = frame.kind === callKinds.read ? octetsWanted(frame) : 0
    const charge = chargeOf(frame.bodyOctets, wanted)
    this.#unansweredCalls++
    this.#unansweredOctets += charge
    if (this.#unansweredCalls > tlsCreditCalls || this.#unansweredOctets > tlsCreditOctets) {
      this.fault = 'over-credit'
      return undefined
    }
    return { kind: frame.kind, request: frame.request, charge }
  }

  #return(ask: Ask): void {
    this.#unansweredCalls--
    this.#unansweredOctets -= ask.charge
  }

  #serveNew(ask: Ask, frame: Frame): void {
    const options = parseNewOptions(frame.body())
    if ('problem' in options) {
      this.#answer(ask, failure('refused', options.problem))
      return
    }
    void this.#calls.new(options).then((handle) => {
      const octets = encodeHandle(handle)
      if (octets === undefined) {
        this.#answer(ask, handle.fault ?? failure('refused', 'no session'))
        return
      }
      const port = handle.listeningPort ?? 0
      this.#answer(ask, success, Uint8Array.of(...octets, port & 0xff, port >> 8))
    })
  }

  #serveCall(ask: Ask, frame: Frame, handle: SessionHandle): void {
    const calls = this.#calls
    const { kind } = frame
    if (kind === callKinds.write) this.#serveWrite(ask, frame, handle)
    else if (kind === callKinds.read) this.#serveRead(ask, frame, handle)
    else if (kind === callKinds.lease) this.#serveLease(ask, frame, handle)
    else if (kind === callKinds.release) this.#serveRelease(ask, frame, handle)
    else if (kind === callKinds.pending) {
      this.#put(ask, success, calls.pending(handle, frame.lease), noOctets)
    } else if (kind === callKinds.getError) this.#serveGetError(ask, handle)
    else if (kind === callKinds.connect) this.#answerWith(ask, calls.connect(handle))
    else if (kind === callKinds.accept) this.#answerWith(ask, calls.accept(handle))
    else if (kind === callKinds.shutdown) this.#answerWith(ask, calls.shutdown(handle))
    else if (kind === callKinds.free) this.#answerWith(ask, calls.free(handle))
    else if (kind === callKinds.activate) this.#answer(ask, notShared)
    else this.fault = 'bad-frame'
  }

  #answerWith(ask: Ask, call: Promise<Outcome>): void {
    void call.then((outcome) => this.#answer(ask, outcome))
  }

  #serveGetError(ask: Ask, handle: SessionHandle): void {
    const { code, message } = this.#calls.getError(handle)
    const body = Buffer.from(` ${message}`)
    body[0] = codeNumbers.get(code) ?? 0
    this.#answer(ask, success, body)
  }

  #serveWrite(ask: Ask, frame: Frame, handle: SessionHandle): void {
    const { flags, priority, lease } = frame
    const data = frame.body(handleOctets)
    const wait = (flags & frameFlags.noWait) === 0
    const isFirst = (flags & frameFlags.continues) === 0
    const isLast = (flags & frameFlags.more) === 0
    const isQuiet = (flags & frameFlags.quiet) !== 0
    const { request } = ask
    const quiet: QuietWrite | undefined = isQuiet
      ? { request, handle, lease, fault: undefined }
      : undefined
    this.#quietWrite = quiet
    const end = (outcome: WriteOutcome): void => {
      if (quiet !== undefined && outcome.code !== 'none') quiet.fault = outcome
      if (isQuiet && outcome.code === 'none') this.#return(ask)
      else this.#answerWrite(ask, outcome)
    }
    if (isFirst && isLast) this.#calls.writeThen(handle, data, { priority, lease, wait }, end)
    // Nobody could tell which of the two the next part continues.
    else if (isFirst && this.#calls.hasBegun(handle, lease)) this.fault = 'bad-frame'
    else {
      const options = { priority, lease, wait, isFirst, isLast }
      void this.#calls.writePart(handle, data, options).then(end)
    }
  }

  #answerWrite(ask: Ask, outcome: WriteOutcome): void {
    const message = outcome.code === 'none' ? noOctets : Buffer.from(outcome.message)
    this.#put(ask, outcome, outcome.written, message)
  }

  #serveRead(ask: Ask, frame: Frame, handle: SessionHandle): void {
    const { flags, priority, lease } = frame
    const octetsMax = Math.min(octetsWanted(frame), tlsDataOctetsMax)
    const wait = (flags & frameFlags.noWait) === 0
    const fault = this.#faultBefore(ask, handle, lease)
    if (fault !== undefined) {
      this.#answer(ask, fault)
      return
    }
    this.#calls.readThen(handle, octetsMax, { priority, lease, wait }, (outcome) => {
      if (outcome.code !== 'none') this.#answer(ask, outcome)
      else this.#put(ask, success, this.#calls.pending(handle, lease), outcome.data)
    })
  }

  /**
   * Why the write has failed that a read stands for, too. What there is to read is then no answer
   * to it, and another's. Later than that a write fails together with the reads that wait.
   */
  #faultBefore({ request }: Ask, handle: SessionHandle, lease: number): Outcome | undefined {
    const write = this.#quietWrite
    if (write?.fault === undefined || write.request + 1 !== request) return undefined
    return write.handle === handle && write.lease === lease ? write.fault : undefined
  }

  #serveLease(ask: Ask, frame: Frame, handle: SessionHandle): void {
    const { priority, lease } = frame
    const isQuiet = (frame.flags & frameFlags.quiet) !== 0
    const yields = (frame.flags & frameFlags.yields) !== 0
    if (isQuiet) this.#return(ask)
    this.#calls.leaseThen(handle, lease, { priority, yields }, (granted, greeting) => {
      if (!isQuiet) this.#answer(ask, granted, Buffer.from(greeting))
    })
  }

  #serveRelease(ask: Ask, frame: Frame, handle: SessionHandle): void {
    const isBroken = (frame.flags & frameFlags.broken) !== 0
    const isCancelled = (frame.flags & frameFlags.cancelled) !== 0
    const ending = isBroken ? 'broken' : isCancelled ? 'cancelled' : 'finished'
    const outcome = this.#calls.releaseNow(handle, frame.lease, ending)
    if ((frame.flags & frameFlags.quiet) !== 0) this.#return(ask)
    else this.#answer(ask, outcome)
  }
}

/** What a read asks for: the word behind its handle. */
function octetsWanted(frame: Frame): number {
  return frame.bodyOctets < handleOctets + 4 ? 0 : readU32(frame.octets, frame.start + handleOctets)
}
