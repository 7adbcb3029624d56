/**
 * The addresses that are asked: random unicast; Zipf, log-uniform ranks over 100,000 addresses,
 * half of them listed; hits, random listed addresses.
 */

import { formatIpv4, formatIpv6 } from '../../src/base/ip-address.ts'
import type { PrefixColumns } from '../../src/base/prefix-columns.ts'
import { Random } from '../../test/support/random.ts'
import { unicast } from './prefix-sets.ts'

/** Addresses of one pass. */
export const passLength = 65_536
/** Addresses of the largest batch. */
export const millionLength = 1 << 20
const zipfAddresses = 100_000

/** One workload, prepared in every form that a contender asks in. */
export interface Workload {
  readonly name: string
  readonly addresses: Uint32Array
  readonly texts: readonly string[]
  /** More of the same, for the batch of a million. */
  readonly million: Uint32Array
}

/** The three workloads over the IPv4 prefixes. */
export function workloadsIpv4(columns: PrefixColumns, seed: number): readonly Workload[] {
  const random = new Random(seed)
  const population = Uint32Array.from({ length: zipfAddresses }, (_, i) =>
    i % 2 === 0 ? listed(columns, random) : unicast(random),
  )
  const makers: readonly (readonly [string, () => number])[] = [
    ['random', () => unicast(random)],
    ['zipf', () => population[Math.floor(zipfAddresses ** random.next()) - 1] ?? 0],
    ['hits', () => listed(columns, random)],
  ]
  return makers.map(([name, make]) => {
    const addresses = Uint32Array.from({ length: passLength }, make)
    const texts = Array.from(addresses, (one) => flat(formatIpv4(one)))
    return { name, addresses, texts, million: Uint32Array.from({ length: millionLength }, make) }
  })
}

/** IPv6 addresses, four words each, and as texts. */
export interface Ipv6Workload {
  readonly words: Uint32Array
  readonly texts: readonly string[]
}

/** IPv6: listed addresses and random ones below 2001::/16 by turns. */
export function mixedIpv6(columns: PrefixColumns, seed: number): Ipv6Workload {
  const random = new Random(seed)
  const words = new Uint32Array(passLength * 4)
  const { v6 } = columns
  for (let i = 0; i < passLength; i++) {
    const entry = random.below(v6.count) * 4
    const isListed = i % 2 === 0
    for (let at = 0; at < 4; at++) {
      const anything = Math.floor(random.next() * 2 ** 32)
      const own = v6.words[entry + at] ?? 0
      words[i * 4 + at] = isListed ? own : at === 0 ? 0x20010000 | (anything & 0xffff) : anything
    }
  }
  const texts = Array.from({ length: passLength }, (_, i) => flat(formatIpv6(words, i * 4)))
  return { words, texts }
}

/** A text in one piece, as sockets and files give it; a concatenated one is read more slowly. */
function flat(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}

function listed({ v4 }: PrefixColumns, random: Random): number {
  const entry = random.below(v4.count)
  const length = v4.lengths[entry] ?? 32
  const hostBits = length === 32 ? 0 : Math.floor(random.next() * 2 ** (32 - length))
  return ((v4.words[entry] ?? 0) | hostBits) >>> 0
}
