/**
 * A table of the store: text keys, JSON values, in the order of the keys.
 *
 * Reads are immediate and see the last committed transaction; `pending` values of this thread's own
 * changes are seen at once. A value that cannot be read is not there. Keys are cut by nobody: one
 * that is too long is not kept.
 */
import type { Database } from 'lmdb'
import { messageOf, OperatingError } from '../base/errors.ts'
import { storeKeyOctetsMax } from '../base/limits.ts'

/** A change on its way into the store. */
export interface Change {
  /** It adds something, and is refused where the store is full. */
  readonly isNew: boolean
  /** Inside the transaction; once more when the transaction failed. */
  make(): void
  /** It is committed, or given up. */
  settle(): void
}

/** Takes a change for the next transaction. */
export type Enqueue = (change: Change) => void

/** A table. Keys are plain texts; see the file's head. */
export class StoreTable<V> {
  readonly #database: Database<string, string>
  readonly #enqueue: Enqueue
  /** Own changes on their way; undefined: removed. */
  readonly #pending = new Map<string, V | undefined>()

  constructor(database: Database<string, string>, enqueue: Enqueue) {
    this.#database = database
    this.#enqueue = enqueue
  }

  /** The value, or undefined. Throws OperatingError STORE_READERS when too many read at once. */
  get(key: string): V | undefined {
    if (this.#pending.has(key)) return this.#pending.get(key)
    if (!isKey(key)) return undefined
    return decoded<V>(reading(() => this.#database.get(key)))
  }

  /** Whether the key is there; cheaper than `get`. */
  has(key: string): boolean {
    if (this.#pending.has(key)) return this.#pending.get(key) !== undefined
    return isKey(key) && reading(() => this.#database.doesExist(key))
  }

  /** Sets a value with the next transaction. */
  put(key: string, value: V): void {
    if (!isKey(key)) return
    this.#pending.set(key, value)
    this.#enqueue({
      isNew: true,
      make: () => this.#database.putSync(key, JSON.stringify(value)),
      settle: () => this.#settle(key, value),
    })
  }

  /** Removes a key with the next transaction. */
  remove(key: string): void {
    if (!isKey(key)) return
    this.#pending.set(key, undefined)
    this.#enqueue({
      isNew: false,
      make: () => void this.#database.removeSync(key),
      settle: () => this.#settle(key, undefined),
    })
  }

  /**
   * Committed entries in the order of their keys, from `start` on; unreadable ones are left out.
   */
  *entries(start = '', limit = Number.MAX_SAFE_INTEGER): Generator<readonly [string, V]> {
    for (const { key, value } of this.#database.getRange({ start, limit })) {
      const read = decoded<V>(value)
      if (typeof key === 'string' && read !== undefined) yield [key, read]
    }
  }

  /** Committed entries in all. */
  count(): number {
    return (this.#database.getStats() as { entryCount: number }).entryCount
  }

  /** Removes every entry with the next transaction. */
  clear(): void {
    this.#pending.clear()
    this.#enqueue({ isNew: false, make: () => this.#database.clearSync(), settle: () => {} })
  }

  /** A later change of the same key may still be on its way. */
  #settle(key: string, value: V | undefined): void {
    if (this.#pending.get(key) === value) this.#pending.delete(key)
  }
}

// An empty key and control characters are not keys of ours: LMDB orders by octets up to a zero.
function isKey(key: string): boolean {
  return (
    key !== '' && key.length <= storeKeyOctetsMax && Buffer.byteLength(key) <= storeKeyOctetsMax
  )
}

function decoded<V>(text: string | undefined): V | undefined {
  if (text === undefined) return undefined
  try {
    return JSON.parse(text) as V
  } catch {
    // Octets turned on the disk: as if it were not there.
    return undefined
  }
}

function reading<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    const code = /READERS_FULL|max ?readers/i.test(messageOf(cause))
      ? 'STORE_READERS'
      : 'STORE_READ'
    throw new OperatingError(code, `the store cannot be read: ${messageOf(cause)}`, { cause })
  }
}
