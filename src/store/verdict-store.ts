/**
 * Verdict store: the probes' cache in LMDB, so that what was found out survives a restart.
 *
 * Two databases: `verdicts` by key, and `verdict-times` by the time of expiry, so that a sweep takes
 * exactly what is over and, in a full store, what would be over first. A write is visible to `get` at
 * once and on disk with the next commit; what a crash loses is asked for again. A fault of the disk
 * is counted and told, and answers *not known*: a store in trouble never makes a verdict.
 */
import type { Database, RootDatabase } from 'lmdb'
import { messageOf } from '../base/errors.ts'
import { storeSweepEntriesMax, storeWritesWaitingMax } from '../base/limits.ts'
import type { CachedVerdict, VerdictCache } from '../probes/verdict-cache.ts'

/** The cache in the store. One per process writes; `sweep` is called every few seconds. */
export class VerdictStore implements VerdictCache {
  readonly #verdicts: Database<CachedVerdict, string>
  readonly #times: Database<null, [number, string]>
  readonly #entriesMax: number
  readonly #onFault: (detail: string) => void
  readonly #waiting = new Map<string, CachedVerdict>()
  #faults = 0
  #isClosed = false

  constructor(root: RootDatabase, entriesMax: number, onFault: (detail: string) => void) {
    this.#verdicts = root.openDB({ name: 'verdicts', encoding: 'msgpack' })
    this.#times = root.openDB({ name: 'verdict-times', encoding: 'msgpack' })
    this.#entriesMax = entriesMax
    this.#onFault = onFault
  }

  get size(): number {
    return this.#entryCount()
  }

  /** Reads and writes that failed since the start. */
  get faults(): number {
    return this.#faults
  }

  get(key: string, nowMs: number): CachedVerdict | undefined {
    const verdict = this.#waiting.get(key) ?? this.#read(key)
    return verdict !== undefined && verdict.untilMs > nowMs ? verdict : undefined
  }

  put(key: string, verdict: CachedVerdict): void {
    if (this.#isClosed) return
    if (this.#waiting.size >= storeWritesWaitingMax) {
      this.#fault('too many writes wait for the disk')
      return
    }
    this.#waiting.set(key, verdict)
    const done = (): void => {
      if (this.#waiting.get(key) === verdict) this.#waiting.delete(key)
    }
    const written = this.#verdicts.batch(() => {
      this.#verdicts.put(key, verdict)
      this.#times.put([verdict.untilMs, key], null)
    })
    written.then(done, (error: unknown) => {
      done()
      this.#fault(messageOf(error))
    })
  }

  async flush(prefix: string): Promise<number> {
    let count = 0
    while (true) {
      const keys = [...this.#verdicts.getKeys(rangeOf(prefix, storeSweepEntriesMax))]
      if (keys.length === 0) return count
      await this.#verdicts.batch(() => {
        for (const key of keys) this.#verdicts.remove(key)
      })
      count += keys.length
    }
  }

  entries(prefix: string, nowMs: number, countMax: number): [string, CachedVerdict][] {
    const found: [string, CachedVerdict][] = []
    for (const { key, value } of this.#verdicts.getRange(rangeOf(prefix, undefined))) {
      if (found.length >= countMax) break
      if (value.untilMs > nowMs) found.push([key, value])
    }
    return found
  }

  /** Takes away what is over, and in a full store what would be over first. Bounded; call it again. */
  async sweep(nowMs: number): Promise<number> {
    const surplus = Math.min(this.#entryCount() - this.#entriesMax, storeSweepEntriesMax)
    const over = [...this.#times.getKeys({ limit: storeSweepEntriesMax })].filter(
      ([untilMs], index) => untilMs <= nowMs || index < surplus,
    )
    if (over.length === 0) return 0
    await this.#verdicts.batch(() => {
      for (const time of over) this.#removeAt(time)
    })
    return over.length
  }

  /** Resolves when everything put so far is on disk. */
  async flushed(): Promise<void> {
    await this.#verdicts.flushed
  }

  /** Takes nothing more; resolves when what was taken is on disk, before the store is closed. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.flushed()
  }

  /** A time entry may be older than the verdict: then only the time goes. */
  #removeAt(time: [number, string]): void {
    const [untilMs, key] = time
    this.#times.remove(time)
    if (this.#verdicts.get(key)?.untilMs === untilMs) this.#verdicts.remove(key)
  }

  #read(key: string): CachedVerdict | undefined {
    if (this.#isClosed) return undefined
    try {
      return this.#verdicts.get(key)
    } catch (error) {
      this.#fault(messageOf(error))
      return undefined
    }
  }

  #entryCount(): number {
    try {
      const { entryCount } = this.#verdicts.getStats() as { entryCount?: number }
      return entryCount ?? 0
    } catch (error) {
      this.#fault(messageOf(error))
      return 0
    }
  }

  #fault(detail: string): void {
    this.#faults++
    this.#onFault(detail)
  }
}

/** Keys that begin with the text. */
function rangeOf(prefix: string, limit: number | undefined) {
  const bounds = prefix === '' ? {} : { start: prefix, end: `${prefix}\uffff` }
  return limit === undefined ? bounds : { ...bounds, limit }
}
