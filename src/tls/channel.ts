/**
 * DaemonChannel: an application's connection to a daemon (or to `tls wrap --api`), with its calls.
 *
 * Calls of one wake-up leave in one write. A call that the credit does not cover waits in its
 * session's lane (credit.ts). When the connection ends, every call that is not answered ends as
 * `daemonGone`, at once, and so does every later one: a channel does not come back, its owner makes
 * another.
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
  tlsQueueCallsMax,
} from '../base/limits.ts'
import { failure, type Outcome, success, type TlsCode, tlsCodes } from './api.ts'
import { type ChannelCall, Credit, Lane, type WaitingCall } from './credit.ts'
import { faultOf } from './fault.ts'
import { deferBehindPromises, FrameStream } from './frame-stream.ts'
import { hexText } from './handle.ts'
import { LongWrites } from './long-writes.ts'
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

/** An answer. */
export interface Answer {
  readonly outcome: Outcome
  /** What its body begins with, of read (pending) and write (written); of all others 0. */
  readonly word: number
  /** On success what follows; else empty. */
  readonly body: Uint8Array
}

interface Waiting extends WaitingCall {
  end: (answer: Answer) => void
  /** The quiet write sent before it, which its answer stands for, and the write's number. */
  before: ChannelCall | undefined
  beforeRequest: number
}

/** No octets. */
export const noOctets = new Uint8Array(0)

const daemonGone = failure('daemonGone', 'no TLS daemon')

/** What a call on a daemon ends with that is there and does not answer. */
export const daemonSilent = failure(
  'daemonGone',
  `the TLS daemon has been silent for ${tlsDaemonSilentMsMax} ms`,
)

/** What its calls end with where too many of them wait: nobody is bound to keep them. */
const tooManyWait = failure('daemonGone', 'too many calls wait for the TLS daemon')

const leaseBroken = failure('refused', 'the lease was given back')

const wouldRead = failure('wantRead', 'too much waits for the daemon')
const wouldWrite = failure('wantWrite', wouldRead.message)

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
  /** Of calls that are none of a session. */
  readonly #common = new Lane<Waiting>()
  /** Lanes in which calls wait. */
  readonly #waitingLanes = new Set<Lane>()
  #request = 0
  // One call is kept back for the question whether the daemon is there.
  #credit = new Credit(tlsCreditCalls - 1, tlsCreditOctets - handleOctets)
  #fault: Outcome | undefined
  readonly #longWrites = new LongWrites()
  readonly #header = { kind: 0, flags: 0, priority: 0, code: 0, request: 0, lease: 0 }
  /** Calls without an answer that wait in lanes. */
  #toldWaiting = 0
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
    const octets = readU32(answer.body, 10) - handleOctets
    channel.#credit = new Credit(readU32(answer.body, 14) - 1, octets)
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
      this.#place(waitingOf(call, resolve))
    })
  }

  /**
   * Sends a write that is answered only if it fails, and the read that stands for both; tells the
   * fault of the first or the answer of the second.
   */
  exchange(write: ChannelCall, read: ChannelCall, end: (answer: Answer) => void): void {
    const asked = this.#credit.fit(read)
    const isCovered = this.#credit.covers(asked) && this.#credit.covers(write, asked)
    const isNext = isCovered && this.#laneOf(write).isEmpty
    if (this.#fault !== undefined || !isNext) {
      void this.#exchangeInTurn(write, read).then(end)
      return
    }
    this.#hold()
    this.#credit.charge(write)
    const beforeRequest = this.#put(write)
    this.#send({ call: asked, end, before: write, beforeRequest })
  }

  /** Sends a call that is never answered: a lease or its end, in order with the calls around it. */
  tell(call: ChannelCall): void {
    if (this.#fault !== undefined) return
    // No credit bounds them.
    const isStuck = this.#frames.backlog > 2 * tlsCreditOctets
    if (isStuck || this.#toldWaiting > tlsQueueCallsMax) {
      this.#giveUp(tooManyWait)
      return
    }
    this.#toldWaiting++
    this.#place(waitingOf(call, ignore))
  }

  async #exchangeInTurn(write: ChannelCall, read: ChannelCall): Promise<Answer> {
    const written = this.call({ ...write, flags: write.flags & ~frameFlags.quiet })
    const answered = this.call(read)
    const end = await written
    return end.outcome.code === 'none' ? answered : end
  }

  /** Ends the connection. */
  close(): void {
    const answer = faultAnswer(daemonGone)
    // The end of a lease may be the last that was put: lost, it would end the session, too.
    for (const lane of this.#waitingLanes) {
      ;(lane as Lane<Waiting>).drain(({ call, end }) => {
        if (call.kind !== callKinds.release) return false
        this.#put({ ...call, flags: call.flags | frameFlags.quiet })
        end(answer)
        return true
      })
    }
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
      this.#isHeld = this.#unanswered.size > 0 || this.#waitingLanes.size > 0
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
    this.#send(waitingOf(call, end))
  }

  #onSilent(): void {
    if (this.daemonId === '') {
      // It may still say hello: that somebody uses this then is worth no process of its own. The
      // first call from then on is watched like any other.
      this.#isHeld = false
      this.#frames.hold(false)
      this.#onHelloLate()
    } else this.#giveUp(daemonSilent)
  }

  #giveUp(fault: Outcome): void {
    this.#frames.close()
    this.#end(fault)
  }

  #laneOf({ lane }: ChannelCall): Lane<Waiting> {
    // Only a channel fills lanes, and a session's calls go through one.
    return (lane as Lane<Waiting> | undefined) ?? this.#common
  }

  #place(waiting: Waiting): void {
    const lane = this.#laneOf(waiting.call)
    const { kind, flags, lease } = waiting.call
    const isBroken = kind === callKinds.release && (flags & frameFlags.broken) !== 0
    if (isBroken && lease !== 0) this.#dropLease(lane, lease)
    if (!mayWait(waiting.call)) {
      const isSent = lane.offer(waiting, this.#sendCovered)
      if (!isSent) waiting.end(faultAnswer(kind === callKinds.read ? wouldRead : wouldWrite))
      return
    }
    lane.place(waiting, this.#sendCovered)
    if (!lane.isEmpty) this.#waitingLanes.add(lane as Lane)
  }

  /** What waits of a broken lease would be refused behind its end: it goes nowhere. */
  #dropLease(lane: Lane<Waiting>, lease: number): void {
    for (const { end } of lane.dropLease(lease)) end(faultAnswer(leaseBroken))
    lane.drain(this.#sendCovered)
  }

  /** False: the credit does not cover it now, or a write of another handle goes on. */
  readonly #sendCovered = (waiting: Waiting): boolean => {
    const call = this.#credit.fit(waiting.call)
    if (!this.#credit.covers(call) || !this.#longWrites.mayBegin(call)) return false
    waiting.call = call
    this.#send(waiting)
    return true
  }

  #send(waiting: Waiting): void {
    const request = this.#put(waiting.call)
    this.#longWrites.note(waiting.call)
    if (waiting.end === ignore) {
      this.#toldWaiting--
      return
    }
    this.#credit.charge(waiting.call)
    this.#unanswered.set(request, waiting)
  }

  #put({ kind, flags, priority, lease, head, readOctets, data }: ChannelCall): number {
    this.#request = numberBehind(this.#request, this.#unanswered)
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
    for (const lane of this.#waitingLanes) {
      lane.drain(this.#sendCovered as (waiting: WaitingCall) => boolean)
      if (lane.isEmpty) this.#waitingLanes.delete(lane)
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
      this.#credit.giveBack(waiting.call)
      if (waiting.before !== undefined) this.#credit.giveBack(waiting.before)
      waiting.end(answerOf(frame))
    }
  }

  /** The write of an exchange is answered where it failed. */
  #onWriteFailed(request: number, frame: Frame): void {
    for (const waiting of this.#unanswered.values()) {
      if (waiting.before === undefined || waiting.beforeRequest !== request) continue
      this.#credit.giveBack(waiting.before)
      waiting.before = undefined
      waiting.end(answerOf(frame))
      waiting.end = ignore
      return
    }
  }

  #end(fault: Outcome): void {
    if (this.#fault !== undefined) return
    this.#fault = fault
    const answer = faultAnswer(fault)
    for (const { call, before, end } of this.#unanswered.values()) {
      this.#credit.giveBack(call)
      if (before !== undefined) this.#credit.giveBack(before)
      end(answer)
    }
    for (const lane of this.#waitingLanes) {
      for (const { end } of (lane as Lane<Waiting>).clear()) end(answer)
    }
    this.#unanswered.clear()
    this.#waitingLanes.clear()
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
  lane: undefined,
} as const

/** False: it was told not to. Of a write in parts no part is left out. */
function mayWait({ flags }: ChannelCall): boolean {
  const { noWait, more, continues } = frameFlags
  return (flags & (noWait | more | continues)) !== noWait
}

/** A call that is sent for itself. */
function waitingOf(call: ChannelCall, end: (answer: Answer) => void): Waiting {
  return { call, end, before: undefined, beforeRequest: 0 }
}

/** The next request number: none that still waits for its answer when all have been used. */
export function numberBehind(last: number, taken: ReadonlyMap<number, unknown>): number {
  let next = last
  do next = next === 0xffff_ffff ? 1 : next + 1
  while (taken.has(next))
  return next
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
