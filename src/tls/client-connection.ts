/**
 * ClientConnection: one connected client of a Unix socket that speaks the frames of wire.ts.
 *
 * Hello first, within its time; then calls. Answers of one wake-up leave in one write. A client that
 * breaks a rule of the frames, passes its credit, leaves a write unfinished or does not take its
 * answers is closed: its calls are forgotten, its leases given back, nobody else notices.
 */
import type net from 'node:net'
import {
  tlsAnswerBacklogOctetsMax,
  tlsClientStallMsMax,
  tlsClientTurnMsMax,
  tlsCreditCalls,
  tlsCreditOctets,
} from '../base/limits.ts'
import { tlsCodes } from './api.ts'
import { CallServer, type Extra } from './call-server.ts'
import type { GroupCalls } from './calls.ts'
import {
  answerBit,
  callKinds,
  encodeFrame,
  type Frame,
  FrameReader,
  helloMagic,
  wireVersion,
  writeU32,
} from './wire.ts'

/** What the owner of the socket does itself. */
export interface ClientOwner {
  /** 16 hexadecimal digits, told in the answer to hello. */
  readonly daemonId: string
  /** Answers the calls that are not for the sessions. */
  readonly extra: Extra
  /** Takes a call to somebody else: true when it did. Asked first. */
  readonly forward?: (frame: Frame) => boolean
  /** The client is gone. */
  onGone(client: ClientConnection): void
}

/** Who is at the other end, as the kernel says. */
export interface PeerCredentials {
  readonly pid: number
  readonly uid: number
  readonly gid: number
}

const gatherOctetsMax = 16 * 1024
const refusedNumber = tlsCodes.indexOf('refused')
/** Time to take a refusal. */
const refusalMs = 1000

/** One client. Belongs to the socket's owner; ends when the socket closes. */
export class ClientConnection {
  readonly #server: CallServer
  readonly #socket: net.Socket
  readonly #owner: ClientOwner
  readonly #calls: GroupCalls
  readonly #reader = new FrameReader()
  readonly #onFrame = (frame: Frame): void => this.#serve(frame)
  #isGreeted = false
  #answers: Uint8Array[] = []
  #answerOctets = 0
  #heardAtMs = performance.now()
  #stalledAtMs = 0

  constructor(socket: net.Socket, calls: GroupCalls, owner: ClientOwner) {
    this.#socket = socket
    this.#calls = calls
    this.#owner = owner
    const send = (head: Uint8Array, tail: Uint8Array | undefined) => this.send(head, tail)
    this.#server = new CallServer(calls, send, owner.extra)
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    socket.on('drain', () => this.#onDrain())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#owner.onGone(this))
  }

  /** Sends one frame in one or two pieces, together with what else leaves in this wake-up. */
  send(head: Uint8Array, tail: Uint8Array | undefined): void {
    if (this.#answers.length === 0) process.nextTick(flush, this)
    this.#answers.push(head)
    this.#answerOctets += head.length
    if (tail === undefined) return
    this.#answers.push(tail)
    this.#answerOctets += tail.length
  }

  /** Closes the client if it is late; the owner asks every second or so. */
  checkTime(nowMs: number): void {
    const isSilent = nowMs - this.#heardAtMs > tlsClientTurnMsMax
    const isLate =
      isSilent && (!this.#isGreeted || this.#calls.hasOpenWrite || this.#reader.held > 0)
    const isStalled = this.#stalledAtMs !== 0 && nowMs - this.#stalledAtMs > tlsClientStallMsMax
    if (isLate || isStalled) this.close()
  }

  /** Closes the connection at once. */
  close(): void {
    this.#socket.destroy()
  }

  flush(): void {
    const answers = this.#answers
    const octets = this.#answerOctets
    this.#answers = []
    this.#answerOctets = 0
    if (this.#socket.destroyed || this.#socket.writableEnded) return
    const [only] = answers
    if (answers.length === 1 && only !== undefined) this.#socket.write(only)
    else if (octets <= gatherOctetsMax) this.#socket.write(Buffer.concat(answers, octets))
    else this.#writeAll(answers)
    if (this.#socket.writableLength > tlsAnswerBacklogOctetsMax) {
      this.#stalledAtMs ||= performance.now()
      this.#socket.pause()
    }
  }

  #writeAll(answers: readonly Uint8Array[]): void {
    this.#socket.cork()
    for (const answer of answers) this.#socket.write(answer)
    this.#socket.uncork()
  }

  #onDrain(): void {
    this.#stalledAtMs = 0
    this.#socket.resume()
  }

  #onData(chunk: Buffer): void {
    this.#heardAtMs = performance.now()
    this.#reader.read(chunk, this.#onFrame)
    if (this.#reader.fault !== undefined) this.close()
  }

  #serve(frame: Frame): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return
    if (!this.#isGreeted) this.#greet(frame)
    else if ((frame.kind & answerBit) !== 0 || frame.kind === callKinds.hello) this.close()
    else if (this.#owner.forward?.(frame) !== true) this.#server.serve(frame)
    if (this.#server.fault !== undefined) this.close()
  }

  #greet(frame: Frame): void {
    const body = frame.body()
    const magic = Buffer.from(body.subarray(0, helloMagic.length)).toString('latin1')
    const isHello = frame.kind === callKinds.hello && body.length === helloMagic.length + 2
    if (!isHello || magic !== helloMagic) {
      this.close()
      return
    }
    const version = (body[helloMagic.length] ?? 0) | ((body[helloMagic.length + 1] ?? 0) << 8)
    if (version !== wireVersion) {
      refuse(this.#socket, `frames of version ${version}; this daemon speaks ${wireVersion}`)
      return
    }
    this.#isGreeted = true
    const answer = new Uint8Array(18)
    answer[0] = wireVersion
    answer.set(Buffer.from(this.#owner.daemonId, 'hex'), 2)
    writeU32(answer, 10, tlsCreditOctets)
    writeU32(answer, 14, tlsCreditCalls)
    this.send(encodeFrame(helloAnswer(0), answer), undefined)
  }
}

/** Answers a client that may not stay, and closes. */
export function refuse(socket: net.Socket, message: string): void {
  socket.on('error', () => socket.destroy())
  // What it has sent is read, else the kernel would reset the connection and the answer be lost.
  socket.resume()
  socket.end(encodeFrame(helloAnswer(refusedNumber), Buffer.from(message)))
  setTimeout(() => socket.destroy(), refusalMs).unref()
}

function helloAnswer(code: number) {
  return { kind: callKinds.hello | answerBit, flags: 0, priority: 0, code, request: 0, lease: 0 }
}

function flush(client: ClientConnection): void {
  client.flush()
}
