/**
 * ColumnPrefixes: compiled prefixes that stay in their columns; a map per prefix length leads to
 * the last entry of a prefix, `previous` from there to the others.
 */
import { type FamilyColumns, type PrefixColumns, prefixText } from '../base/prefix-columns.ts'
import type { IpOrigin } from './ip-table.ts'
import type { CompiledPrefixes } from './judged-table.ts'
import { PrefixMap } from './prefix-map.ts'
import type { Standing } from './standing.ts'

const noEntry = -1

/** The compiled part of the `text` form. */
export class ColumnPrefixes implements CompiledPrefixes {
  readonly #columns: PrefixColumns
  /** Last entry of a prefix, as a slot of its family's columns. */
  readonly #last = new PrefixMap<number>()
  readonly #previous4: Int32Array
  readonly #previous6: Int32Array

  constructor(columns: PrefixColumns) {
    this.#columns = columns
    this.#previous4 = chain(4, columns.v4, this.#last)
    this.#previous6 = chain(6, columns.v6, this.#last)
  }

  get lists(): readonly string[] {
    return this.#columns.lists
  }

  get count4(): number {
    return this.#columns.v4.count
  }

  get count6(): number {
    return this.#columns.v6.count
  }

  /** Without what the maps cost, which JavaScript does not tell. */
  get tableBytes(): number {
    return this.count4 * (4 + 4 + 1) + this.count6 * (16 + 4 + 1)
  }

  around(
    family: 4 | 6,
    words: ArrayLike<number>,
    offset: number,
    listIndexes: readonly number[],
  ): readonly Standing[] {
    const entries = family === 4 ? this.#columns.v4 : this.#columns.v6
    const previous = family === 4 ? this.#previous4 : this.#previous6
    const lasts: number[] = []
    this.#last.around(family, words, offset, lasts)
    const around: Standing[] = []
    for (const last of lasts) {
      for (let slot = last; slot !== noEntry; slot = previous[slot] ?? noEntry) {
        around.push({
          family,
          length: entries.lengths[slot] ?? 0,
          list: listIndexes[entries.listIds[slot] ?? 0] ?? 0,
          isExcluded: entries.excluded[slot] === 1,
          slot,
        })
      }
    }
    return around
  }

  originOf({ family, slot = 0 }: Standing): Omit<IpOrigin, 'list'> {
    const entries = family === 4 ? this.#columns.v4 : this.#columns.v6
    const file = this.#columns.files[entries.fileIds[slot] ?? 0] ?? ''
    const line = entries.lines[slot] ?? 0
    return {
      prefix: prefixText(family, entries, slot),
      ...(file === '' ? {} : { file }),
      ...(line === 0 ? {} : { line }),
    }
  }

  columns(): PrefixColumns {
    return this.#columns
  }

  close(): void {}
}

function chain(family: 4 | 6, entries: FamilyColumns, last: PrefixMap<number>): Int32Array {
  const previous = new Int32Array(entries.count)
  for (let slot = 0; slot < entries.count; slot++) {
    const offset = family === 4 ? slot : slot * 4
    const length = entries.lengths[slot] ?? 0
    previous[slot] = last.get(family, entries.words, length, offset) ?? noEntry
    last.set(family, entries.words, length, slot, offset)
  }
  return previous
}
