/**
 * Does a prefix hold an address? For small numbers of both; tables are for the rest.
 */
import { maskOf, newPrefixCell, type PrefixCell, parseAddress, parsePrefix } from './ip-address.ts'

/** Both as text; undefined: one of them cannot be read. IPv4 and IPv6 never hold each other. */
export function prefixHolds(prefix: string, address: string): boolean | undefined {
  const network = newPrefixCell()
  const host = newPrefixCell()
  if (parsePrefix(prefix, network) !== '' || parseAddress(address, host) !== '') return undefined
  return cellHolds(network, host)
}

/** Do the prefixes have addresses in common? Undefined as above. */
export function prefixesTouch(one: string, other: string): boolean | undefined {
  const first = newPrefixCell()
  const second = newPrefixCell()
  if (parsePrefix(one, first) !== '' || parsePrefix(other, second) !== '') return undefined
  return first.length <= second.length ? cellHolds(first, second) : cellHolds(second, first)
}

/** The prefix `network` holds all of `inner`, which is not shorter. No allocation. */
export function cellHolds(network: PrefixCell, inner: PrefixCell): boolean {
  if (network.family !== inner.family) return false
  for (let index = 0; index * 32 < network.length; index++) {
    const mask = maskOf(Math.min(32, network.length - index * 32))
    if ((((network.words[index] ?? 0) ^ (inner.words[index] ?? 0)) & mask) !== 0) return false
  }
  return true
}
