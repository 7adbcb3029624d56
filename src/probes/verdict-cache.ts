/**
 * Verdict cache: what the probes have found out, by key, until it is too old.
 *
 * Keys: `h:` and the key of a host (relay or dialup), `u:` and a sender key (the user test),
 * `d:` and a domain (accepts all, refuses us), `f:` and the key of a host (since when findings
 * count against it). Behind the face stand MemoryVerdictCache here, for
 * tests and where there is no store, and the one of src/store/verdict-store.ts, which survives a
 * restart. Both pass test/contract/verdict-cache.ts.
 */
import type { Finding } from '../checks/finding.ts'

/** What a domain's mail exchangers are known for. */
export type DomainFact = 'accepts-all' | 'asks-each' | 'refuses-us'

/** One entry. */
export interface CachedVerdict {
  /** Of a host or sender; the evidence is bounded by the broker. */
  readonly finding?: Finding
  /** Of a domain. */
  readonly fact?: DomainFact
  /** Wall clock, milliseconds. */
  readonly foundAtMs: number
  readonly untilMs: number
}

/** A bounded map with expiry. `get` never answers an expired entry. */
export interface VerdictCache {
  /** O(log entries); no I/O wait but for a page fault. */
  get(key: string, wallMs: number): CachedVerdict | undefined
  put(key: string, verdict: CachedVerdict): void
  /** Removes the keys that begin with the text; resolves with their number. */
  flush(prefix: string): Promise<number>
  /** The first entries whose keys begin with the text, expired ones left out. */
  entries(prefix: string, wallMs: number, countMax: number): [string, CachedVerdict][]
  /** Entries, expired ones that were not swept yet included. */
  readonly size: number
}

/** The cache in memory: the oldest entry goes when it is full. */
export class MemoryVerdictCache implements VerdictCache {
  readonly #entries = new Map<string, CachedVerdict>()
  readonly #entriesMax: number

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: string, wallMs: number): CachedVerdict | undefined {
    const verdict = this.#entries.get(key)
    if (verdict === undefined || verdict.untilMs > wallMs) return verdict
    this.#entries.delete(key)
    return undefined
  }

  put(key: string, verdict: CachedVerdict): void {
    this.#entries.delete(key)
    this.#entries.set(key, verdict)
    if (this.#entries.size <= this.#entriesMax) return
    const oldest = this.#entries.keys().next().value
    if (oldest !== undefined) this.#entries.delete(oldest)
  }

  flush(prefix: string): Promise<number> {
    const keys = [...this.#entries.keys()].filter((key) => key.startsWith(prefix))
    for (const key of keys) this.#entries.delete(key)
    return Promise.resolve(keys.length)
  }

  entries(prefix: string, wallMs: number, countMax: number): [string, CachedVerdict][] {
    return [...this.#entries]
      .filter(([key, verdict]) => key.startsWith(prefix) && verdict.untilMs > wallMs)
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .slice(0, countMax)
  }
}
