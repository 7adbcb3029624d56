/**
 * Good hosts: when a host or a network last delivered accepted mail. Feedback leaves them alone for
 * `feedback.good_for` where a sender may be forged, and keeps their network off the list.
 *
 * In the store, so that a restart does not make them strangers. A note is made once a day at the
 * most (feedback's rule), so a busy host costs one write a day.
 */
import { storeSweepPartMax } from '../base/limits.ts'
import type { Store } from './store.ts'
import type { StoreTable } from './table.ts'

/** The notes, by feedback's key of a host or network. */
export class GoodHosts {
  readonly #store: Store
  readonly #table: StoreTable<number>
  #sweptTo = ''

  constructor(store: Store) {
    this.#store = store
    this.#table = store.table<number>('good-hosts')
  }

  /** When it last delivered, wall clock milliseconds; 0 = never, or the store cannot be read. */
  goodAtMs(key: string): number {
    try {
      const atMs = this.#table.get(key)
      return typeof atMs === 'number' ? atMs : 0
    } catch (error) {
      this.#store.onReadFault(error)
      return 0
    }
  }

  note(key: string, wallMs: number): void {
    this.#table.put(key, wallMs)
  }

  /** Takes away what was noted before and not since, a bounded part of the table at a time. */
  sweep(beforeMs: number): void {
    const part = [...this.#table.entries(this.#sweptTo, storeSweepPartMax)]
    const isEnd = part.length < storeSweepPartMax
    this.#sweptTo = isEnd ? '' : (part.at(-1)?.[0] ?? '')
    for (const [key, atMs] of part) {
      // A later note may still be on its way.
      if (atMs < beforeMs && this.goodAtMs(key) < beforeMs) this.#table.remove(key)
    }
  }
}
