/**
 * RefusalList: what a gate of this thread has refused, until the main thread takes it. Twin of
 * native/gate/refusal_ring.
 *
 * Bounded: a refusal that finds it full has its id, and is counted in `lost`, not kept.
 */
import { refusalsMax } from '../base/limits.ts'
import type { Peer } from './engine.ts'
import type { Refusal, RefusalCause } from './gate.ts'
import { newRefusalIds } from './refusal-id.ts'

/** Refusals in the order in which they happened. */
export class RefusalList {
  /** Refusals that found it full. */
  lost = 0
  readonly #newId = newRefusalIds()
  #kept: Refusal[] = []

  /** Adds one; `octets` as in Refusal. @returns the id that its reply carries. */
  add(
    { address, port, verdictClass }: Peer,
    cause: RefusalCause,
    action: Refusal['action'],
    octets: number,
  ): string {
    const time = Date.now()
    const id = this.#newId(time)
    if (this.#kept.length >= refusalsMax) this.lost += 1
    else this.#kept.push({ time, id, address, port, cause, action, verdictClass, octets })
    return id
  }

  /** Hands all out. */
  take(): readonly Refusal[] {
    const taken = this.#kept
    this.#kept = []
    return taken
  }
}
