/**
 * Never-block space: what no feed may refuse, whatever it says (B3's safety).
 *
 * Special-purpose space stands here (RFC 6890 and its registries): a list that holds it was not
 * made from mail that reached anybody. Our own networks, the mailhosts and the operator's list come
 * from the configuration. `lists.allow_loopback` takes 127.0.0.0/8 and ::1 out, for tests and
 * demonstrations.
 */
import { maskOf, newPrefixCell, parsePrefix } from '../base/ip-address.ts'
import type { FamilyColumns } from '../base/prefix-columns.ts'

/** A network that no list may touch, and why. */
export interface NeverBlockNetwork {
  readonly prefix: string
  /** `private use, RFC 1918`, or file and line of the operator's list. */
  readonly reason: string
}

/** Loopback, apart from the rest because a switch takes it out. */
export const loopbackNetworks: readonly NeverBlockNetwork[] = [
  { prefix: '127.0.0.0/8', reason: 'loopback, RFC 1122' },
  { prefix: '::1/128', reason: 'loopback, RFC 4291' },
]

/**
 * Special-purpose networks that are not loopback. 192.0.0.0/24 (protocol assignments) is not among
 * them: good lists hold it, and it is nobody's.
 */
export const specialNetworks: readonly NeverBlockNetwork[] = [
  { prefix: '0.0.0.0/8', reason: 'this network, RFC 1122' },
  { prefix: '10.0.0.0/8', reason: 'private use, RFC 1918' },
  { prefix: '100.64.0.0/10', reason: 'carrier NAT, RFC 6598' },
  { prefix: '169.254.0.0/16', reason: 'link-local, RFC 3927' },
  { prefix: '172.16.0.0/12', reason: 'private use, RFC 1918' },
  { prefix: '192.0.2.0/24', reason: 'documentation, RFC 5737' },
  { prefix: '192.168.0.0/16', reason: 'private use, RFC 1918' },
  { prefix: '198.18.0.0/15', reason: 'benchmarking, RFC 2544' },
  { prefix: '198.51.100.0/24', reason: 'documentation, RFC 5737' },
  { prefix: '203.0.113.0/24', reason: 'documentation, RFC 5737' },
  { prefix: '224.0.0.0/4', reason: 'multicast, RFC 5771' },
  { prefix: '240.0.0.0/4', reason: 'reserved, RFC 1112' },
  { prefix: '::/128', reason: 'unspecified, RFC 4291' },
  { prefix: '100::/64', reason: 'discard, RFC 6666' },
  { prefix: '2001:db8::/32', reason: 'documentation, RFC 3849' },
  { prefix: '3fff::/20', reason: 'documentation, RFC 9637' },
  { prefix: 'fc00::/7', reason: 'unique local, RFC 4193' },
  { prefix: 'fe80::/10', reason: 'link-local, RFC 4291' },
  { prefix: 'fec0::/10', reason: 'site-local, RFC 3879' },
  { prefix: 'ff00::/8', reason: 'multicast, RFC 4291' },
]

interface Network {
  readonly words: readonly number[]
  readonly length: number
  readonly why: string
}

/** Answers whether an entry touches never-block space. Built per load, used by one thread. */
export class NeverBlockSpace {
  /** By start; none within another. */
  readonly #v4: readonly Network[]
  readonly #v6: readonly Network[]
  /** 1 for each first octet under which a network lies: most entries end here. */
  readonly #firstOctets = new Uint8Array(256)

  /** Networks that do not parse are left out: the configuration has reported them. */
  constructor(networks: readonly NeverBlockNetwork[]) {
    const v4: Network[] = []
    const v6: Network[] = []
    const cell = newPrefixCell()
    for (const { prefix, reason } of networks) {
      if (parsePrefix(prefix, cell) !== '') continue
      const { length } = cell
      const family = cell.family === 4 ? v4 : v6
      family.push({ words: [...cell.words], length, why: `touches ${prefix}: ${reason}` })
    }
    this.#v4 = widestOnly(v4)
    for (const { words, length } of this.#v4) {
      const first = (words[0] ?? 0) >>> 24
      this.#firstOctets.fill(1, first, first + Math.max(1, 2 ** (8 - length)))
    }
    this.#v6 = v6
  }

  /** Why entry `at` touches the space, or ''. O(log n) for IPv4, O(n) for IPv6. No allocation. */
  reasonFor(family: 4 | 6, entries: FamilyColumns, at: number): string {
    const length = entries.lengths[at] ?? 0
    if (family === 4) return this.#reasonFor4(entries.words[at] ?? 0, length)
    for (const network of this.#v6) {
      if (overlap(network, entries.words, at * 4, length)) return network.why
    }
    return ''
  }

  /** Why a prefix touches the space, or ''; '' also for what is no prefix. */
  reasonForPrefix(prefix: string): string {
    const cell = newPrefixCell()
    if (parsePrefix(prefix, cell) !== '') return ''
    if (cell.family === 4) return this.#reasonFor4(cell.words[0] ?? 0, cell.length)
    return this.#v6.find((network) => overlap(network, cell.words, 0, cell.length))?.why ?? ''
  }

  /**
   * The networks are disjoint and sorted: if any touches the entry, the last that begins at or
   * before the entry's end does.
   */
  #reasonFor4(start: number, length: number): string {
    if (length >= 8 && this.#firstOctets[start >>> 24] === 0) return ''
    const last = start + 2 ** (32 - length) - 1
    let low = 0
    let high = this.#v4.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#v4[middle]?.words[0] ?? 0) <= last) low = middle + 1
      else high = middle
    }
    const network = this.#v4[low - 1]
    if (network === undefined) return ''
    const networkLast = (network.words[0] ?? 0) + 2 ** (32 - network.length) - 1
    return networkLast >= start ? network.why : ''
  }
}

/** Sorted, without networks that lie in another. */
function widestOnly(networks: readonly Network[]): readonly Network[] {
  const byStart = (one: Network, other: Network) =>
    (one.words[0] ?? 0) - (other.words[0] ?? 0) || one.length - other.length
  let end = -1
  return [...networks].sort(byStart).filter((network) => {
    const start = network.words[0] ?? 0
    if (start <= end) return false
    end = start + 2 ** (32 - network.length) - 1
    return true
  })
}

/** One of two prefixes contains the other exactly if they agree in the shorter one's bits. */
function overlap(network: Network, words: Uint32Array, offset: number, length: number): boolean {
  const bits = Math.min(network.length, length)
  for (let word = 0; word * 32 < bits; word++) {
    const mask = maskOf(Math.min(32, bits - word * 32))
    const difference = (network.words[word] ?? 0) ^ (words[offset + word] ?? 0)
    if ((difference & mask) !== 0) return false
  }
  return true
}
