/**
 * PrefixColumns: many prefixes as columns, the input of every table build.
 *
 * A million objects would cost 100 MB and a pass of the garbage collector; columns cost 18 octets
 * an IPv4 prefix, cross threads without a copy (their buffers may be transferred or shared), and
 * native code reads them in place. Parsers fill them through PrefixColumnsBuilder; tables never
 * change them. Order and duplicates are free: a build sorts by itself.
 */
import { OperatingError } from './errors.ts'
import { formatPrefix, type PrefixCell } from './ip-address.ts'
import { columnFilesMax, columnListsMax } from './limits.ts'

/** The prefixes of one family, entry i in slot i of each column. */
export interface FamilyColumns {
  /** Entries in use; the columns may be longer. */
  readonly count: number
  /** IPv4: one word an entry. IPv6: four, most significant first. Host bits are zero. */
  readonly words: Uint32Array
  /** Bits, 0 – 32 or 0 – 128. */
  readonly lengths: Uint8Array
  /** Index into PrefixColumns.lists. */
  readonly listIds: Uint16Array
  /** Index into PrefixColumns.files. */
  readonly fileIds: Uint16Array
  /** From 1; 0 = the entry has no line. */
  readonly lines: Uint32Array
  /** 1 = an exclusion (`!prefix`): its list does not hold what lies in it, see IpTable. */
  readonly excluded: Uint8Array
}

/** The columns of both families, with the names that their ids stand for. */
export interface PrefixColumns {
  /** Names of lists; the index is the list's id. Unique. */
  readonly lists: readonly string[]
  /** Paths or addresses of files; the index is the file's id, '' = none. */
  readonly files: readonly string[]
  readonly v4: FamilyColumns
  readonly v6: FamilyColumns
}

const firstCapacity = 1024

/** One family's columns while they grow. Doubles when full; `cut` gives views without a copy. */
class FamilyBuilder implements FamilyColumns {
  count = 0
  words: Uint32Array<ArrayBuffer>
  lengths = new Uint8Array(firstCapacity)
  listIds = new Uint16Array(firstCapacity)
  fileIds = new Uint16Array(firstCapacity)
  lines = new Uint32Array(firstCapacity)
  excluded = new Uint8Array(firstCapacity)
  readonly #wordsEach: 1 | 4

  constructor(wordsEach: 1 | 4) {
    this.#wordsEach = wordsEach
    this.words = new Uint32Array(firstCapacity * wordsEach)
  }

  reserve(capacity: number): void {
    if (capacity <= this.lengths.length) return
    const wider = Math.max(capacity, this.lengths.length * 2)
    this.words = grow(this.words, new Uint32Array(wider * this.#wordsEach))
    this.lengths = grow(this.lengths, new Uint8Array(wider))
    this.listIds = grow(this.listIds, new Uint16Array(wider))
    this.fileIds = grow(this.fileIds, new Uint16Array(wider))
    this.lines = grow(this.lines, new Uint32Array(wider))
    this.excluded = grow(this.excluded, new Uint8Array(wider))
  }

  push(cell: PrefixCell, listId: number, fileId: number, line: number, excluded: 0 | 1): void {
    const at = this.count
    if (at === this.lengths.length) this.reserve(at + 1)
    if (this.#wordsEach === 1) this.words[at] = cell.words[0] ?? 0
    else this.words.set(cell.words, at * 4)
    this.lengths[at] = cell.length
    this.listIds[at] = listId
    this.fileIds[at] = fileId
    this.lines[at] = line
    this.excluded[at] = excluded
    this.count = at + 1
  }

  /** Appends all of `from`, its ids mapped. */
  append(from: FamilyColumns, listIdOf: Uint16Array, fileIdOf: Uint16Array): void {
    const at = this.count
    this.reserve(at + from.count)
    this.words.set(from.words.subarray(0, from.count * this.#wordsEach), at * this.#wordsEach)
    this.lengths.set(from.lengths.subarray(0, from.count), at)
    this.lines.set(from.lines.subarray(0, from.count), at)
    this.excluded.set(from.excluded.subarray(0, from.count), at)
    for (let i = 0; i < from.count; i++) {
      this.listIds[at + i] = listIdOf[from.listIds[i] ?? 0] ?? 0
      this.fileIds[at + i] = fileIdOf[from.fileIds[i] ?? 0] ?? 0
    }
    this.count = at + from.count
  }

  cut(): FamilyColumns {
    const { count } = this
    return {
      count,
      words: this.words.subarray(0, count * this.#wordsEach),
      lengths: this.lengths.subarray(0, count),
      listIds: this.listIds.subarray(0, count),
      fileIds: this.fileIds.subarray(0, count),
      lines: this.lines.subarray(0, count),
      excluded: this.excluded.subarray(0, count),
    }
  }
}

function grow<T extends { set(from: T): void }>(from: T, into: T): T {
  into.set(from)
  return into
}

/** Collects prefixes into columns. Owned by one parser or loader. */
export class PrefixColumnsBuilder {
  readonly #lists = new Map<string, number>()
  readonly #files = new Map<string, number>()
  readonly #v4 = new FamilyBuilder(1)
  readonly #v6 = new FamilyBuilder(4)

  /** The id of a list, made at its first use. Throws OperatingError above 4,096 lists. */
  listId(name: string): number {
    return idOf(this.#lists, name, columnListsMax, 'lists')
  }

  /** The id of a file, made at its first use. Throws OperatingError above 65,535 files. */
  fileId(path: string): number {
    return idOf(this.#files, path, columnFilesMax, 'files')
  }

  /** Appends the prefix in `cell`; amortised O(1), no allocation but for growth. */
  push(cell: PrefixCell, listId: number, fileId: number, line: number, isExcluded: boolean): void {
    const family = cell.family === 4 ? this.#v4 : this.#v6
    family.push(cell, listId, fileId, line, isExcluded ? 1 : 0)
  }

  /** Appends all entries of other columns, lists and files taken by name. */
  append(columns: PrefixColumns): void {
    const listIds = Uint16Array.from(columns.lists, (name) => this.listId(name))
    const fileIds = Uint16Array.from(columns.files, (path) => this.fileId(path))
    this.#v4.append(columns.v4, listIds, fileIds)
    this.#v6.append(columns.v6, listIds, fileIds)
  }

  /** The columns so far, as views: the builder must not be used afterwards. */
  finish(): PrefixColumns {
    return {
      lists: [...this.#lists.keys()],
      files: [...this.#files.keys()],
      v4: this.#v4.cut(),
      v6: this.#v6.cut(),
    }
  }
}

/**
 * The same columns in one buffer of their own, so that moving them to another thread is one step.
 */
export function packedColumns(columns: PrefixColumns): PrefixColumns {
  const parts = [columns.v4, columns.v6].flatMap((family) => columnsOf(family))
  const octets = parts.reduce((sum, part) => sum + aligned(part.byteLength), 0)
  const buffer = new ArrayBuffer(octets)
  let offset = 0
  const pack = <T extends Uint32Array | Uint16Array | Uint8Array>(
    part: T,
    make: new (buffer: ArrayBuffer, offset: number, length: number) => T,
  ): T => {
    const packed = new make(buffer, offset, part.length)
    packed.set(part)
    offset += aligned(part.byteLength)
    return packed
  }
  const family = ({ count, words, lengths, listIds, fileIds, lines, excluded }: FamilyColumns) => ({
    count,
    words: pack(words, Uint32Array),
    lengths: pack(lengths, Uint8Array),
    listIds: pack(listIds, Uint16Array),
    fileIds: pack(fileIds, Uint16Array),
    lines: pack(lines, Uint32Array),
    excluded: pack(excluded, Uint8Array),
  })
  return { ...columns, v4: family(columns.v4), v6: family(columns.v6) }
}

function columnsOf({ words, lengths, listIds, fileIds, lines, excluded }: FamilyColumns) {
  return [words, lengths, listIds, fileIds, lines, excluded]
}

/** Every column may begin here. */
function aligned(octets: number): number {
  return (octets + 3) & ~3
}

function idOf(ids: Map<string, number>, name: string, max: number, what: string): number {
  const known = ids.get(name)
  if (known !== undefined) return known
  if (ids.size >= max) {
    throw new OperatingError(
      'TABLE_TOO_MANY_NAMES',
      `${what}: ${name} would be number ${ids.size + 1}, the maximum is ${max}: merge some of them`,
    )
  }
  ids.set(name, ids.size)
  return ids.size - 1
}

/** The text of entry `at`: `192.0.2.0/24`. */
export function prefixText(family: 4 | 6, columns: FamilyColumns, at: number): string {
  const offset = family === 4 ? at : at * 4
  return formatPrefix(family, columns.words, columns.lengths[at] ?? 0, offset)
}
