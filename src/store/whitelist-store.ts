/**
 * Whitelist store: the single addresses to which somebody of ours has written, in LMDB, by millions.
 *
 * A key is the address in lower case; the value says where it came from and when it was last written
 * to, so that a stale one can be told. `has` is one read of a memory map: threads open the store for
 * themselves and ask without a message. Also kept here: how far each log file has been mined.
 */
import type { Database, RootDatabase } from 'lmdb'
import { messageOf } from '../base/errors.ts'

/** What is known of a listed address. Times are wall clock milliseconds. */
export interface WhitelistEntry {
  /** `mined`, `learnt`, `manual`. */
  readonly origin: string
  readonly atMs: number
}

/** How far a log file was read. */
export interface MiningPlace {
  readonly inode: number
  /** Octets behind the last whole line that was taken. */
  readonly offset: number
  /** The first octets of the file: a file of the same inode and another beginning is another file. */
  readonly head: string
}

/** The whitelist. */
export class WhitelistStore {
  readonly #addresses: Database<WhitelistEntry, string>
  readonly #places: Database<MiningPlace, string>
  readonly #onFault: (detail: string) => void

  constructor(root: RootDatabase, onFault: (detail: string) => void) {
    this.#addresses = root.openDB({ name: 'whitelist', encoding: 'msgpack' })
    this.#places = root.openDB({ name: 'mining-places', encoding: 'msgpack' })
    this.#onFault = onFault
  }

  get size(): number {
    const { entryCount } = this.#addresses.getStats() as { entryCount?: number }
    return entryCount ?? 0
  }

  /** Is the address listed? Any case. A fault of the store answers no: the tests decide then. */
  has(address: string): boolean {
    try {
      return isKey(address) && this.#addresses.doesExist(address.toLowerCase())
    } catch (error) {
      this.#onFault(messageOf(error))
      return false
    }
  }

  get(address: string): WhitelistEntry | undefined {
    return isKey(address) ? this.#addresses.get(address.toLowerCase()) : undefined
  }

  /** Resolves when it is on disk. */
  async add(address: string, entry: WhitelistEntry): Promise<void> {
    if (isKey(address)) this.#addresses.putSync(address.toLowerCase(), entry)
  }

  async remove(address: string): Promise<boolean> {
    return isKey(address) && this.#addresses.removeSync(address.toLowerCase())
  }

  /** Enters what was mined and the place that it was mined up to, in one transaction. */
  async enter(
    addresses: readonly string[],
    entry: WhitelistEntry,
    file: string,
    place: MiningPlace,
  ): Promise<void> {
    this.#addresses.transactionSync(() => {
      for (const address of addresses) {
        if (isKey(address)) this.#addresses.putSync(address.toLowerCase(), entry)
      }
      this.#places.putSync(file, place)
    })
  }

  place(file: string): MiningPlace | undefined {
    return this.#places.get(file)
  }

  /** Addresses in order, from the one given on. */
  *list(from: string, countMax: number): Iterable<readonly [string, WhitelistEntry]> {
    for (const { key, value } of this.#addresses.getRange({ start: from, limit: countMax })) {
      yield [key, value]
    }
  }
}

/** LMDB takes keys of up to 1,978 octets; an address has at most 254. */
function isKey(address: string): boolean {
  return address.length > 2 && address.length <= 512
}
