/**
 * A few networks, asked one by one: who is traced. Not for lists of addresses (src/tables/).
 */
import { maskOf, newPrefixCell, parseAddress, parsePrefix } from '../base/ip-address.ts'

interface Network {
  readonly family: 0 | 4 | 6
  readonly words: readonly number[]
  readonly length: number
}

/** Networks to ask; texts that are none are left out. */
export class Networks {
  readonly #networks: readonly Network[]

  constructor(texts: readonly string[]) {
    const cell = newPrefixCell()
    this.#networks = texts
      .filter((text) => parsePrefix(text, cell) === '')
      .map((text) => {
        parsePrefix(text, cell)
        return { family: cell.family, words: [...cell.words], length: cell.length }
      })
  }

  /** Whether one of them holds the address. */
  holds(address: string): boolean {
    if (this.#networks.length === 0) return false
    const cell = newPrefixCell()
    if (parseAddress(address, cell) !== '') return false
    return this.#networks.some(
      ({ family, words, length }) =>
        family === cell.family &&
        words.every((word, at) => {
          const mask = maskOf(Math.min(32, Math.max(0, length - at * 32)))
          return family === 4 && at > 0 ? true : ((cell.words[at] ?? 0) & mask) >>> 0 === word
        }),
    )
  }
}
