/**
 * The slow twin of the socket engine: the same face over net.Socket.
 *
 * It proves the native engine (both pass test/contract/engine.ts), serves where the addon is
 * missing, and is the plain description of what an engine does. One object per connection; the
 * state says which events may still come:
 *
 *   waiting ──first sign──▶ open ──close──▶ closing ──┐
 *   connecting ──────────▶ open                        ├──▶ gone
 *   any state ── reset, error, timeout ────────────────┘
 *
 * `waiting`: a client that has not been told of yet. In `closing` nothing but onClose comes.
 */
import { connect as connectSocket, type Socket } from 'node:net'
import {
  backlogHighOctets,
  backlogOctetsMax,
  backlogTextHighOctets,
  closeFlushMs,
  doneLingerMs,
  lingerMs,
} from '../base/limits.ts'
import { type Adopter, type Candidate, forgetAdopter, registerAdopter } from './adopters.ts'
import type {
  CloseReason,
  ConnectionId,
  Engine,
  EngineHandler,
  EngineOptions,
  Peer,
} from './engine.ts'
import type { EngineToken } from './gate.ts'
import { Pass } from './socket-pass.ts'

type State = 'waiting' | 'connecting' | 'open' | 'closing' | 'gone'

interface Connection {
  readonly id: ConnectionId
  readonly socket: Socket
  readonly peer: Peer | undefined
  state: State
  isOverHighMark: boolean
  hasEnded: boolean
  /** What onClose will say; set by whoever ends the connection first. */
  reason: CloseReason | undefined
  timer: NodeJS.Timeout | undefined
  pass: Pass | undefined
}

/** An engine over net.Socket for the calling thread. */
export function newSocketEngine(handler: EngineHandler, options: EngineOptions): Engine {
  return new SocketEngine(handler, options)
}

class SocketEngine implements Engine, Adopter {
  readonly token: EngineToken
  readonly #handler: EngineHandler
  readonly #open = new Map<ConnectionId, Connection>()
  #clientDeadlineMs: number
  #lastId = 0
  #clients = 0
  #delivered: Uint8Array | undefined
  /** The connection that they came from. */
  #delivering: Connection | undefined
  /** Sockets given out that stand yet: who has them may want to connect. */
  #detached = 0
  #onEmpty: (() => void) | undefined

  constructor(handler: EngineHandler, options: EngineOptions) {
    this.#handler = handler
    this.#clientDeadlineMs = options.clientDeadlineMs
    this.token = registerAdopter(this)
  }

  get backlogOctets(): number {
    let octets = 0
    for (const { socket } of this.#open.values()) octets += socket.writableLength
    return octets
  }

  get connections(): number {
    return this.#open.size
  }

  get clients(): number {
    return this.#clients
  }

  adopt({ socket, peer }: Candidate): void {
    this.#clients += 1
    socket.once('close', () => {
      this.#clients -= 1
    })
    const connection = this.#add(socket, peer, 'waiting')
    this.#setTimer(connection, this.#clientDeadlineMs, () => this.#expire(connection))
    socket.resume()
  }

  connect(address: string, port: number, timeoutMs: number): ConnectionId {
    const socket = connectSocket({ host: address, port, noDelay: true, allowHalfOpen: true })
    const connection = this.#add(socket, undefined, 'connecting')
    this.#setTimer(connection, timeoutMs, () => this.#destroy(connection, 'timeout'))
    socket.once('connect', () => {
      if (connection.state !== 'connecting') return
      clearTimeout(connection.timer)
      connection.state = 'open'
      this.#handler.onConnected(connection.id)
    })
    return connection.id
  }

  send(id: ConnectionId, octets: Uint8Array): boolean {
    return this.#write(id, Uint8Array.from(octets))
  }

  sendText(id: ConnectionId, text: string): boolean {
    return this.#write(id, Buffer.from(text, 'latin1'), backlogTextHighOctets)
  }

  forward(id: ConnectionId, start: number, end: number): boolean {
    const chunk = this.#delivered
    return chunk === undefined ? true : this.#write(id, chunk.subarray(start, end))
  }

  pass(source: ConnectionId, target: ConnectionId, scanState: number, octetsMax: number): void {
    const connection = this.#live(source)
    if (connection === undefined || connection !== this.#delivering) return
    connection.pass = new Pass(target, scanState, octetsMax)
  }

  pause(id: ConnectionId): void {
    this.#live(id)?.socket.pause()
  }

  resume(id: ConnectionId): void {
    this.#live(id)?.socket.resume()
  }

  deadline(id: ConnectionId, afterMs: number): void {
    const connection = this.#live(id)
    if (connection === undefined || connection.state === 'connecting') return
    this.#setTimer(connection, afterMs, () => this.#expire(connection))
  }

  close(id: ConnectionId, isDone = false): void {
    const connection = this.#live(id)
    if (connection === undefined) return
    if (connection.state === 'connecting') {
      this.#destroy(connection, 'closed')
      return
    }
    connection.state = 'closing'
    connection.reason = connection.hasEnded ? 'ended' : 'closed'
    this.#setTimer(connection, closeFlushMs, () => connection.socket.resetAndDestroy())
    connection.socket.resume()
    connection.socket.end(() => {
      this.#setTimer(connection, isDone ? doneLingerMs : lingerMs, () =>
        connection.socket.destroy(),
      )
    })
  }

  reset(id: ConnectionId): void {
    const connection = this.#live(id)
    if (connection === undefined) return
    connection.state = 'closing'
    connection.reason = 'closed'
    connection.socket.resetAndDestroy()
  }

  untaken(id: ConnectionId): number {
    return this.#live(id)?.socket.writableLength ?? 0
  }

  detach(id: ConnectionId): Socket | undefined {
    const connection = this.#live(id)
    if (connection === undefined || connection.state === 'connecting') return undefined
    clearTimeout(connection.timer)
    connection.state = 'gone'
    const { socket } = connection
    socket.pause()
    for (const event of ['data', 'end', 'drain', 'error']) socket.removeAllListeners(event)
    this.#open.delete(id)
    this.#detached += 1
    socket.once('close', () => {
      this.#detached -= 1
      this.#tellEmpty()
    })
    return socket
  }

  clientDeadline(afterMs: number): void {
    this.#clientDeadlineMs = afterMs
    for (const connection of this.#open.values()) {
      if (connection.state !== 'waiting') continue
      const waitedMs = performance.now() - (connection.peer?.acceptedAtMs ?? 0)
      const leftMs = afterMs === 0 ? 0 : Math.max(1, afterMs - waitedMs)
      this.#setTimer(connection, leftMs, () => this.#expire(connection))
    }
  }

  stop(): Promise<void> {
    forgetAdopter(this.token)
    for (const connection of this.#open.values()) {
      if (connection.state !== 'waiting') continue
      this.#setTimer(connection, 1, () => this.#expire(connection))
    }
    return new Promise((resolve) => {
      this.#onEmpty = resolve
      this.#tellEmpty()
    })
  }

  #add(socket: Socket, peer: Peer | undefined, state: State): Connection {
    this.#lastId += 1
    const connection: Connection = {
      id: this.#lastId,
      socket,
      peer,
      state,
      isOverHighMark: false,
      hasEnded: false,
      reason: undefined,
      timer: undefined,
      pass: undefined,
    }
    this.#open.set(connection.id, connection)
    socket.on('data', (chunk: Buffer) => this.#onData(connection, chunk))
    socket.on('end', () => this.#onEnd(connection))
    socket.on('drain', () => this.#onDrain(connection))
    socket.on('error', (error: NodeJS.ErrnoException) => {
      connection.reason ??= reasonOf(error, connection.state)
    })
    socket.once('close', () => this.#onClose(connection))
    return connection
  }

  /** The connection of an id on which methods still have an effect. */
  #live(id: ConnectionId): Connection | undefined {
    const connection = this.#open.get(id)
    return connection?.state === 'closing' ? undefined : connection
  }

  #write(id: ConnectionId, octets: Uint8Array, highOctets = backlogHighOctets): boolean {
    const connection = this.#live(id)
    if (connection === undefined) return true
    const { socket } = connection
    if (socket.writable) socket.write(octets)
    if (socket.writableLength > backlogOctetsMax) this.#destroy(connection, 'reset')
    if (socket.writableLength <= highOctets) return true
    connection.isOverHighMark = true
    return false
  }

  #onData(connection: Connection, chunk: Buffer): void {
    if (!this.#firstSign(connection) || this.#passOn(connection, chunk)) return
    this.#endPass(connection)
    this.#delivered = chunk
    this.#delivering = connection
    this.#handler.onData(connection.id, chunk, 0, chunk.length)
    this.#delivering = undefined
    this.#delivered = undefined
  }

  /** False: the chunk is to be told of. */
  #passOn({ pass }: Connection, chunk: Uint8Array): boolean {
    const target = pass === undefined ? undefined : this.#live(pass.target)
    if (pass === undefined || target === undefined) return false
    if (target.socket.writableLength > backlogHighOctets) return false
    const octets = pass.take(chunk)
    if (octets === undefined) return false
    // Nobody is told that the target is full, so nobody waits for its drain.
    if (octets.length > 0 && target.socket.writable) target.socket.write(octets)
    return true
  }

  #endPass(connection: Connection): void {
    const { pass } = connection
    connection.pass = undefined
    if (pass === undefined || connection.state === 'closing') return
    this.#handler.onPassed?.(connection.id, pass.octets, pass.scanState, pass.silentMs)
  }

  #onEnd(connection: Connection): void {
    if (!this.#firstSign(connection)) return
    connection.hasEnded = true
    this.#endPass(connection)
    this.#handler.onEnd(connection.id)
  }

  #onDrain(connection: Connection): void {
    if (!connection.isOverHighMark || connection.state !== 'open') return
    connection.isOverHighMark = false
    this.#endPass(connection)
    this.#handler.onDrain(connection.id)
  }

  #expire(connection: Connection): void {
    if (!this.#firstSign(connection)) return
    this.#endPass(connection)
    this.#handler.onDeadline(connection.id)
  }

  /** Tells of a client that was not told of yet. False: no event may come any more. */
  #firstSign(connection: Connection): boolean {
    if (connection.state === 'waiting' && connection.peer !== undefined) {
      clearTimeout(connection.timer)
      connection.state = 'open'
      this.#handler.onOpen(connection.id, connection.peer)
    }
    return connection.state === 'open'
  }

  #onClose(connection: Connection): void {
    if (connection.state === 'gone') return
    const wasTold = connection.state !== 'waiting'
    this.#endPass(connection)
    clearTimeout(connection.timer)
    connection.state = 'gone'
    this.#open.delete(connection.id)
    if (wasTold) this.#handler.onClose(connection.id, connection.reason ?? 'reset')
    this.#tellEmpty()
  }

  #tellEmpty(): void {
    if (this.#open.size === 0 && this.#detached === 0) this.#onEmpty?.()
  }

  #destroy(connection: Connection, reason: CloseReason): void {
    connection.reason ??= reason
    connection.state = 'closing'
    connection.socket.destroy()
  }

  #setTimer(connection: Connection, afterMs: number, act: () => void): void {
    clearTimeout(connection.timer)
    connection.timer = afterMs > 0 ? setTimeout(act, afterMs) : undefined
  }
}

function reasonOf(error: NodeJS.ErrnoException, state: State): CloseReason {
  if (state !== 'connecting') return 'reset'
  if (error.code === 'ECONNREFUSED') return 'refused'
  return error.code === 'ETIMEDOUT' ? 'timeout' : 'unreachable'
}
