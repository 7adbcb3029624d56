/**
 * PrefixMap: a map per prefix length; what stands around an address is asked length by length.
 *
 * Slow and obvious, the ground of the reference table. A question costs one hash probe per length
 * that occurs in the map (25 in real IPv4 tables).
 */
import { maskOf } from '../base/ip-address.ts'

type Key = number | string

/** Values by prefix. Host bits of the prefixes must be zero. */
export class PrefixMap<T> {
  readonly #byLength4 = new Map<number, Map<Key, T>>()
  readonly #byLength6 = new Map<number, Map<Key, T>>()
  #lengths4: readonly number[] = []
  #lengths6: readonly number[] = []

  /** The value of exactly this prefix. */
  get(family: 4 | 6, words: ArrayLike<number>, length: number, offset = 0): T | undefined {
    return this.#family(family)
      .get(length)
      ?.get(keyOf(family, words, offset, length))
  }

  /** Sets the value of exactly this prefix. */
  set(family: 4 | 6, words: ArrayLike<number>, length: number, value: T, offset = 0): void {
    const byLength = this.#family(family)
    const values = byLength.get(length)
    if (values !== undefined) values.set(keyOf(family, words, offset, length), value)
    else {
      byLength.set(length, new Map([[keyOf(family, words, offset, length), value]]))
      const lengths = [...byLength.keys()].sort((one, other) => other - one)
      if (family === 4) this.#lengths4 = lengths
      else this.#lengths6 = lengths
    }
  }

  /** Deletes exactly this prefix. */
  delete(family: 4 | 6, words: ArrayLike<number>, length: number): void {
    this.#family(family)
      .get(length)
      ?.delete(keyOf(family, words, 0, length))
  }

  /** The values of all prefixes around the address at `offset`, longest first, into `around`. */
  around(family: 4 | 6, words: ArrayLike<number>, offset: number, around: T[]): void {
    const byLength = this.#family(family)
    for (const length of family === 4 ? this.#lengths4 : this.#lengths6) {
      const value = byLength.get(length)?.get(keyOf(family, words, offset, length))
      if (value !== undefined) around.push(value)
    }
  }

  #family(family: 4 | 6): Map<number, Map<Key, T>> {
    return family === 4 ? this.#byLength4 : this.#byLength6
  }
}

/** The first `length` bits as a key within their length. */
function keyOf(family: 4 | 6, words: ArrayLike<number>, offset: number, length: number): Key {
  if (family === 4) return ((words[offset] ?? 0) & maskOf(length)) >>> 0
  let key = ''
  for (let word = 0; word * 32 < length; word++) {
    const bits = Math.min(32, length - word * 32)
    key += `${(((words[offset + word] ?? 0) & maskOf(bits)) >>> 0).toString(36)},`
  }
  return key
}
