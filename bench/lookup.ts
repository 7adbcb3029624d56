/**
 * Question: how fast is a lookup, in every way of asking, against a bare C loop over the same
 * structure and against what a Node program would use instead; what do memory, building and
 * swapping cost?
 *
 * Sizes 1 k to 10 M IPv4 prefixes, three workloads, contenders interleaved in one process. Figures
 * are throughput; `C loop, dependent` is the latency of a lookup that waits for the one before.
 * Peers that go over all prefixes get few questions, and none above 100,000 prefixes. The C loop
 * calls the table's own functions without Node.
 */
import type { PrefixColumns } from '../src/base/prefix-columns.ts'
import { type NativeIpTable, nativeTable } from '../src/tables/native-table.ts'
import type { BenchOptions, BenchQuestion, BenchResult, Measurement } from './bench.ts'
import { barsOf, changeNames } from './lookup/bars.ts'
import { measureChanges } from './lookup/changes.ts'
import {
  buildLinearPeers,
  ipv6Contenders,
  linearContenders,
  mmdbContender,
  numberContenders,
  textContenders,
} from './lookup/contenders.ts'
import { writeMmdb } from './lookup/mmdb-writer.ts'
import { bgpTable, syntheticIpv4, syntheticIpv6 } from './lookup/prefix-sets.ts'
import { mixedIpv6, type Workload, workloadsIpv4 } from './lookup/workloads.ts'
import { median, type Spread } from './statistics.ts'
import { type Timing, timeInterleaved } from './timing.ts'

const seed = 2_026_1121

/** What names the prefix that holds an address: native/core/sorted_rules.hpp. */
const octetsOfPrefix = { v4: 12, v6: 24 } as const

/** A set of prefixes and how it is called. */
interface PrefixSet {
  readonly label: string
  readonly make: () => PrefixColumns
  readonly hasMmdb: boolean
  /** Questions a pass to peers that go over all prefixes; 0 = they are left out. */
  readonly linearCount: number
}

/** `npm run bench lookup`. */
export const lookup: BenchQuestion = {
  name: 'lookup',
  title: 'IP lookup: nanoseconds an address',
  run,
}

async function run({ isQuick }: BenchOptions): Promise<BenchResult> {
  const measurements: Measurement[] = []
  const rounds = isQuick ? 3 : 9
  const seconds = isQuick ? 0.01 : 0.04
  for (const set of prefixSets(isQuick)) {
    const columns = set.make()
    const table = nativeTable.fromColumns(columns)
    measurements.push(...lookupTimes(set, columns, table, rounds, seconds))
    table.close()
    const changes = isQuick ? 5 : columns.v4.count > 5_000_000 ? 10 : 40
    measurements.push(...(await changeTimes(set.label, columns, changes)))
  }
  const small6 = syntheticIpv6(100_000, seed)
  measurements.push(...ipv6Times(small6, writeMmdb(6, small6.v6), rounds, seconds))
  if (!isQuick) {
    const large6 = syntheticIpv6(1_000_000, seed)
    measurements.push(...ipv6Times(large6, undefined, rounds, seconds))
  }
  const notes = [`synthetic prefixes and workloads from seed ${seed}`, ...leftOut]
  return { measurements, bars: barsOf(measurements), notes }
}

const leftOut = [
  'net.BlockList, cidr-matcher and ipaddr.js go over all prefixes: up to 100k only',
  'BlockList gets faster with newer Node: its figures are of the version named above',
  'maxmind has no set of 10M, and none of 1M of IPv6: its trees would need more than 1 GB',
]

function prefixSets(isQuick: boolean): readonly PrefixSet[] {
  const synthetic = (label: string, count: number, linearCount: number): PrefixSet => ({
    label,
    make: () => syntheticIpv4(count, seed),
    hasMmdb: count <= 1_000_000,
    linearCount,
  })
  const small = [synthetic('1k', 1000, 1024), synthetic('100k', 100_000, isQuick ? 0 : 16)]
  if (isQuick) return small
  const bgp = bgpTable()
  const real: readonly PrefixSet[] =
    bgp === undefined ? [] : [{ label: 'BGP', make: () => bgp, hasMmdb: true, linearCount: 0 }]
  return [...small, synthetic('1M', 1_000_000, 0), ...real, synthetic('10M', 10_000_000, 0)]
}

function lookupTimes(
  set: PrefixSet,
  columns: PrefixColumns,
  table: NativeIpTable,
  rounds: number,
  seconds: number,
): readonly Measurement[] {
  const mmdb = set.hasMmdb ? writeMmdb(4, columns.v4) : undefined
  const peers = set.linearCount > 0 ? buildLinearPeers(columns) : undefined
  const { tableBytes, prefixes4, prefixes6 } = table.sizes()
  const found: Measurement[] = [
    { group: set.label, name: 'table', value: tableBytes / 1e6, unit: 'MB' },
    {
      group: set.label,
      name: 'prefixes kept to be named',
      value: (prefixes4 * octetsOfPrefix.v4 + prefixes6 * octetsOfPrefix.v6) / 1e6,
      unit: 'MB',
    },
  ]
  if (mmdb !== undefined) {
    found.push({ group: set.label, name: 'maxmind file', value: mmdb.length / 1e6, unit: 'MB' })
  }
  for (const workload of workloadsIpv4(columns, seed)) {
    const contenders = [
      ...numberContenders(table, workload),
      ...textContenders(table, workload),
      ...(mmdb === undefined ? [] : [mmdbContender(mmdb, workload)]),
      ...(peers === undefined ? [] : linearContenders(peers, workload, set.linearCount)),
    ]
    const group = groupOf(set.label, workload)
    found.push(...timesOf(group, timeInterleaved(contenders, rounds, seconds)))
  }
  return found
}

/** The middle of the rounds of each. */
function timesOf(group: string, timings: ReadonlyMap<string, Timing>): readonly Measurement[] {
  return [...timings].map(([name, { rounds, spread }]) => ({
    group,
    name,
    value: median(rounds),
    unit: 'ns',
    spread,
    rounds,
  }))
}

function groupOf(label: string, workload: Workload): string {
  return `${label} ${workload.name}`
}

async function changeTimes(
  group: string,
  columns: PrefixColumns,
  rounds: number,
): Promise<readonly Measurement[]> {
  const times = await measureChanges(columns, rounds)
  const named: readonly (readonly [string, Spread])[] = [
    [changeNames.build, times.build],
    [changeNames.swap, times.swap],
    [changeNames.swapSeen, times.swapSeen],
    [changeNames.addSeen, times.addSeen],
    [changeNames.gap, times.gap],
    [changeNames.controlGap, times.controlGap],
  ]
  return named.map(([name, spread]) => ({ group, name, value: spread.p50, unit: 'ms', spread }))
}

function ipv6Times(
  columns: PrefixColumns,
  mmdb: Buffer | undefined,
  rounds: number,
  seconds: number,
): readonly Measurement[] {
  const table = nativeTable.fromColumns(columns)
  const group = `IPv6 ${columns.v6.count / 1000}k mixed`
  const workload = mixedIpv6(columns, seed)
  const contenders = [
    ...ipv6Contenders(table, workload),
    ...(mmdb === undefined ? [] : [mmdbContender(mmdb, workload)]),
  ]
  const found = timesOf(group, timeInterleaved(contenders, rounds, seconds))
  const octets = { group, name: 'table', value: table.sizes().tableBytes / 1e6, unit: 'MB' }
  table.close()
  return [...found, octets]
}
