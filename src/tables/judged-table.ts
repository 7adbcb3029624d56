/**
 * JudgedTable: an IpTable that runs in JavaScript, whatever holds its compiled prefixes.
 *
 * Each question collects all entries around the address, decides list by list as the head of
 * ip-table.ts says (standing.ts), and forgets everything again. The forms `text`, `hashed` and
 * `bitmap24` differ in what stands behind CompiledPrefixes.
 */
import { OperatingError } from '../base/errors.ts'
import { newPrefixCell, type PrefixCell, parseAddress } from '../base/ip-address.ts'
import type { PrefixColumns } from '../base/prefix-columns.ts'
import { AddedPrefixes } from './added-prefixes.ts'
import { addEntry, removeEntries } from './entries.ts'
import type {
  AddOptions,
  IpMatch,
  IpOrigin,
  IpTable,
  IpTableFormName,
  IpTableSizes,
  RemoveOptions,
  TableImage,
  VerdictClass,
} from './ip-table.ts'
import { decideLists, originOfAdded, type Standing, standingOfAdded } from './standing.ts'
import { writeTextSnapshot } from './text-snapshot.ts'
import { VerdictClasses } from './verdict-classes.ts'

/** The compiled part of a table. Lists are known by name here; the table gives them indexes. */
export interface CompiledPrefixes {
  /** Names by id. */
  readonly lists: readonly string[]
  /**
   * Every entry around an address; `list` is `listIndexes[id of the list]`. None are wanted where
   * no list holds the address, unless `isLifted`: what was entered there may lift an exclusion.
   */
  around(
    family: 4 | 6,
    words: ArrayLike<number>,
    offset: number,
    listIndexes: readonly number[],
    isLifted: boolean,
  ): readonly Standing[]
  /** Prefix, file and line of an entry that around() gave. */
  originOf(standing: Standing): Omit<IpOrigin, 'list'>
  readonly count4: number
  readonly count6: number
  readonly tableBytes: number
  /** Everything, for a snapshot. */
  columns(): PrefixColumns
  close(): void
}

/** What makes one form differ from another. */
export interface JudgedForm {
  readonly form: IpTableFormName
  /** The content of an image of this form. */
  openContent(content: unknown): CompiledPrefixes
  /** Widens a prefix that is to be entered to what the form can tell apart; absent = nothing. */
  widen?(cell: PrefixCell): void
}

/** A table of one of the forms in JavaScript. Owned by the thread that made it. */
export class JudgedTable implements IpTable {
  readonly form: IpTableFormName
  readonly handle = 0
  readonly #kind: JudgedForm
  readonly #classes = new VerdictClasses()
  readonly #added = new AddedPrefixes()
  readonly #cell = newPrefixCell()
  #compiled: CompiledPrefixes
  #listIndexes: readonly number[]

  constructor(kind: JudgedForm, image: TableImage) {
    this.form = kind.form
    this.#kind = kind
    this.#compiled = this.#open(image)
    this.#listIndexes = this.#indexLists()
  }

  lookup(address: string): IpMatch | undefined {
    const holding = this.#holding(this.#parse(address))
    const [longest] = holding
    if (longest === undefined) return undefined
    const verdictClass = this.#classes.classOf(holding.map((standing) => standing.list))
    const { prefix } = this.#originOf(longest)
    return { lists: this.#classes.listsOf(verdictClass), prefix }
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
    for (let i = 0; i * 4 < words.length; i++) {
      const at = i * 4
      const isMapped = words[at] === 0 && words[at + 1] === 0 && words[at + 2] === 0xffff
      classes[i] = isMapped ? this.#classAt(4, words, at + 3) : this.#classAt(6, words, at)
    }
    return classes
  }

  listsOf(verdictClass: VerdictClass): readonly string[] {
    return this.#classes.listsOf(verdictClass)
  }

  explain(address: string): readonly IpOrigin[] {
    return this.#holding(this.#parse(address)).map((standing) => this.#originOf(standing))
  }

  add(prefix: string, options: AddOptions): void {
    addEntry(this.#added, this.#classes, prefix, options, this.#kind.widen)
  }

  remove(prefix: string, options: RemoveOptions = {}): void {
    removeEntries(this.#added, this.#classes, prefix, options, this.#kind.widen)
  }

  replace(image: TableImage): void {
    const old = this.#compiled
    this.#compiled = this.#open(image)
    this.#listIndexes = this.#indexLists()
    old.close()
  }

  sizes(): IpTableSizes {
    const { count4, count6, tableBytes } = this.#compiled
    return {
      prefixes4: count4,
      prefixes6: count6,
      classes: this.#classes.count,
      addedPrefixes: this.#added.count,
      tableBytes,
    }
  }

  save(path: string): void {
    writeTextSnapshot(path, this.#compiled.columns())
  }

  close(): void {
    this.#compiled.close()
  }

  #open(image: TableImage): CompiledPrefixes {
    const { form } = this.#kind
    if (image.form === form) return this.#kind.openContent(image.content)
    throw new OperatingError(
      'TABLE_FORM',
      `table: an image of form ${image.form} given to a table of form ${form}: compile it as ${form}`,
    )
  }

  #indexLists(): readonly number[] {
    return this.#compiled.lists.map((name) => this.#classes.listIndex(name))
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
    const isLifted = added.length > 0
    const compiled = this.#compiled.around(family, words, offset, this.#listIndexes, isLifted)
    return decideLists(compiled, added)
  }

  #originOf(standing: Standing): IpOrigin {
    const list = this.#classes.listName(standing.list)
    if (standing.added !== undefined) return { list, ...originOfAdded(standing.added) }
    return { list, ...this.#compiled.originOf(standing) }
  }
}
