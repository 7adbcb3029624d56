/**
 * Random numbers from a seed (mulberry32): a test that fails prints its seed and can be run again.
 */

/** A seeded source; the same seed gives the same numbers everywhere. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }

  /** An integer in [0, limit). */
  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  /** True with this chance. */
  chance(share: number): boolean {
    return this.next() < share
  }

  /** One of the choices. */
  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.below(choices.length)]
    if (choice === undefined) throw new RangeError('nothing to pick from')
    return choice
  }

  /** The text cut at random places, into pieces of so many octets at the most. */
  pieces(text: string, octetsMax = 12): string[] {
    const pieces: string[] = []
    for (let at = 0; at < text.length; ) {
      const end = Math.min(text.length, at + 1 + this.below(octetsMax))
      pieces.push(text.slice(at, end))
      at = end
    }
    return pieces
  }
}
