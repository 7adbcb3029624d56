/**
 * Refusal watch: hosts that refuse *us* (our address is listed, our name does not please them),
 * counted and told, so that an operator hears of it before half the world answers us that way.
 *
 * Such an answer proves nothing about a sender; what it says is about us. The first is told at
 * once, those of the next hour together. Pure: time comes in as milliseconds.
 */
import { refusalWarningEveryMs } from '../base/limits.ts'
import type { ProbeRecord } from './inquiry.ts'

/** Counts the refusals of one instance. */
export class RefusalWatch {
  readonly #warn: (text: string) => void
  #count = 0
  #untold = 0
  #toldAtMs = Number.NEGATIVE_INFINITY

  constructor(warn: (text: string) => void) {
    this.#warn = warn
  }

  /** Probes that were refused for what we are, since the start. */
  get count(): number {
    return this.#count
  }

  /** A probe has ended. */
  onProbe({ finding, target, subject }: ProbeRecord, nowMs: number): void {
    if (finding.name !== 'refuses-us') return
    this.#count++
    this.#untold++
    if (nowMs - this.#toldAtMs < refusalWarningEveryMs) return
    const said = finding.evidence.join('; ')
    this.#warn(
      `hosts refuse our probes (${this.#untold} since the last warning), last ${target} about ` +
        `${subject}: ${said}; look whether our address is on a blocklist, and at its name`,
    )
    this.#untold = 0
    this.#toldAtMs = nowMs
  }
}
