/**
 * What is to be undone behind a test, in one list, the last first.
 */

/** Of one test file. */
export class Ends {
  readonly #ends: (() => unknown)[] = []

  /** Has it done behind the test. */
  atEnd(end: () => unknown): void {
    this.#ends.push(end)
  }

  async end(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) await end()
  }
}
