/**
 * The `bitmap24` form: a bit for each of the 2^24 blocks of 256 IPv4 addresses (B4).
 *
 * A set bit refuses its whole /24, so an entry for one host refuses its 255 neighbours: that is the
 * form as it was described, small and simple, and coarse. The bits lie in a file (bitmap24-file.ts)
 * in the table's folder; a question reads one bit, and only a set bit asks which lists set it. What
 * is longer than /24 counts as its /24; an exclusion longer than /24 cannot be kept and is left
 * out. IPv6 has no bitmap and is exact.
 *
 * The bits are those of the compiled lists. What add() enters lies beside them, widened to its /24.
 */
import { newPrefixCell } from '../base/ip-address.ts'
import { type PrefixColumns, PrefixColumnsBuilder } from '../base/prefix-columns.ts'
import { Bitmap24File } from './bitmap24-file.ts'
import { ColumnPrefixes } from './column-prefixes.ts'
import { columnsOf } from './entries.ts'
import type { IpOrigin, IpTableForm, TableImage } from './ip-table.ts'
import { type CompiledPrefixes, type JudgedForm, JudgedTable } from './judged-table.ts'
import { decideLists, type Standing } from './standing.ts'
import { newTableFile } from './table-file.ts'
import { readTextSnapshot } from './text-snapshot.ts'
import { widenTo24 } from './widened-prefix.ts'

interface Bitmap24Content {
  readonly columns: PrefixColumns
  readonly path: string
}

/** What is longer than /24 becomes its /24. */
export const widening24 = {
  columns: widenedTo24,
  cell: widenTo24,
}

/** The form with its files in `folder`, which is made when missing. */
export function bitmap24Form(folder: string): IpTableForm {
  const kind: JudgedForm = {
    form: 'bitmap24',
    openContent: (content) => new Bitmap24Prefixes(content as Bitmap24Content),
    widen: widening24.cell,
  }
  const compile = (columns: PrefixColumns): TableImage => {
    const path = newTableFile(folder, 'bitmap24', 'bits')
    const widened = widenedTo24(columns)
    Bitmap24File.create(path, bitsOf(widened))
    return { form: 'bitmap24', content: { columns: widened, path } }
  }
  const fromColumns = (columns: PrefixColumns) => new JudgedTable(kind, compile(columns))
  return {
    form: 'bitmap24',
    fromPrefixes: (entries) => fromColumns(columnsOf(entries)),
    fromColumns,
    compile,
    open: (image) => new JudgedTable(kind, image),
    discard: ({ content }) => Bitmap24File.delete((content as Bitmap24Content).path),
    load: (path) => fromColumns(readTextSnapshot(path)),
  }
}

/** The bits decide; the columns say who set them. */
class Bitmap24Prefixes implements CompiledPrefixes {
  readonly #bits: Bitmap24File
  readonly #origins: ColumnPrefixes

  constructor({ columns, path }: Bitmap24Content) {
    this.#bits = Bitmap24File.open(path)
    this.#origins = new ColumnPrefixes(columns)
  }

  get lists(): readonly string[] {
    return this.#origins.lists
  }

  get count4(): number {
    return this.#origins.count4
  }

  get count6(): number {
    return this.#origins.count6
  }

  get tableBytes(): number {
    return this.#bits.octets
  }

  around(
    family: 4 | 6,
    words: ArrayLike<number>,
    offset: number,
    listIndexes: readonly number[],
    isLifted: boolean,
  ): readonly Standing[] {
    if (family === 4 && !isLifted && !this.#bits.has(words[offset] ?? 0)) return []
    return this.#origins.around(family, words, offset, listIndexes)
  }

  originOf(standing: Standing): Omit<IpOrigin, 'list'> {
    return this.#origins.originOf(standing)
  }

  columns(): PrefixColumns {
    return this.#origins.columns()
  }

  /** The file goes with the table that it was compiled for: the next start compiles a new one. */
  close(): void {
    this.#bits.close()
    Bitmap24File.delete(this.#bits.path)
  }
}

/** Entries longer than /24 become their /24; such exclusions fall away. */
function widenedTo24(columns: PrefixColumns): PrefixColumns {
  const { v4 } = columns
  const builder = new PrefixColumnsBuilder()
  for (const list of columns.lists) builder.listId(list)
  for (const file of columns.files) builder.fileId(file)
  const cell = newPrefixCell()
  cell.family = 4
  for (let slot = 0; slot < v4.count; slot++) {
    const isExcluded = v4.excluded[slot] === 1
    cell.length = v4.lengths[slot] ?? 0
    cell.words[0] = v4.words[slot] ?? 0
    if (cell.length > 24 && isExcluded) continue
    widenTo24(cell)
    builder.push(
      cell,
      v4.listIds[slot] ?? 0,
      v4.fileIds[slot] ?? 0,
      v4.lines[slot] ?? 0,
      isExcluded,
    )
  }
  return { ...builder.finish(), v6: columns.v6 }
}

/** A bit for every block that some list holds. */
function bitsOf(columns: PrefixColumns): Uint8Array {
  const bits = new Uint8Array(Bitmap24File.octets)
  const { v4 } = columns
  for (let slot = 0; slot < v4.count; slot++) {
    if (v4.excluded[slot] === 0) fill(bits, v4.words[slot] ?? 0, v4.lengths[slot] ?? 0, true)
  }
  clearExcluded(bits, columns)
  return bits
}

/**
 * Blocks inside exclusions are asked one by one: another entry or list may hold them all the same.
 */
function clearExcluded(bits: Uint8Array, columns: PrefixColumns): void {
  const { v4 } = columns
  if (!v4.excluded.subarray(0, v4.count).includes(1)) return
  const exact = new ColumnPrefixes(columns)
  const indexes = columns.lists.map((_, index) => index)
  for (let slot = 0; slot < v4.count; slot++) {
    if (v4.excluded[slot] !== 1) continue
    const first = (v4.words[slot] ?? 0) >>> 8
    const blocks = 2 ** (24 - (v4.lengths[slot] ?? 0))
    for (let block = first; block < first + blocks; block++) {
      const around = exact.around(4, [block * 256], 0, indexes)
      fill(bits, block * 256, 24, decideLists(around, []).length > 0)
    }
  }
}

/** Sets or clears the bits of a prefix of at most 24 bits; whole octets at once where it can. */
function fill(bits: Uint8Array, address: number, length: number, isSet: boolean): void {
  const first = address >>> 8
  const blocks = 2 ** (24 - length)
  if (blocks >= 8) {
    bits.fill(isSet ? 0xff : 0, first >>> 3, (first + blocks) / 8)
    return
  }
  for (let block = first; block < first + blocks; block++) {
    const mask = 0x80 >>> (block & 7)
    bits[block >>> 3] = isSet ? (bits[block >>> 3] ?? 0) | mask : (bits[block >>> 3] ?? 0) & ~mask
  }
}
