/**
 * Carrier: what carries one connection of a SecureEngine: a TLS socket, or a lease on a session.
 */
import type net from 'node:net'
import type { CloseReason } from '../io/engine.ts'

/** What a carrier tells; never from inside its own methods. */
export interface CarrierEvents {
  onConnected(): void
  /** The chunk is the receiver's. */
  onData(chunk: Uint8Array): void
  onDrain(): void
  onEnd(): void
  /** It is a session of this process: the daemon was away, or refused. */
  onDirect?(): void
  /** Others wait for what carries it: it is to be closed as soon as it is not needed. */
  onWanted?(): void
  /** It was kept for long: this connection, and no other, is to be closed likewise. */
  onOverdue?(): void
  /** Last, once. */
  onClose(reason: CloseReason): void
}

/** Carries octets of one connection. */
export interface Carrier {
  /** Takes octets, which must not change afterwards. @returns octets that wait to be sent. */
  write(octets: Uint8Array): number
  /** Octets that wait to be sent. */
  readonly untaken: number
  pause(): void
  resume(): void
  /** Ends in good order; `done` when what was written has been sent. */
  end(done: () => void): void
  /** Ends at once. */
  destroy(): void
}

/** A socket, of TCP or TLS, as a carrier; its events are for the caller to hand on. */
export class SocketCarrier implements Carrier {
  readonly #socket: net.Socket

  constructor(socket: net.Socket) {
    this.#socket = socket
  }

  write(octets: Uint8Array): number {
    if (this.#socket.writable) this.#socket.write(octets)
    return this.untaken
  }

  get untaken(): number {
    return this.#socket.writableLength
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(done: () => void): void {
    this.#socket.resume()
    this.#socket.end(done)
  }

  destroy(): void {
    this.#socket.destroy()
  }
}
