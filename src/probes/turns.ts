/**
 * Turns: one at a time per key; the others wait in a bounded line, first come first served.
 *
 * Who has the turn passes it on exactly once, whatever came of it. Pure: no clock, no I/O.
 */

/** Lines of those who wait, by key. */
export class Turns {
  readonly #waitingMax: number
  /** A key is here while somebody has its turn. */
  readonly #lines = new Map<string, (() => void)[]>()

  /** `waitingMax`: how many may wait in one line behind the one who has the turn. */
  constructor(waitingMax: number) {
    this.#waitingMax = waitingMax
  }

  /** Waits for the turn. @returns false at once where the line is full: nothing to pass on. */
  async take(key: string): Promise<boolean> {
    const line = this.#lines.get(key)
    if (line === undefined) {
      this.#lines.set(key, [])
      return true
    }
    if (line.length >= this.#waitingMax) return false
    await new Promise<void>((resolve) => line.push(resolve))
    return true
  }

  /** The turn is over: the next in the line has it. */
  pass(key: string): void {
    const next = this.#lines.get(key)?.shift()
    if (next === undefined) this.#lines.delete(key)
    else next()
  }
}
