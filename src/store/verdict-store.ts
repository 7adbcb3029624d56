/**
 * Verdict store: the probes' cache in LMDB, so that what was found out survives a restart.
 *
 * Two databases: `verdicts` by key, and `verdict-times` by the time of expiry, so that a sweep
 * takes exactly what is over and, in a full store, what would be over first. A write is visible to
 * `get` at once and on disk with the next commit; what a crash loses is asked for again. A fault of
 * the disk is counted and told, and answers *not known*: a store in trouble never makes a verdict.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Database } from 'lmdb'
import {
  endedVerdictsWaitingMax,
  storeBatchMax,
  storeBatchMs,
  storeSweepEntriesMax,
  storeSweepPartMax,
} from '../base/limits.ts'
import type { CachedVerdict, VerdictCache } from '../probes/verdict-cache.ts'
import type { Store } from './store.ts'

/** The cache in the store. One per process writes; `sweep` is called every few seconds. */
export class VerdictStore implements VerdictCache {
  /** Entries above which a sweep takes what would be over first. */
  entriesMax: number
  readonly #store: Store
  readonly #verdicts: Database<CachedVerdict, string>
  readonly #times: Database<null, [number, string]>
  readonly #waiting = new Map<string, CachedVerdict>()
  #timer: NodeJS.Timeout | undefined

  constructor(store: Store, entriesMax: number) {
    this.#store = store
    this.#verdicts = store.database('verdicts', 'msgpack')
    this.#times = store.database('verdict-times', 'msgpack')
    this.entriesMax = entriesMax
  }

  get size(): number {
    return this.#entryCount()
  }

  get(key: string, wallMs: number): CachedVerdict | undefined {
    const verdict = this.#waiting.get(key) ?? this.#read(key)
    return verdict !== undefined && verdict.untilMs > wallMs ? verdict : undefined
  }

  put(key: string, verdict: CachedVerdict): void {
    const isEnded = isEnd(verdict)
    if (this.#store.isClosed) return
    // A full store takes nothing new; what is known in it may still end, or be shortened.
    if (this.#store.isFull && !isEnded && !this.#isKnown(key)) return
    this.#waiting.set(key, verdict)
    // One that is over takes an older one away, with which no thread may answer any more.
    if (isEnded) queueMicrotask(() => this.#commit())
    if (this.#waiting.size >= storeBatchMax) this.#commit()
    else this.#timer ??= setTimeout(() => this.#commit(), storeBatchMs).unref()
  }

  /** Takes away in parts, with turns for others between them. */
  async flush(prefix: string): Promise<number> {
    let count = 0
    this.#commit()
    while (!this.#store.isClosed) {
      const keys = [...this.#verdicts.getKeys(rangeOf(prefix, storeSweepPartMax))]
      if (keys.length === 0) break
      const isDone = this.#store.transact(() => {
        for (const key of keys) this.#remove(key)
      })
      if (!isDone) break
      count += keys.length
      await nextTurn()
    }
    return count
  }

  entries(prefix: string, wallMs: number, countMax: number): [string, CachedVerdict][] {
    this.#commit()
    const found: [string, CachedVerdict][] = []
    for (const { key, value } of this.#verdicts.getRange(rangeOf(prefix, undefined))) {
      if (found.length >= countMax) break
      if (value.untilMs > wallMs) found.push([key, value])
    }
    return found
  }

  /**
   * Takes away what is over, and in a full store what would be over first. Bounded; call it again.
   */
  async sweep(wallMs: number): Promise<number> {
    const surplus = Math.min(this.#entryCount() - this.entriesMax, storeSweepEntriesMax)
    const over: [number, string][] = []
    for (const time of this.#times.getKeys({ limit: storeSweepEntriesMax })) {
      if (time[0] > wallMs && over.length >= surplus) break
      over.push(time)
    }
    if (over.length === 0) return 0
    const isDone = this.#store.transact(() => {
      for (const time of over) this.#removeAt(time)
    })
    return isDone ? over.length : 0
  }

  /** Resolves when everything put so far is on disk. */
  async flushed(): Promise<void> {
    this.#commit()
  }

  /**
   * Writes what waits, or gives it up: it is only a cache. What ends a verdict is tried again,
   * since else the threads would go on answering with that.
   */
  #commit(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#waiting.size === 0) return
    const isDone = this.#store.transact(() => {
      for (const [key, verdict] of this.#waiting) {
        if (isEnd(verdict)) this.#remove(key)
        else this.#keep(key, verdict)
      }
    })
    const ended = isDone || this.#store.isClosed ? [] : [...this.#waiting].filter(endsOne)
    this.#waiting.clear()
    if (ended.length === 0) return
    for (const [key, verdict] of ended.slice(-endedVerdictsWaitingMax)) {
      this.#waiting.set(key, verdict)
    }
    this.#timer = setTimeout(() => this.#commit(), storeBatchMs * 20).unref()
  }

  #keep(key: string, verdict: CachedVerdict): void {
    this.#verdicts.putSync(key, verdict)
    this.#times.putSync([verdict.untilMs, key], null)
  }

  #remove(key: string): void {
    const verdict = this.#read(key)
    this.#verdicts.removeSync(key)
    if (verdict !== undefined) this.#times.removeSync([verdict.untilMs, key])
  }

  /** A time entry may be older than the verdict: then only the time goes. */
  #removeAt(time: [number, string]): void {
    const [untilMs, key] = time
    this.#times.removeSync(time)
    if (this.#verdicts.get(key)?.untilMs === untilMs) this.#verdicts.removeSync(key)
  }

  #isKnown(key: string): boolean {
    return this.#waiting.has(key) || this.#read(key) !== undefined
  }

  #read(key: string): CachedVerdict | undefined {
    if (this.#store.isClosed) return undefined
    try {
      return this.#verdicts.get(key)
    } catch (error) {
      this.#store.onReadFault(error)
      return undefined
    }
  }

  #entryCount(): number {
    try {
      const { entryCount } = this.#verdicts.getStats() as { entryCount?: number }
      return entryCount ?? 0
    } catch (error) {
      this.#store.onReadFault(error)
      return 0
    }
  }
}

/** Over as soon as it is found: it takes an older one away. */
function isEnd(verdict: CachedVerdict): boolean {
  return verdict.untilMs <= verdict.foundAtMs
}

function endsOne([, verdict]: readonly [string, CachedVerdict]): boolean {
  return isEnd(verdict)
}

/** Keys that begin with the text. */
function rangeOf(prefix: string, limit: number | undefined) {
  const bounds = prefix === '' ? {} : { start: prefix, end: `${prefix}\uffff` }
  return limit === undefined ? bounds : { ...bounds, limit }
}
