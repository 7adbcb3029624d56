/**
 * The reference table: the `text` form, slow and obvious, and the proof of every other form.
 *
 * Each question collects all entries around the address, decides list by list as the head of
 * ip-table.ts says, and forgets everything again. It serves where the addon does not load. Columns are
 * kept as they came; a map per prefix length leads to the first entry, `next` to those of the same prefix.
 */
import { OperatingError } from '../base/errors.ts'
import { newPrefixCell, type PrefixCell, parseAddress } from '../base/ip-address.ts'
import type { FamilyColumns, PrefixColumns } from '../base/prefix-columns.ts'
import { AddedPrefixes } from './added-prefixes.ts'
import { addEntry, columnsOf, removeEntries } from './entries.ts'
import type {
  AddOptions,
  IpMatch,
  IpOrigin,
  IpTable,
  IpTableForm,
  IpTableSizes,
  RemoveOptions,
  TableImage,
  VerdictClass,
} from './ip-table.ts'
import { PrefixMap } from './prefix-map.ts'
import { decideLists, originOf, type Standing, standingOfAdded } from './standing.ts'
import { readTextSnapshot, writeTextSnapshot } from './text-snapshot.ts'
import { VerdictClasses } from './verdict-classes.ts'

const noEntry = -1

/** The compiled part: columns and the way into them. */
interface Compiled {
  readonly columns: PrefixColumns
  /** First entry of a prefix, as an index into its family's columns. */
  readonly first: PrefixMap<number>
  /** The next entry of the same prefix, or -1. */
  readonly next4: Int32Array
  readonly next6: Int32Array
  /** From a column's list id to the index in VerdictClasses. */
  readonly listIndexes: readonly number[]
}

/** The `text` form. */
export const referenceTable: IpTableForm = {
  form: 'text',
  fromPrefixes: (entries) => new ReferenceTable(columnsOf(entries)),
  fromColumns: (columns) => new ReferenceTable(columns),
  compile: (columns) => ({ form: 'text', content: columns }),
  open: (image) => new ReferenceTable(columnsOfImage(image)),
  discard: () => {},
  load: (path) => new ReferenceTable(readTextSnapshot(path)),
}

function columnsOfImage(image: TableImage): PrefixColumns {
  if (image.form === 'text') return image.content as PrefixColumns
  throw new OperatingError(
    'TABLE_FORM',
    `table: an image of form ${image.form} given to a table of form text: compile it as text`,
  )
}

class ReferenceTable implements IpTable {
  readonly form = 'text'
  readonly handle = 0
  readonly #classes = new VerdictClasses()
  readonly #added = new AddedPrefixes()
  readonly #cell = newPrefixCell()
  #compiled: Compiled

  constructor(columns: PrefixColumns) {
    this.#compiled = compile(columns, this.#classes)
  }

  lookup(address: string): IpMatch | undefined {
    const [longest, ...others] = this.#holding(this.#parse(address))
    if (longest === undefined) return undefined
    const indexes = [longest, ...others].map((standing) => standing.list)
    const lists = this.#classes.listsOf(this.#classes.classOf(indexes))
    return { lists, prefix: originOf(longest, this.#compiled.columns, this.#classes).prefix }
  }

  lookupClass(address: string): VerdictClass {
    const cell = this.#parse(address)
    return this.#classAt(cell.family === 4 ? 4 : 6, cell.words, 0)
  }

  lookupMany(addresses: Uint32Array, classes: Uint16Array): Uint16Array {
    for (let i = 0; i < addresses.length; i++) classes[i] = this.#classAt(4, addresses, i)
    return classes
  }

  lookupMany6(words: Uint32Array, classes: Uint16Array): Uint16Array {
    const cell = newPrefixCell()
    for (let i = 0; i * 4 < words.length; i++) {
      cell.words.set(words.subarray(i * 4, i * 4 + 4))
      const [word0, word1, word2, word3] = cell.words
      const isMapped = word0 === 0 && word1 === 0 && word2 === 0xffff
      if (isMapped) cell.words[0] = word3 ?? 0
      classes[i] = this.#classAt(isMapped ? 4 : 6, cell.words, 0)
    }
    return classes
  }

  listsOf(verdictClass: VerdictClass): readonly string[] {
    return this.#classes.listsOf(verdictClass)
  }

  explain(address: string): readonly IpOrigin[] {
    return this.#holding(this.#parse(address)).map((standing) =>
      originOf(standing, this.#compiled.columns, this.#classes),
    )
  }

  add(prefix: string, options: AddOptions): void {
    addEntry(this.#added, this.#classes, prefix, options)
  }

  remove(prefix: string, options: RemoveOptions = {}): void {
    removeEntries(this.#added, this.#classes, prefix, options)
  }

  replace(image: TableImage): void {
    this.#compiled = compile(columnsOfImage(image), this.#classes)
  }

  sizes(): IpTableSizes {
    const { columns } = this.#compiled
    const entries = columns.v4.count + columns.v6.count
    return {
      prefixes4: columns.v4.count,
      prefixes6: columns.v6.count,
      classes: this.#classes.count,
      addedPrefixes: this.#added.count,
      tableBytes: entries * 4,
    }
  }

  save(path: string): void {
    writeTextSnapshot(path, this.#compiled.columns)
  }

  close(): void {
    this.#compiled = compile(columnsOf([]), this.#classes)
  }

  #parse(address: string): PrefixCell {
    const fault = parseAddress(address, this.#cell)
    if (fault === '') return this.#cell
    throw new OperatingError(
      'ADDRESS_SYNTAX',
      `address ${JSON.stringify(address)}: ${fault}; write 192.0.2.7 or 2001:db8::7`,
    )
  }

  #classAt(family: 4 | 6, words: ArrayLike<number>, offset: number): VerdictClass {
    const holding = this.#holdingAt(family, words, offset)
    return this.#classes.classOf(holding.map((standing) => standing.list))
  }

  #holding(cell: PrefixCell): readonly Standing[] {
    return this.#holdingAt(cell.family === 4 ? 4 : 6, cell.words, 0)
  }

  /** Every entry of every list that holds the address, in the order of explain(). */
  #holdingAt(family: 4 | 6, words: ArrayLike<number>, offset: number): readonly Standing[] {
    const added = this.#added.deciding(family, words, offset).map(standingOfAdded)
    return decideLists(this.#compiledAround(family, words, offset), added)
  }

  #compiledAround(family: 4 | 6, words: ArrayLike<number>, offset: number): readonly Standing[] {
    const { columns, first, next4, next6, listIndexes } = this.#compiled
    const entries = family === 4 ? columns.v4 : columns.v6
    const next = family === 4 ? next4 : next6
    const heads: number[] = []
    first.around(family, words, offset, heads)
    const around: Standing[] = []
    for (const head of heads) {
      for (let at = head; at !== noEntry; at = next[at] ?? noEntry) {
        around.push({
          family,
          length: entries.lengths[at] ?? 0,
          list: listIndexes[entries.listIds[at] ?? 0] ?? 0,
          isExcluded: entries.excluded[at] === 1,
          column: at,
        })
      }
    }
    return around
  }
}

function compile(columns: PrefixColumns, classes: VerdictClasses): Compiled {
  const first = new PrefixMap<number>()
  return {
    columns,
    first,
    next4: chain(4, columns.v4, first),
    next6: chain(6, columns.v6, first),
    listIndexes: columns.lists.map((name) => classes.listIndex(name)),
  }
}

function chain(family: 4 | 6, entries: FamilyColumns, first: PrefixMap<number>): Int32Array {
  const next = new Int32Array(entries.count)
  for (let at = 0; at < entries.count; at++) {
    const offset = family === 4 ? at : at * 4
    const length = entries.lengths[at] ?? 0
    next[at] = first.get(family, entries.words, length, offset) ?? noEntry
    first.set(family, entries.words, length, at, offset)
  }
  return next
}
