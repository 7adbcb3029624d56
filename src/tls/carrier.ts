/**
 * Carrier: what carries one connection of a SecureEngine: a TLS socket, or a lease on a session.
 */
import type { CloseReason } from '../io/engine.ts'

/** What a carrier tells; never from inside its own methods. */
export interface CarrierEvents {
  onConnected(): void
  /** The chunk is the receiver's. */
  onData(chunk: Uint8Array): void
  onDrain(): void
  onEnd(): void
  /** Last, once. */
  onClose(reason: CloseReason): void
}

/** Carries octets of one connection. */
export interface Carrier {
  /** Takes octets, which must not change afterwards. @returns octets that wait to be sent. */
  write(octets: Uint8Array): number
  pause(): void
  resume(): void
  /** Ends in good order; `done` when what was written has been sent. */
  end(done: () => void): void
  /** Ends at once. */
  destroy(): void
}
