/**
 * DaemonChannel: an application's connection to a daemon (or to `tls wrap --api`), with its calls.
 *
 * Calls of one wake-up leave in one write. A call that the credit does not cover waits here, in
 * order. When the connection ends, every call that is not answered ends as `daemonGone`, at once, and
 * so does every later one: a channel does not come back, its owner makes another.
 */
import net from 'node:net'
import { tlsClientTurnMsMax, tlsCreditCalls, tlsCreditOctets } from '../base/limits.ts'
import { failure, type Outcome, success, tlsCodes } from './api.ts'
import { chargeOf } from './charge.ts'
import { hexText } from './handle.ts'
import {
  answerBit,
  callKinds,
  type Frame,
  FrameReader,
  frameFlags,
  headerOctets,
  helloMagic,
  readU32,
  wireVersion,
  writeHeader,
} from './wire.ts'

/** A call as the channel sends it. */
export interface ChannelCall {
  readonly kind: number
  readonly flags: number
  readonly priority: number
  readonly lease: number
  /** What the body begins with, and the data behind it. */
  readonly head: Uint8Array
  readonly data: Uint8Array | undefined
  /** Octets that the answer may hold. */
  readonly readOctets: number
}

/** An answer: on success its body, else the message (in `outcome`) and for a write the count. */
export interface Answer {
  readonly outcome: Outcome
  readonly body: Uint8Array
}

interface Waiting {
  readonly call: ChannelCall
  readonly resolve: (answer: Answer) => void
  /** The quiet call before it, which its answer stands for; 0: none. */
  before: number
}

const noOctets = new Uint8Array(0)
const daemonGone = failure('daemonGone', 'no TLS daemon')
const gatherOctetsMax = 16 * 1024

/** One connection; open until it ends. */
export class DaemonChannel {
  /** 16 hexadecimal digits; tokens of this daemon begin with them. */
  daemonId = ''
  readonly #socket: net.Socket
  readonly #reader = new FrameReader()
  readonly #unanswered = new Map<number, Waiting>()
  #queued: Waiting[] = []
  #pieces: Uint8Array[] = []
  #request = 0
  #creditCalls = tlsCreditCalls
  #creditOctets = tlsCreditOctets
  #fault: Outcome | undefined

  private constructor(socket: net.Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    socket.on('error', () => undefined)
    socket.on('close', () => this.#end(daemonGone))
  }

  /** Connects and says hello. @returns the reason where there is no daemon that serves us. */
  static async open(path: string): Promise<DaemonChannel | Outcome> {
    const channel = new DaemonChannel(net.connect({ path }))
    const body = Buffer.from(`${helloMagic}  `)
    body[helloMagic.length] = wireVersion
    body[helloMagic.length + 1] = 0
    const timer = setTimeout(() => channel.close(), tlsClientTurnMsMax)
    const answer = await channel.call({ ...plain, kind: callKinds.hello, head: body })
    clearTimeout(timer)
    if (answer.outcome.code !== 'none') {
      channel.close()
      return answer.outcome
    }
    channel.daemonId = hexText(answer.body, 2, 10)
    channel.#creditOctets = readU32(answer.body, 10)
    channel.#creditCalls = readU32(answer.body, 14)
    return channel
  }

  get isOpen(): boolean {
    return this.#fault === undefined
  }

  /** Sends a call; resolves with its answer. */
  call(call: ChannelCall): Promise<Answer> {
    return new Promise((resolve) => {
      if (this.#fault !== undefined) {
        resolve({ outcome: this.#fault, body: noOctets })
        return
      }
      if (this.#unanswered.size === 0) this.#socket.ref()
      const waiting = { call, resolve, before: 0 }
      if (this.#queued.length > 0 || !this.#hasCreditFor(call)) this.#queued.push(waiting)
      else this.#send(waiting)
    })
  }

  /** Sends a write that is answered only if it fails, and the read that stands for both. */
  exchange(write: ChannelCall, read: ChannelCall): Promise<Answer> {
    if (this.#fault !== undefined || this.#queued.length > 0 || !this.#hasCreditFor(write)) {
      return this.#exchangeInTurn(write, read)
    }
    return new Promise((resolve) => {
      if (this.#unanswered.size === 0) this.#socket.ref()
      const before = this.#send({ call: write, resolve, before: 0 })
      const waiting = { call: read, resolve, before }
      if (this.#hasCreditFor(read)) this.#send(waiting)
      else this.#queued.push(waiting)
    })
  }

  /** Sends a call that is never answered: a lease or its end, in order with the calls around it. */
  tell(call: ChannelCall): void {
    if (this.#fault !== undefined) return
    const waiting = { call, resolve: ignore, before: 0 }
    if (this.#queued.length > 0 || !this.#hasCreditFor(call)) this.#queued.push(waiting)
    else this.#send(waiting)
  }

  async #exchangeInTurn(write: ChannelCall, read: ChannelCall): Promise<Answer> {
    const written = this.call({ ...write, flags: write.flags & ~frameFlags.quiet })
    const answered = this.call(read)
    const end = await written
    return end.outcome.code === 'none' ? answered : end
  }

  /** Ends the connection. */
  close(): void {
    this.#socket.destroy()
    this.#end(daemonGone)
  }

  #hasCreditFor(call: ChannelCall): boolean {
    return this.#creditCalls > 0 && this.#creditOctets >= weightOf(call)
  }

  #send(waiting: Waiting): number {
    const { call } = waiting
    this.#request = this.#request === 0xffff_ffff ? 1 : this.#request + 1
    if (waiting.resolve !== ignore) {
      this.#creditCalls--
      this.#creditOctets -= weightOf(call)
      this.#unanswered.set(this.#request, waiting)
    }
    const { head, data } = call
    const frame = Buffer.allocUnsafe(headerOctets + head.length)
    const bodyOctets = head.length + (data?.length ?? 0)
    const { kind, flags, priority, lease } = call
    const request = this.#request
    writeHeader(frame, { kind, flags, priority, code: 0, request, lease }, bodyOctets)
    frame.set(head, headerOctets)
    if (this.#pieces.length === 0) process.nextTick(flush, this)
    this.#pieces.push(frame)
    if (data !== undefined) this.#pieces.push(data)
    return this.#request
  }

  flush(): void {
    const pieces = this.#pieces
    this.#pieces = []
    if (this.#socket.destroyed) return
    const octets = pieces.reduce((sum, piece) => sum + piece.length, 0)
    const [only] = pieces
    if (pieces.length === 1 && only !== undefined) this.#socket.write(only)
    else if (octets <= gatherOctetsMax) this.#socket.write(Buffer.concat(pieces, octets))
    else {
      this.#socket.cork()
      for (const piece of pieces) this.#socket.write(piece)
      this.#socket.uncork()
    }
  }

  #onData(chunk: Buffer): void {
    this.#reader.read(chunk, (frame) => this.#onAnswer(frame))
    if (this.#reader.fault !== undefined) this.close()
    while (this.#queued.length > 0) {
      const next = this.#queued[0]
      if (next === undefined || !this.#hasCreditFor(next.call)) break
      this.#queued.shift()
      this.#send(next)
    }
    if (this.#unanswered.size === 0 && this.#queued.length === 0) this.#socket.unref()
  }

  #onAnswer(frame: Frame): void {
    const code = tlsCodes[frame.code] ?? 'refused'
    if ((frame.kind & answerBit) === 0) {
      this.close()
      return
    }
    const isHello = frame.request === 0 && frame.kind === (callKinds.hello | answerBit)
    const request = isHello ? 1 : frame.request
    const waiting = this.#unanswered.get(request)
    if (waiting === undefined) return
    const body = frame.body()
    this.#settle(request, waiting, { outcome: outcomeOf(code, frame.kind, body), body })
  }

  #settle(request: number, waiting: Waiting, answer: Answer): void {
    this.#giveBack(request, waiting)
    const before = this.#unanswered.get(waiting.before)
    if (before !== undefined) this.#giveBack(waiting.before, before)
    waiting.resolve(answer)
  }

  #giveBack(request: number, { call }: Waiting): void {
    this.#unanswered.delete(request)
    this.#creditCalls++
    this.#creditOctets += weightOf(call)
  }

  #end(fault: Outcome): void {
    if (this.#fault !== undefined) return
    this.#fault = fault
    const answer = { outcome: fault, body: noOctets }
    for (const { resolve } of this.#unanswered.values()) resolve(answer)
    for (const { resolve } of this.#queued) resolve(answer)
    this.#unanswered.clear()
    this.#queued = []
  }
}

/** A call with nothing but its kind. */
export const plain = {
  flags: 0,
  priority: 0,
  lease: 0,
  head: noOctets,
  data: undefined,
  readOctets: 0,
} as const

function weightOf(call: ChannelCall): number {
  return chargeOf(call.head.length + (call.data?.length ?? 0), call.readOctets)
}

function outcomeOf(code: Outcome['code'], kind: number, body: Uint8Array): Outcome {
  if (code === 'none') return success
  const start = kind === (callKinds.write | answerBit) ? 4 : 0
  return failure(code, Buffer.from(body.subarray(start)).toString('utf8'))
}

function ignore(): void {}

function flush(channel: DaemonChannel): void {
  channel.flush()
}
