/**
 * Writing into the store: changes are gathered for `storeBatchMs` and made in one synchronous
 * transaction.
 *
 * Synchronous on purpose: a failed asynchronous transaction of lmdb-js rejects promises that nobody
 * holds. A full disk costs what is learnt, never mail: changes wait, bounded, and are tried again.
 * The main thread writes; every thread may read through tables of its own. Values are JSON: an
 * octet that turned on the disk is an entry that is not there, not a crash.
 */
import type { Database, Key, RootDatabase } from 'lmdb'
import { messageOf } from '../base/errors.ts'
import {
  storeBatchMax,
  storeBatchMs,
  storeRoomAgainShare,
  storeWaitingMax,
} from '../base/limits.ts'
import { type Change, StoreTable } from './table.ts'

/** Something worth a record: `full`, `fault`, `recovered`. */
export type StoreReport = (what: string, detail: string) => void

/** How a store is written. */
export interface StoreOptions {
  /** Above it nothing new is kept. */
  readonly sizeMaxOctets: number
  readonly report: StoreReport
  /** The file holds pages that are none: it must not be opened again (`condemnStore`). */
  readonly condemn?: (reason: string) => void
}

/** What LMDB says of a file that is damaged inside: nothing heals it. */
const damage = /MDB_(CORRUPTED|PAGE_NOTFOUND)/

/** Tables with batched changes over an open environment (open-store.ts). */
export class Store {
  readonly #root: RootDatabase
  readonly #options: StoreOptions
  readonly #tables = new Map<string, StoreTable<unknown>>()
  /** All that were opened here, by name: what is learnt, not the octets of lists beside it. */
  readonly #databases = new Map<string, Database<unknown, Key>>()
  #waiting: Change[] = []
  #timer: NodeJS.Timeout | undefined
  #isFaulty = false
  #isFull = false
  #isClosed = false
  #isCondemned = false
  #faults = 0
  #lost = 0

  constructor(root: RootDatabase, options: StoreOptions) {
    this.#root = root
    this.#options = options
  }

  /** A table by name; made when it is not there. */
  table<V>(name: string): StoreTable<V> {
    const known = this.#tables.get(name)
    if (known !== undefined) return known as StoreTable<V>
    const database = this.#opened(name, openTable(this.#root, name))
    const table = new StoreTable<V>(database, (change) => this.#enqueue(change))
    this.#tables.set(name, table as StoreTable<unknown>)
    return table
  }

  /** A database of its own encoding, for whoever writes by `transact`. */
  database<V, K extends Key>(name: string, encoding: 'msgpack' | 'string'): Database<V, K> {
    return this.#opened(name, this.#root.openDB<V, K>({ name, encoding }))
  }

  /** Above `sizeMaxOctets`: nothing new is to be kept, until enough has been taken away. */
  get isFull(): boolean {
    return this.#isFull
  }

  /** Octets of pages from which on the store is full. */
  get sizeMaxOctets(): number {
    return this.#options.sizeMaxOctets
  }

  /** Reads and writes that failed since the start. */
  get faults(): number {
    return this.#faults
  }

  /** Closed by its owner: what is written into it now is lost. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  /**
   * Makes a change now, in one transaction. False: it was not made, and will not be. Synchronous,
   * as everything that writes here: see the file's head.
   */
  transact(change: () => void): boolean {
    if (this.#isClosed) return false
    try {
      this.#root.transactionSync(change)
    } catch (error) {
      this.#countFault(error)
      this.#onFault(error)
      return false
    }
    this.#onSuccess()
    return true
  }

  /** A read failed. Told at the first, second, fourth, … since a bad disk fails at each. */
  onReadFault(error: unknown): void {
    this.#countFault(error)
    const isTold = (this.#faults & (this.#faults - 1)) === 0
    if (isTold) this.#options.report('fault', `${messageOf(error)} (${this.#faults} so far)`)
  }

  /** Takes a change for the next common transaction. */
  enqueue(change: Change): void {
    this.#enqueue(change)
  }

  /** Changes lost because no transaction succeeded for too long, since start. */
  lost(): number {
    return this.#lost
  }

  /** Makes the changes that wait. False: they still wait (disk full). */
  flush(): boolean {
    if (this.#timer !== undefined) clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#waiting.length === 0) return true
    const changes = this.#waiting
    const isDone = this.transact(() => {
      for (const change of changes) change.make()
    })
    if (!isDone) return false
    this.#waiting = []
    for (const change of changes) change.settle()
    return true
  }

  /** Makes what waits and closes. */
  async close(): Promise<void> {
    this.flush()
    this.#isClosed = true
    clearTimeout(this.#timer)
    await this.#root.close()
  }

  #opened<V, K extends Key>(name: string, database: Database<V, K>): Database<V, K> {
    this.#databases.set(name, database as unknown as Database<unknown, Key>)
    return database
  }

  #enqueue(change: Change): void {
    if (change.isNew && this.#isFull) {
      this.#giveUp(change)
      return
    }
    if (this.#waiting.length >= storeWaitingMax) this.#giveUp(this.#waiting.shift())
    this.#waiting.push(change)
    if (this.#waiting.length === storeBatchMax && !this.#isFaulty) this.flush()
    else this.#timer ??= setTimeout(() => this.flush(), storeBatchMs).unref()
  }

  #giveUp(change: Change | undefined): void {
    change?.settle()
    this.#lost += 1
  }

  #countFault(error: unknown): void {
    this.#faults++
    const message = messageOf(error)
    if (this.#isCondemned || !damage.test(message)) return
    this.#isCondemned = true
    this.#options.condemn?.(message)
  }

  #onFault(error: unknown): void {
    if (!this.#isFaulty) this.#options.report('fault', messageOf(error))
    this.#isFaulty = true
    this.#timer ??= setTimeout(() => this.flush(), storeBatchMs * 20).unref()
  }

  #onSuccess(): void {
    const { report, sizeMaxOctets } = this.#options
    if (this.#isFaulty) report('recovered', 'what waited is written')
    this.#isFaulty = false
    // Not told at each sweep that frees a page.
    const limit = this.#isFull ? sizeMaxOctets * storeRoomAgainShare : sizeMaxOctets
    const isFull = this.#usedOctets() >= limit
    if (isFull && !this.#isFull) {
      report('full', `store.size_max = ${sizeMaxOctets} octets is used; nothing new is kept`)
    } else if (this.#isFull && !isFull) {
      report('recovered', 'below store.size_max again; what is new is kept')
    }
    this.#isFull = isFull
  }

  /** Pages in use. The file itself never shrinks; pages that were taken away are used again. */
  #usedOctets(): number {
    let octets = 0
    for (const database of this.#databases.values()) {
      const stats = database.getStats() as PageStats
      const pages = stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages
      octets += pages * stats.pageSize
    }
    return octets
  }
}

/** Of what lmdb-js tells of a database. */
interface PageStats {
  readonly pageSize: number
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
}

function openTable(root: RootDatabase, name: string): Database<string, string> {
  return root.openDB<string, string>({ name, encoding: 'string' })
}
