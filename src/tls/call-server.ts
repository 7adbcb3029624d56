/**
 * CallServer: frames of one client in, calls on sessions, answers out.
 *
 * The daemon has one for each client; `activemx tls wrap --api` has one for the unshared sessions of
 * each of its clients. Counts what the client has unanswered against its credit: a client that sends
 * more than it was told, or a frame that makes no sense, is a fault, and its connection is closed by
 * whoever owns it. What a call carries besides (a bad token, bad options) is answered by a code.
 */
import { tlsCreditCalls, tlsCreditOctets, tlsDataOctetsMax } from '../base/limits.ts'
import { failure, type Outcome, type SessionHandle, success, tlsCodes } from './api.ts'
import type { GroupCalls } from './calls.ts'
import { chargeOf } from './charge.ts'
import { encodeHandle, routeOf, tokenOf } from './handle.ts'
import { parseNewOptions } from './options.ts'
import {
  answerBit,
  callKinds,
  type Frame,
  frameFlags,
  handleOctets,
  headerOctets,
  readU32,
  writeHeader,
  writeU32,
} from './wire.ts'

/** Sends an answer: the pieces together are one frame. */
export type Send = (head: Uint8Array, tail: Uint8Array | undefined) => void

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

/** Serves one client's frames; hello is its owner's. */
export class CallServer {
  /** Set by a frame that ends the connection. */
  fault: ClientFault | undefined
  readonly #calls: GroupCalls
  readonly #send: Send
  readonly #extra: Extra
  #unansweredCalls = 0
  #unansweredOctets = 0

  constructor(calls: GroupCalls, send: Send, extra: Extra) {
    this.#calls = calls
    this.#send = send
    this.#extra = extra
  }

  /** Takes one call. The frame's octets must not be used again by the reader. */
  serve(frame: Frame): void {
    const ask = this.#charge(frame)
    if (ask === undefined) return
    if (frame.kind === callKinds.new) {
      this.#serveNew(ask, frame)
      return
    }
    const extra = this.#extra(frame)
    if (extra !== undefined) {
      this.#answer(ask, extra.outcome, extra.body)
      return
    }
    const route = routeOf(frame)
    if (route === undefined) {
      this.fault = 'bad-frame'
      return
    }
    this.#serveCall(ask, frame, { route, token: tokenOf(frame) })
  }

  #answer(ask: Ask, outcome: Outcome, body: Uint8Array = noOctets): void {
    this.#return(ask)
    const payload = outcome.code === 'none' ? body : Buffer.from(outcome.message)
    const head = Buffer.allocUnsafe(headerOctets + payload.length)
    writeHeader(head, headerOf(ask, outcome), payload.length)
    head.set(payload, headerOctets)
    this.#send(head, undefined)
  }

  #charge(frame: Frame): Ask | undefined {
    const wanted = frame.kind === callKinds.read ? readU32(frame.body(handleOctets), 0) : 0
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
    else if (kind === callKinds.pending) this.#servePending(ask, frame, handle)
    else if (kind === callKinds.getError) this.#serveGetError(ask, handle)
    else if (kind === callKinds.connect) this.#answerWith(ask, calls.connect(handle))
    else if (kind === callKinds.accept) this.#answerWith(ask, calls.accept(handle))
    else if (kind === callKinds.shutdown) this.#answerWith(ask, calls.shutdown(handle))
    else if (kind === callKinds.free) this.#answerWith(ask, calls.free(handle))
    else this.fault = 'bad-frame'
  }

  #answerWith(ask: Ask, call: Promise<Outcome>): void {
    void call.then((outcome) => this.#answer(ask, outcome))
  }

  #servePending(ask: Ask, frame: Frame, handle: SessionHandle): void {
    const body = new Uint8Array(4)
    writeU32(body, 0, this.#calls.pending(handle, frame.lease))
    this.#answer(ask, success, body)
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
    const options = { priority, lease, wait, isFirst, isLast }
    const isQuiet = (flags & frameFlags.quiet) !== 0
    const written =
      isFirst && isLast
        ? this.#calls.write(handle, data, options)
        : this.#calls.writePart(handle, data, options)
    void written.then((outcome) => {
      if (isQuiet && outcome.code === 'none') this.#return(ask)
      else this.#answerWrite(ask, outcome, outcome.written)
    })
  }

  #answerWrite(ask: Ask, outcome: Outcome, written: number): void {
    this.#return(ask)
    const message = outcome.code === 'none' ? noOctets : Buffer.from(outcome.message)
    const head = Buffer.allocUnsafe(headerOctets + 4 + message.length)
    writeHeader(head, headerOf(ask, outcome), 4 + message.length)
    writeU32(head, headerOctets, written)
    head.set(message, headerOctets + 4)
    this.#send(head, undefined)
  }

  #serveRead(ask: Ask, frame: Frame, handle: SessionHandle): void {
    const { flags, priority, lease } = frame
    const octetsMax = Math.min(readU32(frame.body(handleOctets), 0), tlsDataOctetsMax)
    const wait = (flags & frameFlags.noWait) === 0
    void this.#calls.read(handle, octetsMax, { priority, lease, wait }).then((outcome) => {
      if (outcome.code !== 'none') {
        this.#answer(ask, outcome)
        return
      }
      this.#return(ask)
      const head = Buffer.allocUnsafe(headerOctets + 4)
      writeHeader(head, headerOf(ask, success), 4 + outcome.data.length)
      writeU32(head, headerOctets, this.#calls.pending(handle, lease))
      this.#send(head, outcome.data)
    })
  }

  #serveLease(ask: Ask, frame: Frame, handle: SessionHandle): void {
    const { priority, lease } = frame
    if ((frame.flags & frameFlags.quiet) !== 0) {
      this.#return(ask)
      void this.#calls.lease(handle, { priority, id: lease, eager: true })
      return
    }
    void this.#calls.lease(handle, { priority, id: lease }).then((granted) => {
      this.#answer(ask, granted, Buffer.from(granted.greeting))
    })
  }

  #serveRelease(ask: Ask, frame: Frame, handle: SessionHandle): void {
    const isBroken = (frame.flags & frameFlags.broken) !== 0
    const isCancelled = (frame.flags & frameFlags.cancelled) !== 0
    const ending = isBroken ? 'broken' : isCancelled ? 'cancelled' : 'finished'
    const isQuiet = (frame.flags & frameFlags.quiet) !== 0
    void this.#calls.release(handle, frame.lease, ending).then((outcome) => {
      if (isQuiet && outcome.code === 'none') this.#return(ask)
      else this.#answer(ask, outcome)
    })
  }
}

function headerOf(ask: Ask, outcome: Outcome) {
  return {
    kind: ask.kind | answerBit,
    flags: 0,
    priority: 0,
    code: codeNumbers.get(outcome.code) ?? 0,
    request: ask.request,
    lease: 0,
  }
}
