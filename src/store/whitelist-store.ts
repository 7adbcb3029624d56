/**
 * Whitelist: the single addresses to which somebody of ours has written, in the store, by millions.
 *
 * One AddressTable (addresses compared as src/tables/address-table.ts says) with the end that
 * `whitelist.expires` gives each entry; writing to it again renews it. `has` is one read of a
 * memory map: threads join the store and ask without a message. Also kept here: how far each log
 * file has been mined. A fault of the store answers no: the tests decide then.
 */
import type { Database } from 'lmdb'
import { storeSweepPartMax, whitelistRenewMs } from '../base/limits.ts'
import { type AddressEntry, addressKey } from '../tables/address-table.ts'
import type { Store } from './store.ts'
import { StoredAddressTable } from './stored-address-table.ts'

/** How far a log file was read. */
export interface MiningPlace {
  readonly inode: number
  /** Octets behind the last whole line that was taken. */
  readonly offset: number
  /**
   * The first octets of the file: a file of the same inode and another beginning is another file.
   */
  readonly head: string
}

/** The whitelist. */
export class WhitelistStore {
  readonly #store: Store
  readonly #table: StoredAddressTable
  readonly #places: Database<MiningPlace, string>
  /** Life of an entry without mail to it, milliseconds; 0 = it stays. */
  expiresMs: number
  /** Where the next sweep goes on. */
  #sweptTo = ''

  constructor(store: Store, expiresMs = 0) {
    this.#store = store
    this.#table = new StoredAddressTable(store.database<string, string>('whitelist', 'string'))
    this.#places = store.database('mining-places', 'msgpack')
    this.expiresMs = expiresMs
  }

  /** Entries, expired ones that were not swept yet included. */
  get size(): number {
    return this.#table.size
  }

  /** Is the address listed? Any case. */
  has(address: string): boolean {
    return this.find(address) !== undefined
  }

  find(address: string): AddressEntry | undefined {
    try {
      return this.#table.find(address)
    } catch (error) {
      this.#store.onReadFault(error)
      return undefined
    }
  }

  /**
   * Enters or renews at once, on disk when it returns. False: no address, or the store failed.
   * @param source `operator`, or an operator's words. @param ttlMs 0 = for ever.
   */
  add(address: string, source: string, wallMs: number, ttlMs?: number): boolean {
    return addressKey(address) !== undefined && this.addMany([address], source, wallMs, ttlMs)
  }

  /** The same for many in one transaction; they must be addresses. */
  addMany(
    addresses: readonly string[],
    source: string,
    wallMs: number,
    ttlMs = this.expiresMs,
  ): boolean {
    const options = optionsOf(source, wallMs, ttlMs)
    return this.#store.transact(() => void this.#table.addMany(addresses, options))
  }

  /** Enters or renews with the next common transaction; what was renewed today is left as it is. */
  learn(address: string, wallMs: number): void {
    const key = addressKey(address)
    if (key === undefined || this.#store.isClosed) return
    const before = this.find(key)
    if (before !== undefined && wallMs - before.seenMs < whitelistRenewMs) return
    this.#store.enqueue({
      isNew: true,
      make: () => void this.#table.add(key, optionsOf('learnt', wallMs, this.expiresMs)),
      settle: () => {},
    })
  }

  /** @returns whether it was there; undefined: the store failed, and it is as it was. */
  remove(address: string): boolean | undefined {
    let wasThere = false
    const isDone = this.#store.transact(() => {
      wasThere = this.#table.remove(address)
    })
    return isDone ? wasThere : undefined
  }

  /** Enters what was mined and the place that it was mined up to, in one transaction. */
  enter(addresses: readonly string[], file: string, place: MiningPlace, wallMs: number): boolean {
    return this.#store.transact(() => {
      this.#table.addMany(addresses, optionsOf('mined', wallMs, this.expiresMs))
      this.#places.putSync(file, place)
    })
  }

  /** How far a log file was mined; unknown where the store cannot be read. */
  place(file: string): MiningPlace | undefined {
    try {
      return this.#places.get(file)
    } catch (error) {
      this.#store.onReadFault(error)
      return undefined
    }
  }

  /** Living entries in order, from the address given on. */
  *list(from: string, wallMs: number): Iterable<AddressEntry> {
    for (const entry of this.#table.range(from)) {
      if (entry.expiresMs > wallMs) yield entry
    }
  }

  /** Takes expired entries away, a bounded part of the table at a time. */
  sweep(wallMs: number): void {
    const part = [...this.#table.range(this.#sweptTo, storeSweepPartMax)]
    const isEnd = part.length < storeSweepPartMax
    this.#sweptTo = isEnd ? '' : (part.at(-1)?.address ?? '')
    const over = part.filter((entry) => entry.expiresMs <= wallMs)
    if (over.length === 0) return
    this.#store.transact(() => {
      for (const { address } of over) this.#table.removeIfOver(address, wallMs)
    })
  }
}

function optionsOf(source: string, wallMs: number, ttlMs: number) {
  return ttlMs === 0 ? { source, wallMs } : { source, wallMs, ttlMs }
}
