/**
 * CallQueue: the calls that wait for a session, in the order of the daemon's one discipline.
 *
 * `fifo`: first in, first out. `priority`: highest first, equals in order of arrival; with ageing a
 * waiting call rises by one priority every `ageingMs`, so that nothing starves. All waiting calls
 * rise equally fast, so the order of two of them never changes while they wait: their place is
 * fixed at arrival by  key = priority − arrivalMs / ageingMs  and a binary heap holds them.
 *
 * Pure: the caller gives the time. Bounded: `push` refuses above `callsMax`.
 */

/** The order in which a daemon serves. */
export type Discipline =
  | { readonly kind: 'fifo' }
  | {
      readonly kind: 'priority'
      /** Milliseconds that weigh as much as one priority; 0: no ageing. */
      readonly ageingMs: number
    }

interface Entry<Call> {
  readonly call: Call
  readonly key: number
  readonly arrival: number
}

let arrivals = 0

/** A queue of calls. push and shift: O(log n), no allocation but the entry; remove: O(n). */
export class CallQueue<Call> {
  readonly #discipline: Discipline
  readonly #callsMax: number
  readonly #heap: Entry<Call>[] = []

  constructor(discipline: Discipline, callsMax: number) {
    this.#discipline = discipline
    this.#callsMax = callsMax
  }

  /** Calls that wait. */
  get size(): number {
    return this.#heap.length
  }

  /** Lets a call wait. @returns false when the queue is full: the call is not in it. */
  push(call: Call, priority: number, nowMs: number): boolean {
    if (this.#heap.length >= this.#callsMax) return false
    this.#heap.push({ call, key: this.#keyOf(priority, nowMs), arrival: arrivals++ })
    this.#rise(this.#heap.length - 1)
    return true
  }

  /** Takes the call whose turn it is. */
  shift(): Call | undefined {
    const first = this.#heap[0]
    const last = this.#heap.pop()
    if (first === undefined || last === undefined) return undefined
    if (first !== last) {
      this.#heap[0] = last
      this.#sink(0)
    }
    return first.call
  }

  /** Takes out every call that `isUnwanted` and gives them back, in no order. */
  remove(isUnwanted: (call: Call) => boolean): readonly Call[] {
    const removed: Call[] = []
    const kept: Entry<Call>[] = []
    for (const entry of this.#heap) {
      if (isUnwanted(entry.call)) removed.push(entry.call)
      else kept.push(entry)
    }
    if (removed.length === 0) return removed
    this.#heap.splice(0, this.#heap.length, ...kept)
    for (let at = (kept.length >> 1) - 1; at >= 0; at--) this.#sink(at)
    return removed
  }

  /** True when this queue's next call comes before the other queue's; false when this is empty. */
  isBefore(other: CallQueue<unknown>): boolean {
    const mine = this.#heap[0]
    if (mine === undefined) return false
    const theirs = other.#heap[0]
    return theirs === undefined || comesBefore(mine, theirs)
  }

  #keyOf(priority: number, nowMs: number): number {
    if (this.#discipline.kind === 'fifo') return 0
    const { ageingMs } = this.#discipline
    return ageingMs === 0 ? priority : priority - nowMs / ageingMs
  }

  #rise(at: number): void {
    const heap = this.#heap
    const entry = heap[at]
    if (entry === undefined) return
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = heap[above]
      if (parent === undefined || !comesBefore(entry, parent)) break
      heap[at] = parent
      at = above
    }
    heap[at] = entry
  }

  #sink(at: number): void {
    const heap = this.#heap
    const entry = heap[at]
    if (entry === undefined) return
    for (;;) {
      let below = 2 * at + 1
      let child = heap[below]
      if (child === undefined) break
      const right = heap[below + 1]
      if (right !== undefined && comesBefore(right, child)) {
        child = right
        below++
      }
      if (!comesBefore(child, entry)) break
      heap[at] = child
      at = below
    }
    heap[at] = entry
  }
}

function comesBefore(one: Entry<unknown>, other: Entry<unknown>): boolean {
  return one.key > other.key || (one.key === other.key && one.arrival < other.arrival)
}
