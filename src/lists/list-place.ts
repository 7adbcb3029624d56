/**
 * ListPlace: where the octets of a list and of its last good state lie (`lists.keep`).
 *
 * `files`: the list is its file (or a fetched feed's), the last good one a file in the cache
 * folder. `store`: both lie in one LMDB store; a file at the configured path is taken into the
 * store whenever it differs, and may be gone afterwards. Used by threads of the CPU pool; blocks
 * its thread.
 */
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { writeDurable } from '../files/durable-file.ts'
import { ListStore } from './list-store.ts'
import { readListFile } from './read-list-file.ts'

/** A place, fit for structured clone. */
export type PlaceDescription =
  | { readonly kind: 'files'; readonly source: string; readonly cache: string }
  | { readonly kind: 'store'; readonly source: string; readonly store: string }

/** The octets of one list, unpacked. */
export interface ListPlace {
  /** Throws OperatingError LIST_UNREADABLE, LIST_TOO_LARGE, LIST_GZIP. */
  readSource(): Uint8Array
  /** Keeps what `readSource` has read where it outlives its file. Throws OperatingError. */
  keepSource(octets: Uint8Array): void
  /** Undefined where there never was one. Throws like readSource. */
  readLastGood(): Uint8Array | undefined
  /** Throws OperatingError. */
  writeLastGood(octets: Uint8Array): void
  close(): void
}

/** Opens the place of the list `kind/name`. */
export function openPlace(place: PlaceDescription, kind: string, name: string): ListPlace {
  if (place.kind === 'store') return new StorePlace(place.source, place.store, `${kind}/${name}`)
  return new FilePlace(place.source, place.cache, `${kind}-${name}`)
}

class FilePlace implements ListPlace {
  readonly #source: string
  readonly #cache: string
  readonly #lastGood: string

  constructor(source: string, cache: string, name: string) {
    this.#source = source
    this.#cache = cache
    this.#lastGood = join(cache, `${name.replaceAll(/[^A-Za-z0-9._-]/g, '_')}.last-good`)
  }

  readSource(): Uint8Array {
    return readListFile(this.#source)
  }

  keepSource(): void {}

  readLastGood(): Uint8Array | undefined {
    return existsSync(this.#lastGood) ? readListFile(this.#lastGood) : undefined
  }

  writeLastGood(octets: Uint8Array): void {
    mkdirSync(this.#cache, { recursive: true })
    writeDurable(this.#lastGood, [octets])
  }

  close(): void {}
}

class StorePlace implements ListPlace {
  readonly #source: string
  readonly #name: string
  readonly #store: ListStore
  #stored: Uint8Array | undefined

  constructor(source: string, store: string, name: string) {
    this.#source = source
    this.#name = name
    this.#store = new ListStore(store)
  }

  readSource(): Uint8Array {
    this.#stored = this.#store.read('source', this.#name)
    if (this.#stored !== undefined && !existsSync(this.#source)) return this.#stored
    return readListFile(this.#source)
  }

  keepSource(octets: Uint8Array): void {
    if (this.#stored !== undefined && Buffer.compare(this.#stored, octets) === 0) return
    this.#store.write('source', this.#name, octets)
  }

  readLastGood(): Uint8Array | undefined {
    return this.#store.read('last-good', this.#name)
  }

  writeLastGood(octets: Uint8Array): void {
    this.#store.write('last-good', this.#name, octets)
  }

  close(): void {
    this.#store.close()
  }
}
