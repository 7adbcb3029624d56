/**
 * StoredAddressTable: the AddressTable in LMDB, for millions of addresses: the whitelist, and what
 * the library opens by path.
 *
 * It survives restarts and crashes; every thread and process that opens it sees what another has
 * written. A record is when it was seen, when it ends, the source: `1700000000000 - mined`.
 */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Database, open } from 'lmdb'
import { messageOf, OperatingError } from '../base/errors.ts'
import {
  type AddAddressOptions,
  type AddManyResult,
  type AddressEntry,
  type AddressTable,
  addEach,
  addressKey,
  addressKeyOrThrow,
  renewedEntry,
} from '../tables/address-table.ts'

/** Opens or makes the store at `path`. Throws OperatingError ADDRESS_STORE. */
export function openAddressTable(path: string): AddressTable {
  try {
    mkdirSync(dirname(path), { recursive: true })
    return new StoredAddressTable(open<string, string>({ path, encoding: 'string' }))
  } catch (fault) {
    const message = `addresses ${path}: cannot be opened: ${messageOf(fault)}; check its rights`
    throw new OperatingError('ADDRESS_STORE', message, { cause: fault })
  }
}

/** The table over a database that somebody has opened. */
export class StoredAddressTable implements AddressTable {
  readonly #store: Database<string, string>

  constructor(store: Database<string, string>) {
    this.#store = store
  }

  has(address: string): boolean {
    return this.find(address) !== undefined
  }

  find(address: string): AddressEntry | undefined {
    const key = addressKey(address)
    const record = key === undefined ? undefined : this.#store.get(key)
    if (key === undefined || record === undefined) return undefined
    const entry = entryOf(key, record)
    return entry.expiresMs > Date.now() ? entry : undefined
  }

  add(address: string, options: AddAddressOptions): boolean {
    const key = addressKeyOrThrow(address)
    return this.#store.transactionSync(() => {
      const before = this.find(key)
      this.#store.putSync(key, recordOf(renewedEntry(key, options, before)))
      return before === undefined
    })
  }

  remove(address: string): boolean {
    const key = addressKey(address)
    return key !== undefined && this.#store.removeSync(key)
  }

  addMany(addresses: Iterable<string>, options: AddAddressOptions): AddManyResult {
    return this.#store.transactionSync(() => addEach(this, addresses, options))
  }

  entries(): Iterable<AddressEntry> {
    return this.range('')
  }

  /** Entries in order of the address from `start` on, expired ones too. */
  *range(start: string, limit = Number.MAX_SAFE_INTEGER): Iterable<AddressEntry> {
    for (const { key, value } of this.#store.getRange({ start, limit })) yield entryOf(key, value)
  }

  /** Takes an entry away if it has expired; inside somebody's transaction. */
  removeIfOver(address: string, wallMs: number): void {
    const record = this.#store.get(address)
    if (record !== undefined && entryOf(address, record).expiresMs <= wallMs) {
      this.#store.removeSync(address)
    }
  }

  sweep(wallMs: number = Date.now()): number {
    return this.#store.transactionSync(() => {
      const expired = [...this.entries()].filter((entry) => entry.expiresMs <= wallMs)
      for (const { address } of expired) this.#store.removeSync(address)
      return expired.length
    })
  }

  get size(): number {
    return this.#store.getKeysCount({})
  }

  close(): void {
    void this.#store.close()
  }
}

function recordOf({ source, seenMs, expiresMs }: AddressEntry): string {
  const ends = Number.isFinite(expiresMs) ? String(expiresMs) : '-'
  return `${seenMs} ${ends} ${source}`
}

function entryOf(address: string, record: string): AddressEntry {
  const [seen = '0', ends = '-', ...source] = record.split(' ')
  const expiresMs = ends === '-' ? Number.POSITIVE_INFINITY : Number(ends)
  return { address, source: source.join(' '), seenMs: Number(seen), expiresMs }
}
