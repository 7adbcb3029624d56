/**
 * Secured: one connection of a SecureEngine that the inner engine does not carry, and the events of
 * its carrier.
 *
 * One object for state and events: thousands of them stand idle. Nothing is told of a connection
 * that is being closed, but its end.
 */
import type { CloseReason, ConnectionId, EngineHandler } from '../io/engine.ts'
import type { Carrier, CarrierEvents } from './carrier.ts'

/** The engine, as its connections see it. */
export interface SecuredOwner {
  readonly handler: EngineHandler
  /** Octets have come, which are the receiver's. */
  deliver(id: ConnectionId, chunk: Uint8Array): void
  /** The connection is over. Once or more. */
  forget(secured: Secured): void
}

/** One connection. */
export class Secured implements CarrierEvents {
  readonly id: ConnectionId
  carrier: Carrier | undefined
  isClosing = false
  isOverHighMark = false
  reason: CloseReason | undefined
  timer: NodeJS.Timeout | undefined
  readonly #owner: SecuredOwner

  constructor(id: ConnectionId, owner: SecuredOwner) {
    this.id = id
    this.#owner = owner
  }

  onConnected(): void {
    if (!this.isClosing) this.#owner.handler.onConnected(this.id)
  }

  onData(chunk: Uint8Array): void {
    if (!this.isClosing) this.#owner.deliver(this.id, chunk)
  }

  onDrain(): void {
    if (!this.isOverHighMark || this.isClosing) return
    this.isOverHighMark = false
    this.#owner.handler.onDrain(this.id)
  }

  onEnd(): void {
    if (!this.isClosing) this.#owner.handler.onEnd(this.id)
  }

  onClose(reason: CloseReason): void {
    this.reason ??= reason
    this.#owner.forget(this)
  }
}
