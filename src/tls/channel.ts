/**
 * DaemonChannel: an application's connection to a daemon (or to `tls wrap --api`), with its calls.
 *
 * Calls of one wake-up leave in one write. A call that the credit does not cover waits here, in
 * order. When the connection ends, every call that is not answered ends as `daemonGone`, at once,
 * and so does every later one: a channel does not come back, its owner makes another.
 *
 * A daemon that is stopped keeps its connections. While an answer is due and nothing comes, the
 * channel asks whether the daemon is there; without an answer to that it ends, too. A read may wait
 * for its peer as long as it likes, a daemon may not.
 */
import net from 'node:net'
import {
  tlsCreditCalls,
  tlsCreditOctets,
  tlsDaemonAskMs,
  tlsDaemonSilentMsMax,
  tlsDaemonTickMs,
} from '../base/limits.ts'
import { failure, type Outcome, success, type TlsCode, tlsCodes } from './api.ts'
import { chargeOf } from './charge.ts'
import { faultOf } from './fault.ts'
import { deferBehindPromises, FrameStream } from './frame-stream.ts'
import { hexText } from './handle.ts'
import {
  answerBit,
  callKinds,
  type Frame,
  frameFlags,
  handleOctets,
  helloMagic,
  readU32,
  wireVersion,
} from './wire.ts'

/** A call as the channel sends it. */
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
}

/** An answer. */
export interface Answer {
  readonly outcome: Outcome
  /** What its body begins with, of read (pending) and write (written); of all others 0. */
  readonly word: number
  /** On success what follows; else empty. */
  readonly body: Uint8Array
}

interface Waiting {
  readonly call: ChannelCall
  readonly end: (answer: Answer) => void
  /** The quiet write sent just before, which its answer stands for. */
  before: ChannelCall | undefined
}

/** No octets. */
export const noOctets = new Uint8Array(0)

const daemonGone = failure('daemonGone', 'no TLS daemon')

/** What a call on a daemon ends with that is there and does not answer. */
export const daemonSilent = failure(
  'daemonGone',
  `the TLS daemon has been silent for ${tlsDaemonSilentMsMax} ms`,
)

/** A session that nobody has: the daemon answers at once. */
const nobodysHandle = new Uint8Array(handleOctets)

/** How a channel is opened. */
export interface ChannelOpening {
  /** Gives the opening up. */
  readonly signal: AbortSignal
  /** The daemon does not say hello within its time; it may still do. */
  onSilent(): void
}

/** How long an idle connection may keep a process alive: less than anybody notices. */
const holdMs = 20

/** One connection; open until it ends. */
export class DaemonChannel {
  /** 16 hexadecimal digits; tokens of this daemon begin with them. */
  daemonId = ''
  readonly #frames: FrameStream
  readonly #unanswered = new Map<number, Waiting>()
  #queued: Waiting[] = []
  #request = 0
  // One call is kept back for the question whether the daemon is there.
  #creditCalls = tlsCreditCalls - 1
  #creditOctets = tlsCreditOctets - handleOctets
  #fault: Outcome | undefined
  readonly #header = { kind: 0, flags: 0, priority: 0, code: 0, request: 0, lease: 0 }
  #isHeld = false
  #silentMs = 0
  #isAsking = false
  readonly #onHelloLate: () => void

  private constructor(socket: net.Socket, onHelloLate: () => void) {
    this.#onHelloLate = onHelloLate
    this.#frames = new FrameStream(
      socket,
      {
        onFrame: (frame) => this.#onAnswer(frame),
        onRead: (fault) => {
          if (fault === undefined) this.#onRead()
          else this.close()
        },
        onDrain: () => undefined,
        onClose: () => this.#end(daemonGone),
      },
      deferBehindPromises,
    )
  }

  /** Connects and says hello. @returns the reason where there is no daemon that serves us. */
  static async open(path: string, opening: ChannelOpening): Promise<DaemonChannel | Outcome> {
    const { signal } = opening
    const socket = net.connect({ path }).pause()
    const reached = await connected(socket)
    if (reached.code !== 'none') return failure('daemonGone', `${path}: ${reached.message}`)
    const channel = new DaemonChannel(socket, opening.onSilent)
    const onAbort = (): void => channel.close()
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort)
    const answer = await channel.#sayHello()
    signal.removeEventListener('abort', onAbort)
    if (answer.outcome.code !== 'none') {
      channel.close()
      return withRemedy(answer.outcome)
    }
    channel.daemonId = hexText(answer.body, 2, 10)
    channel.#creditOctets = readU32(answer.body, 10) - handleOctets
    channel.#creditCalls = readU32(answer.body, 14) - 1
    return channel
  }

  #sayHello(): Promise<Answer> {
    const body = Buffer.from(`${helloMagic}  `)
    body[helloMagic.length] = wireVersion
    body[helloMagic.length + 1] = 0
    return this.call({ ...plain, kind: callKinds.hello, head: body })
  }

  get isOpen(): boolean {
    return this.#fault === undefined
  }

  /** It ended since the daemon said nothing. */
  get wasSilent(): boolean {
    return this.#fault === daemonSilent
  }

  /** Sends a call; resolves with its answer. */
  call(call: ChannelCall): Promise<Answer> {
    return new Promise((resolve) => {
      if (this.#fault !== undefined) {
        resolve(faultAnswer(this.#fault))
        return
      }
      this.#hold()
      this.#place({ call, end: resolve, before: undefined })
    })
  }

  /**
   * Sends a write that is answered only if it fails, and the read that stands for both; tells the
   * fault of the first or the answer of the second.
   */
  exchange(write: ChannelCall, read: ChannelCall, end: (answer: Answer) => void): void {
    const octets = weightOf(write) + weightOf(read)
    const isCovered = this.#creditCalls >= 2 && this.#creditOctets >= octets
    if (this.#fault !== undefined || this.#queued.length > 0 || !isCovered) {
      void this.#exchangeInTurn(write, read).then(end)
      return
    }
    this.#hold()
    this.#charge(write)
    this.#put(write)
    this.#send({ call: read, end, before: write })
  }

  /** Sends a call that is never answered: a lease or its end, in order with the calls around it. */
  tell(call: ChannelCall): void {
    if (this.#fault === undefined) this.#place({ call, end: ignore, before: undefined })
  }

  async #exchangeInTurn(write: ChannelCall, read: ChannelCall): Promise<Answer> {
    const written = this.call({ ...write, flags: write.flags & ~frameFlags.quiet })
    const answered = this.call(read)
    const end = await written
    return end.outcome.code === 'none' ? answered : end
  }

  /** Ends the connection. */
  close(): void {
    // The end of a lease may be the last that was put: lost, it would end the session, too.
    this.#frames.flush()
    this.#frames.close()
    this.#end(daemonGone)
  }

  /** An unanswered call keeps the process alive; and a moment longer, as the next is not far. */
  #hold(): void {
    if (this.#isHeld) return
    this.#isHeld = true
    this.#silentMs = 0
    this.#frames.hold(true)
    this.#look(holdMs)
  }

  #look(afterMs: number): void {
    const timer = setTimeout(() => {
      this.#isHeld = this.#unanswered.size > 0 || this.#queued.length > 0
      if (!this.#isHeld) this.#frames.hold(false)
      else if (this.#isThere(afterMs)) this.#look(tlsDaemonTickMs)
    }, afterMs)
    timer.unref()
  }

  /** False: an answer is due, and has been for too long. */
  #isThere(passedMs: number): boolean {
    this.#silentMs += passedMs
    if (this.#silentMs >= tlsDaemonSilentMsMax) {
      this.#onSilent()
      return false
    }
    if (this.#silentMs >= tlsDaemonAskMs && this.daemonId !== '' && !this.#isAsking) this.#ask()
    return true
  }

  #ask(): void {
    this.#isAsking = true
    const call = { ...plain, kind: callKinds.pending, head: nobodysHandle }
    const end = (): void => {
      this.#isAsking = false
    }
    this.#send({ call, end, before: undefined })
  }

  #onSilent(): void {
    if (this.daemonId === '') {
      // It may still say hello: that somebody uses this then is worth no process of its own. The
      // first call from then on is watched like any other.
      this.#isHeld = false
      this.#frames.hold(false)
      this.#onHelloLate()
    } else {
      this.#frames.close()
      this.#end(daemonSilent)
    }
  }

  #hasCreditFor(call: ChannelCall): boolean {
    return this.#creditCalls > 0 && this.#creditOctets >= weightOf(call)
  }

  #place(waiting: Waiting): void {
    if (this.#queued.length > 0 || !this.#hasCreditFor(waiting.call)) this.#queued.push(waiting)
    else this.#send(waiting)
  }

  #send(waiting: Waiting): void {
    const request = this.#put(waiting.call)
    if (waiting.end === ignore) return
    this.#charge(waiting.call)
    this.#unanswered.set(request, waiting)
  }

  #put({ kind, flags, priority, lease, head, readOctets, data }: ChannelCall): number {
    this.#request = this.#request === 0xffff_ffff ? 1 : this.#request + 1
    const header = this.#header
    header.kind = kind
    header.flags = flags
    header.priority = priority
    header.request = this.#request
    header.lease = lease
    this.#frames.put(header, head, readOctets, data)
    return this.#request
  }

  #onRead(): void {
    this.#silentMs = 0
    while (this.#queued.length > 0) {
      const next = this.#queued[0]
      if (next === undefined || !this.#hasCreditFor(next.call)) break
      this.#queued.shift()
      this.#send(next)
    }
  }

  #onAnswer(frame: Frame): void {
    if ((frame.kind & answerBit) === 0) {
      this.close()
      return
    }
    const isHello = frame.request === 0 && frame.kind === (callKinds.hello | answerBit)
    const request = isHello ? 1 : frame.request
    const waiting = this.#unanswered.get(request)
    if (waiting === undefined) this.#onWriteFailed(request, frame)
    else {
      this.#unanswered.delete(request)
      this.#giveBack(waiting.call)
      if (waiting.before !== undefined) this.#giveBack(waiting.before)
      waiting.end(answerOf(frame))
    }
  }

  /** The write of an exchange is answered where it failed; the read has the next number. */
  #onWriteFailed(request: number, frame: Frame): void {
    const waiting = this.#unanswered.get(request === 0xffff_ffff ? 1 : request + 1)
    if (waiting?.before === undefined) return
    this.#giveBack(waiting.before)
    waiting.before = undefined
    waiting.end(answerOf(frame))
  }

  #charge(call: ChannelCall): void {
    this.#creditCalls--
    this.#creditOctets -= weightOf(call)
  }

  #giveBack(call: ChannelCall): void {
    this.#creditCalls++
    this.#creditOctets += weightOf(call)
  }

  #end(fault: Outcome): void {
    if (this.#fault !== undefined) return
    this.#fault = fault
    const answer = faultAnswer(fault)
    for (const { end } of this.#unanswered.values()) end(answer)
    for (const { end } of this.#queued) end(answer)
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
  readOctets: -1,
  data: noOctets,
} as const

function weightOf({ head, readOctets, data }: ChannelCall): number {
  const wordOctets = readOctets === -1 ? 0 : 4
  return chargeOf(head.length + wordOctets + data.length, readOctets)
}

/** What a call ends with that no daemon has answered. */
export function faultAnswer(outcome: Outcome): Answer {
  return { outcome, word: 0, body: noOctets }
}

/** Whether the answer to a call begins with a number: a write's always, a read's on success. */
export function hasWord(kind: number, code: TlsCode): boolean {
  return kind === callKinds.write || (kind === callKinds.read && code === 'none')
}

function answerOf(frame: Frame): Answer {
  const code = tlsCodes[frame.code] ?? 'refused'
  const isCounted = hasWord(frame.kind & ~answerBit, code)
  const word = isCounted ? readU32(frame.octets, frame.start) : 0
  const body = frame.body(isCounted ? 4 : 0)
  if (code === 'none') return { outcome: success, word, body }
  return { outcome: failure(code, Buffer.from(body).toString('utf8')), word, body: noOctets }
}

/** A daemon of version 1 says only that it is one. */
function withRemedy({ code, message }: Outcome): Outcome {
  const isOld = code === 'refused' && message.endsWith('this daemon speaks 1')
  return failure(code, isOld ? `${message}: restart the daemon` : message)
}

function connected(socket: net.Socket): Promise<Outcome> {
  return new Promise((resolve) => {
    const finish = (outcome: Outcome): void => {
      socket.off('connect', onConnect).off('error', onError)
      resolve(outcome)
    }
    const onConnect = (): void => finish(success)
    const onError = (error: Error): void => finish(faultOf(error))
    socket.on('error', ignore).on('connect', onConnect).on('error', onError)
  })
}

function ignore(): void {}
