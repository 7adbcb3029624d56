/**
 * ReplyMemo: the short replies that a server has given lately, by their octets.
 *
 * A mailhost says the same few lines for every message; ReplyReader takes them from here as they
 * stand instead of reading them anew. Lines that never come again (`queued as …`) push only each
 * other out: an entry that was used since the hand last passed it stays (the clock algorithm).
 */
import type { Reply } from './reply.ts'

/** A whole line with its end, and what it was read as. */
export interface KnownReply {
  readonly octets: Uint8Array
  readonly reply: Reply
}

interface Entry extends KnownReply {
  wasUsed: boolean
}

/** Entries kept: the replies of one transaction, and room for those that come once. */
const entriesMax = 8
/** Longer lines are not kept. */
const lineOctetsMax = 80

/** The replies of one server, or of several alike. */
export class ReplyMemo {
  readonly #entries: Entry[] = []
  #hand = 0

  /** The known reply that octets [start, end) begin with. O(entries), no allocation. */
  find(chunk: Uint8Array, start: number, end: number): KnownReply | undefined {
    for (let i = 0; i < this.#entries.length; i++) {
      const entry = this.#entries[i] as Entry
      if (!beginsWith(chunk, start, end, entry.octets)) continue
      entry.wasUsed = true
      return entry
    }
    return undefined
  }

  /** Keeps the reply that the line [start, end), its end included, was read as. */
  keep(chunk: Uint8Array, start: number, end: number, reply: Reply): void {
    if (end - start > lineOctetsMax) return
    const entry = { octets: Uint8Array.from(chunk.subarray(start, end)), reply, wasUsed: false }
    if (this.#entries.length < entriesMax) {
      this.#entries.push(entry)
      return
    }
    // At most one round: each entry that is passed loses its mark.
    for (let at = this.#entries[this.#hand]; at?.wasUsed === true; at = this.#advance()) {
      at.wasUsed = false
    }
    this.#entries[this.#hand] = entry
    this.#advance()
  }

  #advance(): Entry | undefined {
    this.#hand = (this.#hand + 1) % entriesMax
    return this.#entries[this.#hand]
  }
}

function beginsWith(chunk: Uint8Array, start: number, end: number, octets: Uint8Array): boolean {
  const { length } = octets
  if (end - start < length) return false
  for (let i = 0; i < length; i++) if (chunk[start + i] !== octets[i]) return false
  return true
}
