/**
 * DynamicEntries: the list `dynamic` as one thing: the IP table that judges by it, the store that
 * keeps it over a restart, and the feedback that fills it.
 *
 * The table comes first, so an entry works at once in every thread even where no store could be
 * opened; the store follows. Main thread.
 */
import type { Listing } from '../probes/feedback.ts'
import type { DynamicEntry, DynamicList } from '../store/dynamic-list.ts'

/** The table's half: what ListService offers of it. */
export interface DynamicTable {
  enterDynamic(entry: Pick<Listing, 'prefix' | 'ttlMs'>): void
  removeDynamic(prefix: string): void
}

/** The dynamic blacklist of an instance. */
export class DynamicEntries {
  readonly #table: DynamicTable
  /** What counted against an address is forgotten when an operator removes it. */
  readonly #onRemoved: (prefix: string) => void
  #kept: DynamicList | undefined

  constructor(table: DynamicTable, onRemoved: (prefix: string) => void) {
    this.#table = table
    this.#onRemoved = onRemoved
  }

  /** Enters what is alive in the store and keeps there what comes. Answers how many. */
  keepIn(list: DynamicList, nowMs: number): number {
    this.#kept = list
    list.sweep(nowMs)
    let count = 0
    for (const entry of list.entries(nowMs)) {
      this.#enter(entry, nowMs)
      count++
    }
    return count
  }

  /** Feedback found something. */
  learn(listing: Listing, nowMs: number): void {
    const { prefix, reason, evidence, ttlMs } = listing
    const expiresAtMs = ttlMs === 0 ? 0 : nowMs + ttlMs
    this.#table.enterDynamic(listing)
    const source = 'feedback'
    this.#kept?.add({ prefix, source, reason, evidence, addedAtMs: nowMs, expiresAtMs })
  }

  /** An operator changed the kept list: the table follows. */
  onChange(change: 'add' | 'remove', entry: DynamicEntry, nowMs: number): void {
    if (change === 'add') {
      this.#enter(entry, nowMs)
    } else {
      this.#table.removeDynamic(entry.prefix)
      this.#onRemoved(entry.prefix)
    }
  }

  close(): void {
    this.#kept = undefined
  }

  #enter({ prefix, expiresAtMs }: DynamicEntry, nowMs: number): void {
    const ttlMs = expiresAtMs === 0 ? 0 : Math.max(1, expiresAtMs - nowMs)
    this.#table.enterDynamic({ prefix, ttlMs })
  }
}
