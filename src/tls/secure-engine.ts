/**
 * SecureEngine: an engine whose connections may change over to TLS, or come from the session
 * daemon.
 *
 * Stands around another engine and keeps its face. A connection that takes STARTTLS is detached
 * from the inner engine and goes on here over a TLSSocket, under the same id; a connection to the
 * mailhost may be a lease on a shared session instead (shared-carrier.ts). Everything else passes
 * through.
 *
 * Invariants are those of the face (io/engine.ts): no event from inside a method, onClose last and
 * once. In the handshake nothing is delivered; a failed one ends the connection.
 */
import type net from 'node:net'
import type tls from 'node:tls'
import {
  backlogHighOctets,
  backlogOctetsMax,
  backlogTextHighOctets,
  closeFlushMs,
  doneLingerMs,
  lingerMs,
} from '../base/limits.ts'
import type { CloseReason, ConnectionId, Engine, EngineHandler, Peer } from '../io/engine.ts'
import { type Carrier, type CarrierEvents, SocketCarrier } from './carrier.ts'
import { HelloReader } from './client-hello.ts'
import { faultOf } from './fault.ts'
import { Secured, type SecuredOwner } from './secured.ts'

/**
 * Puts TLS on a detached socket. Called outside the engine's own calls.
 * @param name that the client asks for, where it was wanted; else ''.
 */
export type PutTls = (socket: net.Socket, name: string) => tls.TLSSocket

/** Told once how a handshake ended: what was agreed, or the fault. */
export type OnSecured = (
  ending: { readonly description: string } | { readonly fault: string },
) => void

/** A handshake to be made. */
export interface Handshake {
  readonly event: 'secure' | 'secureConnect'
  readonly put: PutTls
  /** The name that the client asks for is read before TLS is put on. */
  readonly wantsName?: boolean
  /** Longest that it may take, milliseconds; above: the connection is closed. */
  readonly waitMs: number
  readonly done: OnSecured
}

/** Opens a connection that is carried by something else than the inner engine. */
export type OpenCarrier = (
  address: string,
  port: number,
  timeoutMs: number,
  events: CarrierEvents,
  id: ConnectionId,
) => Carrier

/** One thread's engine with TLS. */
export class SecureEngine implements Engine, EngineHandler {
  /** Set: mailhost connections are made by it. */
  openCarrier: OpenCarrier | undefined
  readonly #handler: EngineHandler
  readonly #inner: Engine
  readonly #secured = new Map<ConnectionId, Secured>()
  #delivered: Uint8Array | undefined
  #lastOwnId = 0
  #onEmpty: (() => void) | undefined
  readonly #owner: SecuredOwner

  constructor(handler: EngineHandler, newInner: (handler: EngineHandler) => Engine) {
    this.#handler = handler
    this.#inner = newInner(this)
    this.#owner = {
      handler,
      deliver: (id, chunk) => this.#deliver(id, chunk),
      forget: (secured) => this.#gone(secured),
    }
  }

  get backlogOctets(): number {
    return this.#inner.backlogOctets
  }

  get connections(): number {
    return this.#inner.connections + this.#secured.size
  }

  get token() {
    return this.#inner.token
  }

  /** Changes a connection over to TLS; what was queued is sent in plain text before. */
  secure(id: ConnectionId, handshake: Handshake): void {
    const socket = this.#inner.detach(id)
    if (socket === undefined) return
    const secured = this.#add(id)
    socket.on('error', ignoreError)
    // Node wants a turn of the loop between the last plain octet and the TLS socket.
    setImmediate(() => {
      if (secured.isClosing) socket.destroy()
      else if (handshake.wantsName === true) this.#readName(secured, socket, handshake)
      else this.#shake(secured, handshake.put(socket, ''), handshake)
    })
  }

  /** Waits for the ClientHello, and gives it back to the socket when its name is known. */
  #readName(secured: Secured, socket: net.Socket, handshake: Handshake): void {
    const hello = new HelloReader()
    const timer = setTimeout(() => socket.destroy(), handshake.waitMs)
    const onClose = (): void => {
      clearTimeout(timer)
      handshake.done({ fault: 'the peer closed in the handshake' })
      secured.onClose('ended')
    }
    const onData = (chunk: Buffer): void => {
      const name = hello.take(chunk)
      if (name === undefined) return
      clearTimeout(timer)
      socket.off('data', onData).off('end', onEnd).off('close', onClose).pause()
      socket.unshift(hello.octets)
      this.#shake(secured, handshake.put(socket, name), handshake)
    }
    const onEnd = (): void => void socket.destroy()
    secured.carrier = new SocketCarrier(socket)
    socket.on('data', onData).on('end', onEnd).on('close', onClose).resume()
  }

  connect(address: string, port: number, timeoutMs: number): ConnectionId {
    if (this.openCarrier === undefined) return this.#inner.connect(address, port, timeoutMs)
    this.#lastOwnId -= 1
    const secured = this.#add(this.#lastOwnId)
    const { id } = secured
    secured.carrier = this.openCarrier(address, port, timeoutMs, secured, id)
    return id
  }

  send(id: ConnectionId, octets: Uint8Array): boolean {
    const secured = this.#find(id)
    if (secured === undefined) return this.#inner.send(id, octets)
    return this.#write(secured, Uint8Array.from(octets))
  }

  sendText(id: ConnectionId, text: string): boolean {
    const secured = this.#find(id)
    if (secured === undefined) return this.#inner.sendText(id, text)
    return this.#write(secured, Buffer.from(text, 'latin1'), backlogTextHighOctets)
  }

  forward(id: ConnectionId, start: number, end: number): boolean {
    const secured = this.#find(id)
    const chunk = this.#delivered
    if (secured !== undefined) {
      // The chunk is the inner engine's and valid now only: TLS reads it later.
      return (
        chunk === undefined || this.#write(secured, Uint8Array.from(chunk.subarray(start, end)))
      )
    }
    if (this.#isOwnChunk && chunk !== undefined)
      return this.#inner.send(id, chunk.subarray(start, end))
    return this.#inner.forward(id, start, end)
  }

  #isOwnChunk = false

  /** In the clear on both sides only. */
  pass(source: ConnectionId, target: ConnectionId, scanState: number, octetsMax: number): void {
    if (this.#find(source) !== undefined || this.#find(target) !== undefined) return
    this.#inner.pass?.(source, target, scanState, octetsMax)
  }

  pause(id: ConnectionId): void {
    const secured = this.#find(id)
    if (secured === undefined) this.#inner.pause(id)
    else secured.carrier?.pause()
  }

  resume(id: ConnectionId): void {
    const secured = this.#find(id)
    if (secured === undefined) this.#inner.resume(id)
    else secured.carrier?.resume()
  }

  deadline(id: ConnectionId, afterMs: number): void {
    const secured = this.#find(id)
    if (secured === undefined) this.#inner.deadline(id, afterMs)
    else if (!secured.isClosing)
      this.#setTimer(secured, afterMs, () => this.#handler.onDeadline(id))
  }

  close(id: ConnectionId, isDone = false): void {
    const secured = this.#find(id)
    if (secured === undefined) {
      this.#inner.close(id, isDone)
      return
    }
    if (secured.isClosing) return
    secured.isClosing = true
    secured.reason ??= 'closed'
    if (secured.carrier === undefined) {
      this.#gone(secured)
      return
    }
    this.#setTimer(secured, closeFlushMs, () => secured.carrier?.destroy())
    secured.carrier.end(() => {
      this.#setTimer(secured, isDone ? doneLingerMs : lingerMs, () => secured.carrier?.destroy())
    })
  }

  reset(id: ConnectionId): void {
    const secured = this.#find(id)
    if (secured === undefined) {
      this.#inner.reset(id)
      return
    }
    if (secured.isClosing) return
    secured.isClosing = true
    secured.reason ??= 'closed'
    if (secured.carrier === undefined) this.#gone(secured)
    else secured.carrier.destroy()
  }

  untaken(id: ConnectionId): number {
    const secured = this.#find(id)
    return secured === undefined ? this.#inner.untaken(id) : (secured.carrier?.untaken ?? 0)
  }

  detach(id: ConnectionId): net.Socket | undefined {
    return this.#inner.detach(id)
  }

  clientDeadline(afterMs: number): void {
    this.#inner.clientDeadline(afterMs)
  }

  async stop(): Promise<void> {
    await this.#inner.stop()
    if (this.#secured.size === 0) return
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve
    })
  }

  // Events of the inner engine.

  onOpen(id: ConnectionId, peer: Peer): void {
    this.#handler.onOpen(id, peer)
  }

  onData(id: ConnectionId, chunk: Uint8Array, start: number, end: number): void {
    this.#delivered = chunk
    this.#handler.onData(id, chunk, start, end)
    this.#delivered = undefined
  }

  onPassed(id: ConnectionId, octets: number, scanState: number, silentMs: number): void {
    this.#handler.onPassed?.(id, octets, scanState, silentMs)
  }

  onConnected(id: ConnectionId): void {
    this.#handler.onConnected(id)
  }

  onDrain(id: ConnectionId): void {
    this.#handler.onDrain(id)
  }

  onEnd(id: ConnectionId): void {
    this.#handler.onEnd(id)
  }

  onDeadline(id: ConnectionId): void {
    this.#handler.onDeadline(id)
  }

  onClose(id: ConnectionId, reason: CloseReason): void {
    this.#handler.onClose(id, reason)
  }

  /** Most threads carry no TLS of their own: then there is nothing to look up. */
  #find(id: ConnectionId): Secured | undefined {
    return this.#secured.size === 0 ? undefined : this.#secured.get(id)
  }

  #add(id: ConnectionId): Secured {
    const secured = new Secured(id, this.#owner)
    this.#secured.set(id, secured)
    return secured
  }

  #shake(secured: Secured, socket: tls.TLSSocket, { event, waitMs, done }: Handshake): void {
    let fault = 'the peer closed in the handshake'
    // Let go with the handshake's end: what is idle holds nothing of it.
    let shaking: { readonly timer: NodeJS.Timeout; readonly done: OnSecured } | undefined = {
      timer: setTimeout(() => socket.destroy(), waitMs),
      done,
    }
    secured.carrier = new SocketCarrier(socket)
    socket.on('error', (error) => {
      fault = faultOf(error).message
      secured.reason ??= 'reset'
    })
    socket.on('close', () => {
      clearTimeout(shaking?.timer)
      shaking?.done({ fault })
      secured.onClose('ended')
    })
    // Nothing can be delivered before the handshake is over; an end inside it is a failure of it.
    socket.on('data', (chunk: Buffer) => secured.onData(chunk))
    socket.on('end', () => {
      if (shaking === undefined) secured.onEnd()
      else socket.destroy()
    })
    socket.once(event, () => {
      const shaken = shaking
      shaking = undefined
      clearTimeout(shaken?.timer)
      if (secured.isClosing) return
      socket.on('drain', () => secured.onDrain())
      shaken?.done({ description: `${socket.getProtocol()} ${socket.getCipher().standardName}` })
    })
  }

  #deliver(id: ConnectionId, chunk: Uint8Array): void {
    this.#delivered = chunk
    this.#isOwnChunk = true
    this.#handler.onData(id, chunk, 0, chunk.length)
    this.#isOwnChunk = false
    this.#delivered = undefined
  }

  #write(secured: Secured, octets: Uint8Array, highOctets = backlogHighOctets): boolean {
    const { carrier } = secured
    if (carrier === undefined || secured.isClosing) return true
    const backlog = carrier.write(octets)
    if (backlog > backlogOctetsMax) this.reset(secured.id)
    if (backlog <= highOctets) return true
    secured.isOverHighMark = true
    return false
  }

  #gone(secured: Secured): void {
    clearTimeout(secured.timer)
    // Never from inside a method of the engine.
    setImmediate(() => {
      if (!this.#secured.delete(secured.id)) return
      this.#handler.onClose(secured.id, secured.reason ?? 'reset')
      if (this.#secured.size === 0) this.#onEmpty?.()
    })
  }

  #setTimer(secured: Secured, afterMs: number, act: () => void): void {
    clearTimeout(secured.timer)
    secured.timer = afterMs > 0 ? setTimeout(act, afterMs) : undefined
  }
}

/** An error is reported by the TLS socket; without a listener it would end the process. */
function ignoreError(): void {}
