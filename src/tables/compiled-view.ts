/**
 * The compiled IPv4 structure as one JavaScript thread reads it, without a native call: RankDXR,
 * laid out in native/core/image4.hpp.
 *
 * Three signs in shared memory say whether the answer is here: the bit of the /24 in any24 (unset =
 * not listed), the publication (another number = another structure was swapped in: it is taken
 * once, by one native call) and how many entered prefixes touch the /16 (any = the native side
 * decides).
 *
 * Lifetime: the views hold the structure's memory, so a swap takes nothing away from under a
 * reader; an old structure dies when the last thread that asked it has asked the new one and
 * collected its garbage. One thread. bench/lookup.ts measures it.
 */
import type { VerdictClass } from './ip-table.ts'
import type { NativeAttachment } from './native-addon.ts'

/** Words of the signals, see native/core/table_signals.hpp. */
const signalsPlace = { entered: 1 << 16, publication: (1 << 16) + 1 } as const

/** Flags of an entry, see native/core/image4.hpp; the sign says that it names a group. */
const wideFlag = 0x4000_0000
const offsetMask = 0x3fff_ffff
/** Starts of a group above which halving beats counting. */
const countedStarts = 8

/** What `tryClassOf` answers where the native side has to be asked. */
export const askNative = -1

/** A reader of one table; of one thread. */
export class CompiledView {
  readonly #native: Pick<NativeAttachment, 'image4'>
  readonly #any24: Uint32Array
  readonly #signals: Uint32Array
  #publication = -1
  #chunks = new Int32Array(0)
  #entries = new Int32Array(0)
  #groups = new Uint8Array(0)
  #meanings = new Uint16Array(0)

  constructor(native: Pick<NativeAttachment, 'image4'>, any24: Uint32Array, signals: Uint32Array) {
    this.#native = native
    this.#any24 = any24
    this.#signals = signals
  }

  /**
   * The class of an IPv4 address (any 32-bit number, signed or not), or `askNative` where a prefix
   * has been entered near it. Three dependent reads, no allocation but after a swap.
   */
  tryClassOf(address: number): VerdictClass | typeof askNative {
    const listed = (this.#any24[address >>> 13] ?? 0) >>> ((address >>> 8) & 31)
    if ((listed & 1) === 0) return 0
    const signals = this.#signals
    if (signals[signalsPlace.publication] !== this.#publication) this.#takePublished()
    if (signals[signalsPlace.entered] !== 0 && signals[address >>> 16] !== 0) return askNative
    const entry = this.#entries[this.#entryIndex(address)] ?? 0
    return this.#meanings[entry < 0 ? this.#inGroup(entry, address & 255) : entry] ?? 0
  }

  #takePublished(): void {
    const image = this.#native.image4()
    this.#chunks = new Int32Array(image.chunks)
    this.#entries = new Int32Array(image.entries)
    this.#groups = new Uint8Array(image.groups)
    this.#meanings = new Uint16Array(image.meanings)
    this.#publication = image.publication
  }

  /** The entry of the /24: how many changes lie in its chunk up to it, counted without a branch. */
  #entryIndex(address: number): number {
    const chunks = this.#chunks
    const chunk = (address >>> 14) << 2
    const block = (address >>> 8) & 63
    const upTo = -1 >>> (31 - (block & 31))
    const isLow = (block - 32) >> 31
    const low = (chunks[chunk] ?? 0) & (upTo | ~isLow)
    const high = (chunks[chunk + 1] ?? 0) & upTo & ~isLow
    return (chunks[chunk + 2] ?? 0) + bitsSet(low, high) - 1
  }

  /** The class within a /24 that is cut: n, n ascending starts, n + 1 classes. */
  #inGroup(entry: number, octet: number): number {
    const groups = this.#groups
    const group = entry & offsetMask
    const n = groups[group] ?? 0
    let at = group + 1
    let end = at + n
    while (end - at > countedStarts) {
      const middle = (at + end) >>> 1
      if ((groups[middle] ?? 0) <= octet) at = middle + 1
      else end = middle
    }
    while (at < end && (groups[at] ?? 0) <= octet) at++
    if ((entry & wideFlag) === 0) return groups[at + n] ?? 0
    const place = group + 1 + n + (at - group - 1) * 2
    return (groups[place] ?? 0) | ((groups[place + 1] ?? 0) << 8)
  }
}

/** How many bits of both words are set (Warren, Hacker’s Delight, §5-1). */
function bitsSet(low: number, high: number): number {
  const pairsLow = low - ((low >>> 1) & 0x5555_5555)
  const pairsHigh = high - ((high >>> 1) & 0x5555_5555)
  const fours =
    (pairsLow & 0x3333_3333) +
    ((pairsLow >>> 2) & 0x3333_3333) +
    (pairsHigh & 0x3333_3333) +
    ((pairsHigh >>> 2) & 0x3333_3333)
  const eights = (fours & 0x0f0f_0f0f) + ((fours >>> 4) & 0x0f0f_0f0f)
  return Math.imul(eights, 0x0101_0101) >>> 24
}
