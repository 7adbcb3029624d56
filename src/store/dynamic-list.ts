/**
 * The list `dynamic`: addresses and blocks that feedback or an operator entered, with evidence and
 * an end. It survives a restart; the IP table holds what of it is alive.
 *
 * Keys are prefixes in the text form of formatPrefix, so that one prefix has one entry. An entry
 * that has ended is not alive and goes with the next sweep.
 */
import { formatPrefix, newPrefixCell, parsePrefix } from '../base/ip-address.ts'
import type { Store } from './store.ts'
import type { StoreTable } from './table.ts'

/** One entry. */
export interface DynamicEntry {
  /** `192.0.2.7/32`, `2001:db8::/64`. */
  readonly prefix: string
  readonly source: 'feedback' | 'operator'
  /** Name of the finding, or the operator's words. */
  readonly reason: string
  /** What feedback has found; an operator's entry has it where feedback has lengthened it. */
  readonly evidence: readonly string[]
  readonly addedAtMs: number
  /** Wall clock; 0 = never ends. */
  readonly expiresAtMs: number
}

type Stored = Omit<DynamicEntry, 'prefix'>

/** The entries, kept. */
export class DynamicList {
  readonly #table: StoreTable<Stored>

  constructor(store: Pick<Store, 'table'>) {
    this.#table = store.table<Stored>('dynamic')
  }

  /** Enters or replaces. False: the text is no prefix. */
  add(entry: DynamicEntry): boolean {
    const key = prefixKey(entry.prefix)
    if (key === undefined) return false
    const { source, reason, evidence, addedAtMs, expiresAtMs } = entry
    this.#table.put(key, { source, reason, evidence, addedAtMs, expiresAtMs })
    return true
  }

  /** Removes exactly this prefix. False: it was not there. */
  remove(prefix: string): boolean {
    const key = prefixKey(prefix)
    if (key === undefined || this.#table.get(key) === undefined) return false
    this.#table.remove(key)
    return true
  }

  /** The living entry of exactly this prefix. */
  get(prefix: string, wallMs: number): DynamicEntry | undefined {
    const key = prefixKey(prefix)
    const stored = key === undefined ? undefined : this.#table.get(key)
    if (key === undefined || stored === undefined || !isAlive(stored, wallMs)) return undefined
    return { prefix: key, ...stored }
  }

  /** The living entries among the committed ones, in order, from the prefix given on. */
  *entries(wallMs: number, from = ''): Generator<DynamicEntry> {
    for (const [prefix, stored] of this.#table.entries(from)) {
      if (isEntry(stored) && isAlive(stored, wallMs)) yield { prefix, ...stored }
    }
  }

  /** Removes what has ended, unless it is being entered anew. @returns how many. */
  sweep(wallMs: number): number {
    const ended = [...this.#table.entries()].filter(
      ([prefix, stored]) => !isAlive(stored, wallMs) && this.get(prefix, wallMs) === undefined,
    )
    for (const [prefix] of ended) this.#table.remove(prefix)
    return ended.length
  }
}

/** A prefix or address as its one key, undefined for any other text. */
export function prefixKey(text: string): string | undefined {
  const cell = newPrefixCell()
  if (parsePrefix(text, cell) !== '' || cell.family === 0) return undefined
  return formatPrefix(cell.family, cell.words, cell.length)
}

function isAlive(stored: Stored, wallMs: number): boolean {
  return stored.expiresAtMs === 0 || stored.expiresAtMs > wallMs
}

/** What an older or damaged store holds may have another shape. */
function isEntry(stored: Stored): boolean {
  return typeof stored.expiresAtMs === 'number' && Array.isArray(stored.evidence)
}
