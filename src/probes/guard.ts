/**
 * Guard: which addresses a probe may be sent to.
 *
 * Whoever sends us mail chooses, by the MX of the sender's domain, whom we connect to. So every
 * address is judged after resolution, and the connection goes to the judged address itself: never
 * to loopback, private, link-local, shared, multicast or reserved space, in any IPv6 disguise of
 * it, nor to our own networks or the mailhost. Pure. Sources: the IANA special-purpose registries
 * (RFC 6890 and its updates), RFC 4291 §2.5.5, RFC 6052 §2.1 (NAT64), RFC 3056 §2 (6to4), RFC 2765
 * §2.1 (IPv4-translated); Teredo lies in 2001::/23.
 */
import { BugError } from '../base/errors.ts'
import { newPrefixCell, type PrefixCell, parseAddress, parsePrefix } from '../base/ip-address.ts'
import { cellHolds } from '../base/prefix-holds.ts'

/** Why an address is forbidden; '' = it is permitted. */
export type GuardReason = '' | 'not an address' | 'special-purpose' | 'own network'

// biome-ignore format: a table
const specialNetworks = [
  '0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12',
  '192.0.0.0/24', '192.0.2.0/24', '192.31.196.0/24', '192.52.193.0/24', '192.88.99.0/24',
  '192.168.0.0/16', '192.175.48.0/24', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24',
  '224.0.0.0/4', '240.0.0.0/4',
  '::/96', '::ffff:0:0:0/96', '64:ff9b:1::/48', '100::/64', '100:0:0:1::/64', '2001::/23', '2001:db8::/32',
  '3fff::/20', '5f00::/16', 'fc00::/7', 'fe80::/10', 'fec0::/10', 'ff00::/8',
]

const loopbackNetworks = ['127.0.0.0/8', '::1/128']

/** Judges addresses. One per configuration; a reload makes a new one. */
export class TargetGuard {
  readonly #special = specialNetworks.map(networkOf)
  readonly #loopback: readonly PrefixCell[]
  readonly #own: readonly PrefixCell[]
  readonly #cell = newPrefixCell()

  /**
   * @param ownNetworks prefixes and addresses that are ours: listeners, mailhosts, own networks.
   * @param allowLoopback tests and demo only: opens 127.0.0.0/8 and ::1 (but for the own ones).
   * Throws BugError for a text that is no prefix: the configuration has checked them.
   */
  constructor(ownNetworks: readonly string[], allowLoopback: boolean) {
    this.#own = ownNetworks.map(networkOf)
    this.#loopback = allowLoopback ? loopbackNetworks.map(networkOf) : []
  }

  /** Why a probe must not go to this address, '' when it may. O(networks), no allocation. */
  reasonAgainst(address: string): GuardReason {
    const cell = this.#cell
    if (parseAddress(address, cell) !== '') return 'not an address'
    if (this.#own.some((network) => cellHolds(network, cell))) return 'own network'
    if (this.#loopback.some((network) => cellHolds(network, cell))) return ''
    if (this.#special.some((network) => cellHolds(network, cell))) return 'special-purpose'
    if (cell.family !== 6 || !unwrap(cell)) return ''
    if (this.#own.some((network) => cellHolds(network, cell))) return 'own network'
    return this.#special.some((network) => cellHolds(network, cell)) ? 'special-purpose' : ''
  }
}

/**
 * The key of a host in caches and budgets: an IPv4 address itself, the /64 of an IPv6 address.
 * '' for what is no address.
 */
export function hostKey(address: string): string {
  const cell = newPrefixCell()
  return parseAddress(address, cell) === '' ? keyOf(cell.family, cell.words) : ''
}

/**
 * The keys of all hosts in a prefix. None for a text that is no prefix, and for one that is wider
 * than 256 hosts.
 */
export function hostKeysIn(prefix: string): readonly string[] {
  const cell = newPrefixCell()
  if (parsePrefix(prefix, cell) !== '' || cell.family === 0) return []
  const [first = 0, second = 0] = cell.words
  const freeBits = Math.max(0, (cell.family === 4 ? 32 : 64) - cell.length)
  if (freeBits > 8) return []
  return Array.from({ length: 1 << freeBits }, (_, host) =>
    cell.family === 4 ? keyOf(4, [first + host]) : keyOf(6, [first, second + host]),
  )
}

function keyOf(family: number, words: ArrayLike<number>): string {
  const word = (index: number) => (words[index] ?? 0).toString(16)
  return family === 4 ? `4:${word(0)}` : `6:${word(0)}.${word(1)}`
}

/** The key of a host's network in budgets: the /24 of an IPv4 address, the /64 of an IPv6 one. */
export function networkKey(address: string): string {
  const cell = newPrefixCell()
  if (parseAddress(address, cell) !== '') return ''
  if (cell.family === 6) return keyOf(6, cell.words)
  return `4:${((cell.words[0] ?? 0) >>> 8).toString(16)}`
}

function networkOf(prefix: string): PrefixCell {
  const network = newPrefixCell()
  const fault = parsePrefix(prefix, network)
  if (fault !== '') throw new BugError(`not a prefix: ${prefix} (${fault})`)
  return network
}

/** Replaces NAT64 and 6to4 addresses by the IPv4 address inside; false for all others. */
function unwrap(cell: PrefixCell): boolean {
  const [first = 0, second = 0, third = 0, fourth = 0] = cell.words
  let inner: number | undefined
  if (first === 0x0064ff9b && second === 0 && third === 0) inner = fourth
  else if (first >>> 16 === 0x2002) inner = ((first << 16) | (second >>> 16)) >>> 0
  if (inner === undefined) return false
  cell.family = 4
  cell.words[0] = inner
  return true
}
