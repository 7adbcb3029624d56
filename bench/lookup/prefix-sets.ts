/**
 * The prefixes that the lookup bench compiles: synthetic ones from a seed, and the real BGP table
 * where the data lie beside the project.
 *
 * Synthetic IPv4: 70 % /32, 18 % /24, 5 % /25 – /31, 7 % /16 – /23, crowded by a Zipf law into
 * 20,000 /16s, as block lists are; in 16 lists, three of which share a /16 (26 real lists form 911
 * sets). IPv6: 60 % /64, 15 % /48, 15 % /128, 5 % /56, 5 % /32.
 */
import { existsSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { newPrefixCell, parsePrefix } from '../../src/base/ip-address.ts'
import { type PrefixColumns, PrefixColumnsBuilder } from '../../src/base/prefix-columns.ts'
import { Random } from '../../test/support/random.ts'

const listCount = 16
const crowdedBlocks = 20_000
const bgpFile = '../shared/data/prefixes/bart_prefixes.txt.gz'

/** Columns of `count` synthetic IPv4 prefixes. */
export function syntheticIpv4(count: number, seed: number): PrefixColumns {
  const random = new Random(seed)
  const builder = namedBuilder()
  const cell = newPrefixCell()
  const blocks = Uint32Array.from({ length: crowdedBlocks }, () => unicast(random) >>> 16)
  for (let i = 0; i < count; i++) {
    const length = ipv4Length(random)
    const rank = Math.floor(crowdedBlocks ** random.next()) - 1
    const address = ((blocks[rank] ?? 0) << 16) | random.below(65_536)
    cell.family = 4
    cell.length = length
    cell.words[0] = length === 32 ? address : (address >>> (32 - length)) << (32 - length)
    builder.push(cell, (rank + random.below(3)) % listCount, 0, i + 1, false)
  }
  return builder.finish()
}

function ipv4Length(random: Random): number {
  const share = random.next()
  if (share < 0.7) return 32
  if (share < 0.88) return 24
  return share < 0.93 ? 25 + random.below(7) : 16 + random.below(8)
}

/** Columns of `count` synthetic IPv6 prefixes below 2000::/3. */
export function syntheticIpv6(count: number, seed: number): PrefixColumns {
  const random = new Random(seed)
  const builder = namedBuilder()
  const cell = newPrefixCell()
  const word = () => Math.floor(random.next() * 2 ** 32)
  for (let i = 0; i < count; i++) {
    const share = random.next()
    const length = share < 0.6 ? 64 : share < 0.75 ? 48 : share < 0.9 ? 128 : share < 0.95 ? 56 : 32
    cell.family = 6
    cell.length = length
    const words = [0x20010000 | random.below(20_000), word(), word(), word()]
    for (let at = 0; at < 4; at++) {
      const bits = Math.min(32, Math.max(0, length - at * 32))
      const mask = bits === 0 ? 0 : 0xffff_ffff << (32 - bits)
      cell.words[at] = (words[at] ?? 0) & mask
    }
    builder.push(cell, random.below(listCount), 0, i + 1, false)
  }
  return builder.finish()
}

/**
 * The real BGP table, both families, in 16 lists, 4,096 neighbours each; undefined where the data
 * are missing.
 */
export function bgpTable(): PrefixColumns | undefined {
  if (!existsSync(bgpFile)) return undefined
  const builder = namedBuilder()
  const cell = newPrefixCell()
  const lines = gunzipSync(readFileSync(bgpFile)).toString('latin1').split('\n')
  for (const [index, line] of lines.entries()) {
    if (parsePrefix(line.trim(), cell) !== '') continue
    builder.push(cell, (index >>> 12) % listCount, 0, index + 1, false)
  }
  return builder.finish()
}

function namedBuilder(): PrefixColumnsBuilder {
  const builder = new PrefixColumnsBuilder()
  for (let list = 0; list < listCount; list++) builder.listId(`list${list}`)
  builder.fileId('synthetic')
  return builder
}

/** A random address that hosts may have: 1.0.0.0 – 223.255.255.255 without 10/8 and 127/8. */
export function unicast(random: Random): number {
  for (;;) {
    const address = Math.floor(random.next() * 2 ** 32)
    const first = address >>> 24
    if (first > 0 && first < 224 && first !== 10 && first !== 127) return address
  }
}
