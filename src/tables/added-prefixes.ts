/**
 * AddedPrefixes: what add() and remove() entered into a table that runs in JavaScript.
 *
 * The meaning is that of ip-table.ts: for each list the longest entered prefix around an address
 * decides, a prefix of one list before one of all lists at equal length. Expired entries are passed
 * over at once and swept when new ones come.
 */
import { OperatingError } from '../base/errors.ts'
import { maskOf, type PrefixCell } from '../base/ip-address.ts'
import { addedPrefixesMax } from '../base/limits.ts'
import { PrefixMap } from './prefix-map.ts'

/** Stands for every list, in exclusions. */
export const everyList = -1

/** One entered prefix. */
export interface AddedPrefix {
  readonly family: 4 | 6
  readonly words: readonly number[]
  readonly length: number
  /** Index of the list, or `everyList`. */
  readonly list: number
  readonly isExcluded: boolean
  /** On the clock of `performance.now()`; Infinity = stays. */
  readonly endsMs: number
}

/** The entered prefixes of one table; owned by it. */
export class AddedPrefixes {
  readonly #entries = new Map<string, AddedPrefix>()
  readonly #byPrefix = new PrefixMap<Map<number, AddedPrefix>>()
  #nextExpiryMs = Number.POSITIVE_INFINITY

  /** Enters the prefix in `cell` for a list. Throws OperatingError TABLE_ADDED_FULL. */
  enter(cell: PrefixCell, list: number, isExcluded: boolean, ttlMs: number | undefined): void {
    this.#sweep(performance.now())
    const entry: AddedPrefix = {
      family: cell.family === 4 ? 4 : 6,
      words: [...cell.words],
      length: cell.length,
      list,
      isExcluded,
      endsMs: ttlMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + ttlMs,
    }
    const key = keyOf(entry)
    if (this.#entries.size >= addedPrefixesMax && !this.#entries.has(key)) {
      throw new OperatingError(
        'TABLE_ADDED_FULL',
        `table: ${addedPrefixesMax} prefixes are entered already: remove some or shorten their time`,
      )
    }
    this.#entries.set(key, entry)
    this.#nextExpiryMs = Math.min(this.#nextExpiryMs, entry.endsMs)
    const { family, words, length } = entry
    const here = this.#byPrefix.get(family, words, length)
    if (here !== undefined) here.set(list, entry)
    else this.#byPrefix.set(family, words, length, new Map([[list, entry]]))
  }

  /** Takes away every entry of the list (or of all) that lies within the prefix in `cell`. */
  dropWithin(cell: PrefixCell, list: number): void {
    for (const [key, entry] of this.#entries) {
      if (list !== everyList && entry.list !== list) continue
      if (isWithin(entry, cell)) this.#drop(key, entry)
    }
  }

  /** The deciding entries around an address, longest first; at most one a list, none expired. */
  deciding(family: 4 | 6, words: ArrayLike<number>, offset: number): readonly AddedPrefix[] {
    if (this.#entries.size === 0) return []
    const around: Map<number, AddedPrefix>[] = []
    this.#byPrefix.around(family, words, offset, around)
    const nowMs = performance.now()
    const decided = new Map<number, AddedPrefix>()
    for (const here of around) {
      for (const entry of sortedByList(here)) {
        if (entry.endsMs <= nowMs || decided.has(everyList)) continue
        if (!decided.has(entry.list)) decided.set(entry.list, entry)
      }
    }
    return [...decided.values()]
  }

  /** Entries that have not expired. */
  get count(): number {
    this.#sweep(performance.now())
    return this.#entries.size
  }

  #sweep(nowMs: number): void {
    if (nowMs < this.#nextExpiryMs) return
    this.#nextExpiryMs = Number.POSITIVE_INFINITY
    for (const [key, entry] of this.#entries) {
      if (entry.endsMs <= nowMs) this.#drop(key, entry)
      else this.#nextExpiryMs = Math.min(this.#nextExpiryMs, entry.endsMs)
    }
  }

  #drop(key: string, entry: AddedPrefix): void {
    this.#entries.delete(key)
    const { family, words, length } = entry
    const here = this.#byPrefix.get(family, words, length)
    here?.delete(entry.list)
    if (here?.size === 0) this.#byPrefix.delete(family, words, length)
  }
}

function keyOf(entry: AddedPrefix): string {
  return `${entry.family}/${entry.words.join(',')}/${entry.length}/${entry.list}`
}

/** A prefix of one list stands before one of every list. */
function sortedByList(here: ReadonlyMap<number, AddedPrefix>): readonly AddedPrefix[] {
  return [...here.values()].sort((one, other) => other.list - one.list)
}

function isWithin(entry: AddedPrefix, cell: PrefixCell): boolean {
  if (entry.family !== cell.family || entry.length < cell.length) return false
  for (let word = 0; word * 32 < cell.length; word++) {
    const mask = maskOf(Math.min(32, cell.length - word * 32))
    if (((entry.words[word] ?? 0) & mask) >>> 0 !== cell.words[word]) return false
  }
  return true
}
