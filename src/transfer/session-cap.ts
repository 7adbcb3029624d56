/**
 * SessionCap: how many sessions all threads together hold to each mailhost.
 *
 * One Int32 per mailhost slot counts the sessions of all threads; beside it every thread has a row
 * of its own with what it holds, how many transactions wait there and whether it finds the
 * mailhost away, so that a thread that dies can be subtracted, a thread with spare sessions sees
 * that another waits, and `activemx status` says what is away. All of it lies in one
 * SharedArrayBuffer; nobody ever blocks on it.
 *
 *     totals[slot] | row 0: held[slot] waiting[slot] away[slot] | row 1: …
 */
import { mailhostSlotsMax } from '../base/limits.ts'

const rowLength = 3 * mailhostSlotsMax

/** The view of one thread; the main thread only asks, through any. */
export class SessionCap {
  readonly #cells: Int32Array
  readonly #threads: number
  readonly #row: number

  /** Memory for so many threads. */
  static allocate(threads: number): SharedArrayBuffer {
    const cells = mailhostSlotsMax + threads * rowLength
    return new SharedArrayBuffer(cells * Int32Array.BYTES_PER_ELEMENT)
  }

  constructor(memory: SharedArrayBuffer, thread: number) {
    this.#cells = new Int32Array(memory)
    this.#threads = (this.#cells.length - mailhostSlotsMax) / rowLength
    this.#row = rowOf(thread)
  }

  /** Takes a place; false when all threads together hold `sessionsMax` (0 = no limit). */
  take(slot: number, sessionsMax: number): boolean {
    const held = Atomics.add(this.#cells, slot, 1)
    if (sessionsMax > 0 && held >= sessionsMax) {
      Atomics.sub(this.#cells, slot, 1)
      return false
    }
    Atomics.add(this.#cells, this.#row + slot, 1)
    return true
  }

  /** Gives a place back. */
  release(slot: number): void {
    Atomics.sub(this.#cells, this.#row + slot, 1)
    Atomics.sub(this.#cells, slot, 1)
  }

  /** Tells how many transactions of this thread wait for a place. */
  waiting(slot: number, count: number): void {
    Atomics.store(this.#cells, this.#row + mailhostSlotsMax + slot, count)
  }

  /** Tells whether this thread finds the mailhost away. */
  tellAway(slot: number, isAway: boolean): void {
    Atomics.store(this.#cells, this.#row + 2 * mailhostSlotsMax + slot, Number(isAway))
  }

  /** Threads that find the mailhost away. */
  awayIn(slot: number): number {
    let count = 0
    for (let thread = 0; thread < this.#threads; thread++) {
      count += Atomics.load(this.#cells, rowOf(thread) + 2 * mailhostSlotsMax + slot)
    }
    return count
  }

  /** This thread holds more than its share while others wait: its next free session should go. */
  shouldYield(slot: number, sessionsMax: number): boolean {
    if (sessionsMax <= 0 || this.#threads < 2) return false
    const own = Atomics.load(this.#cells, this.#row + slot)
    return own > Math.floor(sessionsMax / this.#threads) && this.othersWaiting(slot) > 0
  }

  /** Transactions that wait in other threads. */
  othersWaiting(slot: number): number {
    let count = 0
    for (let thread = 0; thread < this.#threads; thread++) {
      const row = rowOf(thread)
      if (row !== this.#row) count += Atomics.load(this.#cells, row + mailhostSlotsMax + slot)
    }
    return count
  }

  /** Sessions of all threads. */
  held(slot: number): number {
    return Atomics.load(this.#cells, slot)
  }

  /** A thread has died: what it held and waited for is gone. Called by the main thread. */
  forget(thread: number): void {
    const row = rowOf(thread)
    for (let slot = 0; slot < mailhostSlotsMax; slot++) {
      Atomics.sub(this.#cells, slot, Atomics.exchange(this.#cells, row + slot, 0))
      Atomics.store(this.#cells, row + mailhostSlotsMax + slot, 0)
      Atomics.store(this.#cells, row + 2 * mailhostSlotsMax + slot, 0)
    }
  }
}

function rowOf(thread: number): number {
  return mailhostSlotsMax + thread * rowLength
}
