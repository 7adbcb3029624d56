/**
 * Turns: one piece of asynchronous work after the other, each to its end. What a piece rejects with
 * is its caller's; the next one begins all the same.
 */

/** A row of work. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs the work when all that was given before has ended. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => {})
    return turn
  }
}
