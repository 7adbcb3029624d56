/**
 * Who answers in the lookup bench: the native table in every way of asking, the bare C loop over
 * the same structure, Node-API without work, and what a user would take from npm.
 *
 * Each pass is a loop of its own in the source, so that no call site is shared between contenders.
 */
import { createRequire } from 'node:module'
import { BlockList } from 'node:net'
import ipaddr from 'ipaddr.js'
import { Reader } from 'maxmind'
import { formatIpv4 } from '../../src/base/ip-address.ts'
import type { PrefixColumns } from '../../src/base/prefix-columns.ts'
import { prefixText } from '../../src/base/prefix-columns.ts'
import type { NativeIpTable } from '../../src/tables/native-table.ts'
import type { Contender } from '../timing.ts'
import { type NativeWay, nativeMeasures } from './native-measures.ts'
import { type Ipv6Workload, millionLength, passLength, type Workload } from './workloads.ts'

/** cidr-matcher has no types. */
type Matcher = new (prefixes: readonly string[]) => { contains(address: string): boolean }
const CidrMatcher = createRequire(import.meta.url)('cidr-matcher') as Matcher

/** Ways of asking the native table with numbers, and what bounds them from below. */
export function numberContenders(table: NativeIpTable, workload: Workload): readonly Contender[] {
  const { addresses, million } = workload
  return [
    nativeLoop('C loop, batch 1,048,576', table, million, 'many', millionLength),
    batch('batch 1,048,576', table, million, millionLength),
    nativeLoop('C loop, bitmap', table, addresses, 'bitmap', passLength),
    nativeLoop('C loop, batch 65,536', table, addresses, 'many', passLength),
    nativeLoop('C loop, batch 64', table, addresses, 'many', 64),
    nativeLoop('C loop, scalar', table, addresses, 'scalar', 1),
    nativeLoop('C loop, dependent', table, addresses, 'dependent', 1),
    batch('batch 65,536', table, addresses, passLength),
    batch('batch 4,096', table, addresses, 4096),
    prepared('batch 64, prepared buffers', table, addresses, 64),
    prepared('batch 8, prepared buffers', table, addresses, 8),
    scalar(table, addresses),
    bitmapDirect(table, addresses),
    emptyCall(addresses),
    echoCall(addresses),
  ]
}

function nativeLoop(
  name: string,
  table: NativeIpTable,
  addresses: Uint32Array,
  way: NativeWay,
  size: number,
): Contender {
  const { measureTable } = nativeMeasures()
  const classes = new Uint16Array(addresses.length)
  const pass = () => {
    measureTable(table.handle, way, addresses, classes, size, 1)
    return classes[7] ?? 0
  }
  return { name, count: addresses.length, pass }
}

function batch(
  name: string,
  table: NativeIpTable,
  addresses: Uint32Array,
  size: number,
): Contender {
  const parts: Uint32Array[] = []
  for (let from = 0; from < addresses.length; from += size) {
    parts.push(addresses.subarray(from, from + size))
  }
  const classes = new Uint16Array(size)
  const pass = () => {
    let sum = 0
    for (const part of parts) sum += table.lookupMany(part, classes)[7] ?? 0
    return sum
  }
  return { name, count: addresses.length, pass }
}

function prepared(
  name: string,
  table: NativeIpTable,
  addresses: Uint32Array,
  size: number,
): Contender {
  const own = table.newBatch(addresses.length)
  own.addresses.set(addresses)
  const { classes } = own
  const pass = () => {
    let sum = 0
    for (let from = 0; from < passLength; from += size) {
      own.run(from, size)
      sum += classes[from] ?? 0
    }
    return sum
  }
  return { name, count: addresses.length, pass }
}

function scalar(table: NativeIpTable, addresses: Uint32Array): Contender {
  const pass = () => {
    let sum = 0
    for (let i = 0; i < addresses.length; i++) sum += table.lookupClass4(addresses[i] ?? 0)
    return sum
  }
  return { name: 'number → class', count: addresses.length, pass }
}

function bitmapDirect(table: NativeIpTable, addresses: Uint32Array): Contender {
  const bitmap = table.any24
  const pass = () => {
    let sum = 0
    for (let i = 0; i < addresses.length; i++) {
      const address = addresses[i] ?? 0
      sum += ((bitmap[address >>> 13] ?? 0) >>> ((address >>> 8) & 31)) & 1
    }
    return sum
  }
  return { name: 'bitmap from JavaScript', count: addresses.length, pass }
}

function emptyCall(addresses: Uint32Array): Contender {
  const { measureEmptyCall } = nativeMeasures()
  const pass = () => {
    for (let i = 0; i < addresses.length; i++) measureEmptyCall()
    return addresses.length
  }
  return { name: 'empty Node-API call', count: addresses.length, pass }
}

function echoCall(addresses: Uint32Array): Contender {
  const { measureEchoU32 } = nativeMeasures()
  const pass = () => {
    let sum = 0
    for (let i = 0; i < addresses.length; i++) sum += measureEchoU32(addresses[i] ?? 0)
    return sum
  }
  return { name: 'Node-API call, number in and out', count: addresses.length, pass }
}

/** Texts in, verdicts out: ours. */
export function textContenders(table: NativeIpTable, { texts }: Workload): readonly Contender[] {
  return [
    {
      name: 'text → class',
      count: texts.length,
      pass: () => {
        let sum = 0
        for (const text of texts) sum += table.lookupClass(text)
        return sum
      },
    },
    {
      name: 'text → lists and prefix',
      count: texts.length,
      pass: () => {
        let sum = 0
        for (const text of texts) sum += table.lookup(text)?.lists.length ?? 0
        return sum
      },
    },
  ]
}

/** Texts in, verdicts out: a MaxMind database of the same prefixes. */
export function mmdbContender(mmdb: Buffer, { texts }: Pick<Workload, 'texts'>): Contender {
  const reader = new Reader<never>(mmdb)
  const pass = () => {
    let sum = 0
    for (const text of texts) sum += Number(reader.get(text) ?? 0)
    return sum
  }
  return { name: 'maxmind', count: texts.length, pass }
}

/** The peers that go over all prefixes at every question, for sets of up to 1,000. */
export interface LinearPeers {
  readonly blockList: BlockList
  readonly matcher: InstanceType<Matcher>
  readonly parsed: readonly (readonly [ipaddr.IPv4, number])[]
}

/** Builds them; minutes above 100,000 prefixes. */
export function buildLinearPeers(columns: PrefixColumns): LinearPeers {
  const { v4 } = columns
  const blockList = new BlockList()
  const texts: string[] = []
  const parsed: [ipaddr.IPv4, number][] = []
  for (let at = 0; at < v4.count; at++) {
    const address = formatIpv4(v4.words[at] ?? 0)
    blockList.addSubnet(address, v4.lengths[at] ?? 32)
    texts.push(prefixText(4, v4, at))
    parsed.push([ipaddr.IPv4.parse(address), v4.lengths[at] ?? 32])
  }
  return { blockList, matcher: new CidrMatcher(texts), parsed }
}

/** Their passes over the first `count` texts. */
export function linearContenders(
  peers: LinearPeers,
  { texts }: Workload,
  count: number,
): readonly Contender[] {
  const { blockList, matcher, parsed } = peers
  const part = texts.slice(0, count)
  const countWhere = (holds: (text: string) => boolean) => () => part.filter(holds).length
  const isParsed = (text: string): boolean => {
    const address = ipaddr.IPv4.parse(text)
    return parsed.some(([start, length]) => address.match(start, length))
  }
  return [
    { name: 'net.BlockList', count, pass: countWhere((text) => blockList.check(text)) },
    { name: 'cidr-matcher', count, pass: countWhere((text) => matcher.contains(text)) },
    { name: 'ipaddr.js', count, pass: countWhere(isParsed) },
  ]
}

/** IPv6: the C loop and the batch over four words an address, and one by one from texts. */
export function ipv6Contenders(
  table: NativeIpTable,
  { words, texts }: Ipv6Workload,
): readonly Contender[] {
  const classes = new Uint16Array(passLength)
  const { measureTable } = nativeMeasures()
  return [
    {
      name: 'C loop, IPv6 batch',
      count: passLength,
      pass: () => {
        measureTable(table.handle, 'many6', words, classes, passLength, 1)
        return classes[7] ?? 0
      },
    },
    {
      name: 'IPv6 batch 65,536',
      count: passLength,
      pass: () => table.lookupMany6(words, classes)[7] ?? 0,
    },
    {
      name: 'text → class',
      count: texts.length,
      pass: () => {
        let sum = 0
        for (const text of texts) sum += table.lookupClass(text)
        return sum
      },
    },
  ]
}
