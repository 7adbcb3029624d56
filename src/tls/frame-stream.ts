/**
 * FrameStream: frames both ways over a Unix socket; the daemon's side and the application's alike.
 *
 * Frames of one wake-up are put together in one buffer and leave in one write, at the end of the
 * turn. The buffer comes from a pool of the thread and goes back with the write: a stream that has
 * nothing to say owns none. Data too long for it are written as they stand.
 */
import type net from 'node:net'
import { type LocalStream, openLocalStream } from './local-stream.ts'
import {
  type Frame,
  type FrameFault,
  type FrameHeader,
  FrameReader,
  headerOctets,
  writeHeader,
  writeU32,
} from './wire.ts'

/** What a stream of frames tells its owner; never from inside its own methods. */
export interface FrameEvents {
  /** Valid inside the call; the octets of the body stay as they are. */
  onFrame(frame: Frame): void
  /** The frames of a wake-up have been read. */
  onRead(fault: FrameFault | undefined): void
  /** All that had to wait has been sent. */
  onDrain(): void
  /** The connection is over; last, once. */
  onClose(): void
}

const stagingOctets = 32 * 1024
/** Longer data are not copied. */
const copiedOctetsMax = 8 * 1024
const pooledMax = 64
const pool: Buffer[] = []
const resolved = Promise.resolve()

/** Has the frames of a turn sent at its end. */
export type Defer = (flush: () => void) => void

/**
 * Behind the promises that are settled: for calls, which are made where promises are awaited. One
 * turn of promises more: what is said to an answer that was there at once leaves with it. A tick
 * would enter JavaScript once more for each wake-up.
 */
export const deferBehindPromises: Defer = (flush) => {
  void resolved.then(() => void resolved.then(flush))
}

/**
 * With the first tick: for answers, which are given in the handlers of TLS sockets. Promises come
 * behind the ticks that Node's streams have queued by then, which the caller would wait for.
 */
export const deferToTick: Defer = (flush) => process.nextTick(flush)

/** One connection that carries frames. */
export class FrameStream {
  /** Octets that wait for the peer to take them. */
  backlog = 0
  #isOpen = true
  readonly #stream: LocalStream
  readonly #events: FrameEvents
  readonly #reader = new FrameReader()
  readonly #onFrame: (frame: Frame) => void
  readonly #flushNow = (): void => this.flush()
  readonly #defer: Defer
  #staged: Buffer | undefined
  #stagedOctets = 0

  /**
   * @param socket connected, read by nobody; it is the stream's from now on.
   * @param defer when what was put leaves.
   */
  constructor(socket: net.Socket, events: FrameEvents, defer: Defer) {
    this.#events = events
    this.#defer = defer
    this.#onFrame = (frame) => {
      if (this.#isOpen) events.onFrame(frame)
    }
    this.#stream = openLocalStream(socket, {
      onData: (chunk, start, end) => this.#onData(chunk, start, end),
      onDrain: () => {
        this.backlog = 0
        events.onDrain()
      },
      onClose: () => this.#onClose(),
    })
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Octets kept of a frame that is not whole yet. */
  get held(): number {
    return this.#reader.held
  }

  /**
   * Sends a frame with the end of this turn. Its body: `head`, then `word` (−1: none) in four
   * octets, then `data`, which must not change until then.
   */
  put(header: FrameHeader, head: Uint8Array, word: number, data: Uint8Array): void {
    if (!this.#isOpen) return
    const wordOctets = word === -1 ? 0 : 4
    const bodyOctets = head.length + wordOctets + data.length
    const staged = this.#roomFor(headerOctets + head.length + wordOctets)
    let at = this.#stagedOctets
    writeHeader(staged, header, bodyOctets, at)
    at += headerOctets
    staged.set(head, at)
    at += head.length
    if (word !== -1) writeU32(staged, at, word)
    this.#stagedOctets = at + wordOctets
    if (data.length > 0) this.#putData(data)
  }

  /** Sends what was put, now. */
  flush(): void {
    const staged = this.#staged
    if (staged === undefined) return
    this.#staged = undefined
    if (this.#isOpen) this.backlog = this.#stream.send(staged, 0, this.#stagedOctets)
    if (staged.length === stagingOctets && pool.length < pooledMax) pool.push(staged)
  }

  /** Stops and starts reading. */
  read(isReading: boolean): void {
    this.#stream.read(isReading)
  }

  /** Whether it keeps the process alive; it does at first. */
  hold(isHeld: boolean): void {
    this.#stream.hold(isHeld)
  }

  /** Ends the connection at once; no frame comes any more. */
  close(): void {
    this.#isOpen = false
    this.#stream.close()
  }

  #roomFor(octets: number): Buffer {
    if (this.#staged !== undefined && this.#stagedOctets + octets > stagingOctets) this.flush()
    const there = this.#staged
    if (there !== undefined && octets <= stagingOctets) return there
    const staged =
      octets > stagingOctets
        ? Buffer.allocUnsafe(octets)
        : (pool.pop() ?? Buffer.allocUnsafeSlow(stagingOctets))
    this.#staged = staged
    this.#stagedOctets = 0
    this.#defer(this.#flushNow)
    return staged
  }

  #putData(data: Uint8Array): void {
    if (data.length <= copiedOctetsMax) {
      this.#roomFor(data.length).set(data, this.#stagedOctets)
      this.#stagedOctets += data.length
      return
    }
    this.flush()
    this.backlog = this.#stream.send(data, 0, data.length)
  }

  #onData(chunk: Uint8Array, start: number, end: number): void {
    if (!this.#isOpen) return
    this.#reader.read(chunk, this.#onFrame, start, end)
    if (this.#isOpen) this.#events.onRead(this.#reader.fault)
  }

  #onClose(): void {
    this.#isOpen = false
    this.#events.onClose()
  }
}
