/**
 * ListStore: all lists merged in the store of the instance (`lists.keep = "store"`, B25), beside
 * what it has learnt (src/store/learnt.ts): one environment, here its database `lists`.
 *
 * A record a list and state: its octets as they would stand in a file, so that every format, line
 * number and check is the same as with files. Threads of the CPU pool read and write it; each joins
 * the environment for itself.
 */
import { mkdirSync } from 'node:fs'
import type { Database, RootDatabase } from 'lmdb'
import { messageOf, OperatingError } from '../base/errors.ts'
import { storeReadersMax } from '../base/limits.ts'
import { openEnvironment } from '../files/environment.ts'

/** What is kept of a list: what came last, and what was last believed. */
export type ListState = 'source' | 'last-good'

/** The store. Close it: LMDB holds a place in its table of readers for each opener. */
export class ListStore {
  readonly #path: string
  readonly #root: RootDatabase
  readonly #database: Database<Buffer, string>

  /** Joins or makes the environment of the folder. Throws OperatingError LIST_STORE. */
  constructor(path: string) {
    this.#path = path
    try {
      mkdirSync(path, { recursive: true, mode: 0o700 })
      this.#root = openEnvironment(path, storeReadersMax)
      this.#database = this.#root.openDB<Buffer, string>({ name: 'lists', encoding: 'binary' })
    } catch (fault) {
      throw this.#fault('cannot be opened', fault)
    }
  }

  /** The octets of a list, in memory of their own; undefined where there are none. */
  read(state: ListState, name: string): Uint8Array | undefined {
    const found = this.#database.getBinary(`${state}/${name}`)
    return found === undefined ? undefined : Uint8Array.from(found)
  }

  /** Writes durably before it returns. Throws OperatingError LIST_STORE. */
  write(state: ListState, name: string, octets: Uint8Array): void {
    try {
      this.#database.putSync(`${state}/${name}`, Buffer.from(octets))
    } catch (fault) {
      throw this.#fault(`cannot take ${name}`, fault)
    }
  }

  /** Names of the lists that have this state, in order. */
  names(state: ListState): readonly string[] {
    const range = { start: `${state}/`, end: `${state}0` }
    return [...this.#database.getKeys(range)].map((key) => key.slice(state.length + 1))
  }

  /** Forgets a list. */
  remove(name: string): void {
    this.#database.removeSync(`source/${name}`)
    this.#database.removeSync(`last-good/${name}`)
  }

  close(): void {
    void this.#root.close()
  }

  #fault(what: string, fault: unknown): OperatingError {
    const message = `list store ${this.#path}: ${what}: ${messageOf(fault)}; check rights and space`
    return new OperatingError('LIST_STORE', message, { cause: fault })
  }
}
