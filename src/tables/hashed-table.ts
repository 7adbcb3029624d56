/**
 * The `hashed` form: prefixes in an LMDB store, a record a prefix, asked length by length.
 *
 * For machines with more disk than memory: only the pages in use are held, and they are shared by
 * every process that opens the store. A question costs one read per length that occurs.
 *
 *   key    = length, family, then the octets that the length covers
 *   record = ( list id u16, file id u16, line u32, slot u32, excluded u8 ) a prefix's every entry
 *   names  = a record of JSON under the key of the single octet 0xff
 */
import { rmSync } from 'node:fs'
import { open, type RootDatabase } from 'lmdb'
import { messageOf, OperatingError } from '../base/errors.ts'
import { formatPrefix, maskOf, newPrefixCell } from '../base/ip-address.ts'
import {
  type FamilyColumns,
  type PrefixColumns,
  PrefixColumnsBuilder,
} from '../base/prefix-columns.ts'
import { columnsOf } from './entries.ts'
import type { IpOrigin, IpTableForm, TableImage } from './ip-table.ts'
import { type CompiledPrefixes, type JudgedForm, JudgedTable } from './judged-table.ts'
import type { Standing } from './standing.ts'
import { newTableFile } from './table-file.ts'
import { readTextSnapshot } from './text-snapshot.ts'

const entryOctets = 13
const namesKey = Buffer.of(0xff)

interface Names {
  readonly lists: readonly string[]
  readonly files: readonly string[]
  readonly count4: number
  readonly count6: number
  /** Lengths that occur, longest first. */
  readonly lengths4: readonly number[]
  readonly lengths6: readonly number[]
}

/** The form with its stores in `folder`, which is made when missing. */
export function hashedForm(folder: string): IpTableForm {
  const kind: JudgedForm = {
    form: 'hashed',
    openContent: (content) => new HashedPrefixes(String(content)),
  }
  const compile = (columns: PrefixColumns): TableImage => {
    const path = newTableFile(folder, 'hashed', 'mdb')
    writeStore(path, columns)
    return { form: 'hashed', content: path }
  }
  const fromColumns = (columns: PrefixColumns) => new JudgedTable(kind, compile(columns))
  return {
    form: 'hashed',
    fromPrefixes: (entries) => fromColumns(columnsOf(entries)),
    fromColumns,
    compile,
    open: (image) => new JudgedTable(kind, image),
    discard: ({ content }) => deleteStore(String(content)),
    load: (path) => fromColumns(readTextSnapshot(path)),
  }
}

type Store = RootDatabase<Buffer, Buffer>

function openStore(path: string): Store {
  try {
    // Not synced: every start compiles a new store, so nothing is lost with this one.
    return open<Buffer, Buffer>({ path, encoding: 'binary', keyEncoding: 'binary', noSync: true })
  } catch (fault) {
    const message = `table ${path}: cannot be opened: ${messageOf(fault)}; check rights and space`
    throw new OperatingError('TABLE_STORE', message, { cause: fault })
  }
}

function deleteStore(path: string): void {
  for (const file of [path, `${path}-lock`]) rmSync(file, { force: true })
}

/** Writes everything in one transaction: a crash leaves an empty store, which no image names. */
function writeStore(path: string, columns: PrefixColumns): void {
  const store = openStore(path)
  store.transactionSync(() => {
    const lengths4 = writeFamily(store, 4, columns.v4)
    const lengths6 = writeFamily(store, 6, columns.v6)
    const { lists, files } = columns
    const counts = { count4: columns.v4.count, count6: columns.v6.count }
    const names: Names = { lists, files, ...counts, lengths4, lengths6 }
    store.putSync(namesKey, Buffer.from(JSON.stringify(names)))
  })
  void store.close()
}

function writeFamily(store: Store, family: 4 | 6, entries: FamilyColumns): readonly number[] {
  const previous = new Int32Array(entries.count)
  const last = new Map<string, number>()
  const lengths = new Set<number>()
  const wordsEach = family === 4 ? 1 : 4
  for (let slot = 0; slot < entries.count; slot++) {
    const length = entries.lengths[slot] ?? 0
    const key = keyOf(family, entries.words, slot * wordsEach, length).toString('latin1')
    previous[slot] = last.get(key) ?? -1
    last.set(key, slot)
    lengths.add(length)
  }
  for (const [key, slot] of last) {
    store.putSync(Buffer.from(key, 'latin1'), recordOf(entries, slot, previous))
  }
  return [...lengths].sort((one, other) => other - one)
}

function recordOf(entries: FamilyColumns, last: number, previous: Int32Array): Buffer {
  const slots: number[] = []
  for (let slot = last; slot >= 0; slot = previous[slot] ?? -1) slots.unshift(slot)
  const record = Buffer.alloc(slots.length * entryOctets)
  slots.forEach((slot, index) => {
    const at = index * entryOctets
    record.writeUInt16LE(entries.listIds[slot] ?? 0, at)
    record.writeUInt16LE(entries.fileIds[slot] ?? 0, at + 2)
    record.writeUInt32LE(entries.lines[slot] ?? 0, at + 4)
    record.writeUInt32LE(slot, at + 8)
    record.writeUInt8(entries.excluded[slot] ?? 0, at + 12)
  })
  return record
}

function keyOf(family: 4 | 6, words: ArrayLike<number>, offset: number, length: number): Buffer {
  const covered = (length + 7) >> 3
  const key = Buffer.alloc(2 + covered)
  key[0] = length
  key[1] = family
  for (let at = 0; at < covered; at++) {
    const word = at >> 2
    const masked = (words[offset + word] ?? 0) & maskOf(Math.min(32, length - word * 32))
    key[2 + at] = masked >>> (24 - (at & 3) * 8)
  }
  return key
}

/**
 * The compiled part of the `hashed` form. The store goes with the table that it was compiled for.
 */
class HashedPrefixes implements CompiledPrefixes {
  readonly #path: string
  readonly #store: Store
  readonly #names: Names

  constructor(path: string) {
    this.#path = path
    this.#store = openStore(path)
    const names = this.#store.getBinary(namesKey)
    if (names === undefined) {
      throw new OperatingError('TABLE_STORE', `table ${path}: holds no names; load the lists again`)
    }
    this.#names = JSON.parse(names.toString()) as Names
  }

  get lists(): readonly string[] {
    return this.#names.lists
  }

  get count4(): number {
    return this.#names.count4
  }

  get count6(): number {
    return this.#names.count6
  }

  /** On disk. */
  get tableBytes(): number {
    return (this.count4 + this.count6) * entryOctets
  }

  around(
    family: 4 | 6,
    words: ArrayLike<number>,
    offset: number,
    listIndexes: readonly number[],
  ): readonly Standing[] {
    const around: Standing[] = []
    for (const length of family === 4 ? this.#names.lengths4 : this.#names.lengths6) {
      const key = keyOf(family, words, offset, length)
      const record = this.#store.getBinary(key)
      if (record !== undefined) this.#pushStandings(key, record, listIndexes, around)
    }
    return around
  }

  #pushStandings(
    key: Buffer,
    record: Buffer,
    listIndexes: readonly number[],
    around: Standing[],
  ): void {
    const family = key[1] === 4 ? 4 : 6
    const length = key[0] ?? 0
    const prefix = formatPrefix(family, wordsOf(key), length)
    for (let at = 0; at < record.length; at += entryOctets) {
      around.push({
        family,
        length,
        list: listIndexes[record.readUInt16LE(at)] ?? 0,
        isExcluded: record[at + 12] === 1,
        slot: record.readUInt32LE(at + 8),
        origin: this.#originIn(record, at, prefix),
      })
    }
  }

  #originIn(record: Buffer, at: number, prefix: string): Omit<IpOrigin, 'list'> {
    const file = this.#names.files[record.readUInt16LE(at + 2)] ?? ''
    const line = record.readUInt32LE(at + 4)
    return { prefix, ...(file === '' ? {} : { file }), ...(line === 0 ? {} : { line }) }
  }

  originOf(standing: Standing): Omit<IpOrigin, 'list'> {
    return standing.origin ?? { prefix: '' }
  }

  /** In the order of the keys; a snapshot keeps the same answers, not the same order. */
  columns(): PrefixColumns {
    const builder = new PrefixColumnsBuilder()
    for (const list of this.#names.lists) builder.listId(list)
    for (const file of this.#names.files) builder.fileId(file)
    const cell = newPrefixCell()
    for (const { key, value } of this.#store.getRange({})) {
      if (key[0] === 0xff) continue
      cell.family = key[1] === 4 ? 4 : 6
      cell.length = key[0] ?? 0
      cell.words.set(wordsOf(key))
      for (let at = 0; at < value.length; at += entryOctets) {
        const [listId, fileId] = [value.readUInt16LE(at), value.readUInt16LE(at + 2)]
        builder.push(cell, listId, fileId, value.readUInt32LE(at + 4), value[at + 12] === 1)
      }
    }
    return builder.finish()
  }

  close(): void {
    const path = this.#path
    void this.#store.close().then(() => deleteStore(path))
  }
}

function wordsOf(key: Buffer): Uint32Array {
  const octets = Buffer.alloc(16)
  key.copy(octets, 0, 2)
  return Uint32Array.from([0, 4, 8, 12], (at) => octets.readUInt32BE(at))
}
