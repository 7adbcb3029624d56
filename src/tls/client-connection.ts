/**
 * ClientConnection: one connected client of a Unix socket that speaks the frames of wire.ts.
 *
 * Hello first, within its time; then calls. Answers of one wake-up leave in one write. A client
 * that breaks a rule of the frames, passes its credit, leaves a write unfinished or does not take
 * its answers is closed: its calls are forgotten, its leases given back, nobody else notices.
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
import { deferToTick, FrameStream } from './frame-stream.ts'
import {
  answerBit,
  callKinds,
  encodeFrame,
  type Frame,
  type FrameFault,
  type FrameHeader,
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

const noOctets = new Uint8Array(0)
const refusedNumber = tlsCodes.indexOf('refused')
/** Time to take a refusal. */
const refusalMs = 1000

/** One client. Belongs to the socket's owner; ends when the socket closes. */
export class ClientConnection {
  readonly #server: CallServer
  readonly #frames: FrameStream
  readonly #owner: ClientOwner
  readonly #calls: GroupCalls
  #isGreeted = false
  #heardAtMs = performance.now()
  #stalledAtMs = 0
  /** Since when it has been read without a break. */
  #readSinceMs = this.#heardAtMs

  constructor(socket: net.Socket, calls: GroupCalls, owner: ClientOwner) {
    this.#calls = calls
    this.#owner = owner
    this.#frames = new FrameStream(
      socket,
      {
        onFrame: (frame) => this.#serve(frame),
        onRead: (fault) => this.#onRead(fault),
        onDrain: () => this.#onDrain(),
        onClose: () => owner.onGone(this),
      },
      deferToTick,
    )
    this.#server = new CallServer(calls, this.#frames, owner.extra)
  }

  /**
   * Sends one frame, together with what else leaves in this wake-up.
   * @param word in four octets before the body; −1: none.
   */
  put(header: FrameHeader, body: Uint8Array, word = -1): void {
    this.#frames.put(header, noOctets, word, body)
  }

  /** Closes the client if it is late; the owner asks every second or so. */
  checkTime(nowMs: number): void {
    const sinceMs = nowMs - tlsClientTurnMsMax
    const isSilent = this.#heardAtMs < sinceMs
    const isCutOff = !this.#isGreeted || this.#frames.held > 0
    const owes = (isSilent && isCutOff) || this.#calls.owesPart(sinceMs)
    // What is not read cannot come.
    const isLate = owes && this.#stalledAtMs === 0 && this.#readSinceMs < sinceMs
    // Not read any more because it takes no answers: its answers come from elsewhere, too.
    if (this.#frames.backlog > tlsAnswerBacklogOctetsMax) this.#stall()
    const isStalled = this.#stalledAtMs !== 0 && nowMs - this.#stalledAtMs > tlsClientStallMsMax
    if (isLate || isStalled) this.close()
  }

  /** Closes the connection at once. */
  close(): void {
    this.#frames.close()
  }

  #stall(): void {
    if (this.#stalledAtMs !== 0) return
    this.#stalledAtMs = performance.now()
    this.#frames.read(false)
  }

  #onDrain(): void {
    if (this.#stalledAtMs === 0) return
    this.#stalledAtMs = 0
    this.#readSinceMs = performance.now()
    this.#frames.read(true)
  }

  #onRead(fault: FrameFault | undefined): void {
    this.#heardAtMs = performance.now()
    if (fault !== undefined) {
      this.close()
      return
    }
    if (this.#frames.backlog > tlsAnswerBacklogOctetsMax) this.#stall()
  }

  #serve(frame: Frame): void {
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
      const remedy = `restart the ${version > wireVersion ? 'daemon' : 'program'}`
      const text = `frames of version ${version}; this daemon speaks ${wireVersion}: ${remedy}`
      this.put(helloAnswer(refusedNumber), Buffer.from(text))
      this.#frames.flush()
      this.close()
      return
    }
    this.#isGreeted = true
    const answer = new Uint8Array(18)
    answer[0] = wireVersion
    answer.set(Buffer.from(this.#owner.daemonId, 'hex'), 2)
    writeU32(answer, 10, tlsCreditOctets)
    writeU32(answer, 14, tlsCreditCalls)
    this.put(helloAnswer(0), answer)
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

function helloAnswer(code: number): FrameHeader {
  return { kind: callKinds.hello | answerBit, flags: 0, priority: 0, code, request: 0, lease: 0 }
}
