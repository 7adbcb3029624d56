/**
 * Question: how fast is a lookup, in every way of asking, against a bare C loop over the same
 * structure and against what a Node program would use instead; what do memory, building and
 * swapping cost?
 *
 * Sizes 1 k to 10 M IPv4 prefixes, three workloads, contenders interleaved in one process. Figures
 * are throughput; `C loop, dependent` is the latency of a lookup that waits for the one before.
 * Peers that go over all prefixes get few questions, and none above 1,000 prefixes. The C loop
 * calls the table's own functions without Node.
 */
import type { PrefixColumns } from '../src/base/prefix-columns.ts'
import { type NativeIpTable, nativeTable } from '../src/tables/native-table.ts'
import {
  atLeast,
  atMost,
  type Bar,
  type BenchOptions,
  type BenchQuestion,
  type BenchResult,
  type Measurement,
} from './bench.ts'
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
import { median } from './statistics.ts'
import { timeInterleaved } from './timing.ts'

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
  const rounds = isQuick ? 1 : 3
  const seconds = isQuick ? 0.02 : 0.12
  for (const set of prefixSets(isQuick)) {
    const columns = set.make()
    const table = nativeTable.fromColumns(columns)
    measurements.push(...lookupTimes(set, columns, table, rounds, seconds))
    table.close()
    measurements.push(...(await changeTimes(set.label, columns, isQuick ? 5 : 40)))
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
  'net.BlockList, cidr-matcher and ipaddr.js go over all prefixes: 1k only; BlockList is being rewritten upstream',
  'maxmind has no set of 10M, and none of 1M of IPv6: its trees would need more than 1 GB',
]

function prefixSets(isQuick: boolean): readonly PrefixSet[] {
  const synthetic = (label: string, count: number, linearCount: number): PrefixSet => ({
    label,
    make: () => syntheticIpv4(count, seed),
    hasMmdb: count <= 1_000_000,
    linearCount,
  })
  const small = [synthetic('1k', 1000, 1024), synthetic('100k', 100_000, 0)]
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
    for (const [name, value] of timeInterleaved(contenders, rounds, seconds)) {
      found.push({ group, name, value, unit: 'ns' })
    }
  }
  return found
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
  return [
    { group, name: 'build from columns', value: times.buildMs, unit: 'ms' },
    { group, name: 'swap, median', value: times.swapMs, unit: 'ms' },
    { group, name: 'swap, worst', value: times.swapWorstMs, unit: 'ms' },
    { group, name: 'swap seen by another thread, median', value: times.swapSeenMs, unit: 'ms' },
    { group, name: 'swap seen by another thread, worst', value: times.swapSeenWorstMs, unit: 'ms' },
    { group, name: 'add seen by another thread, median', value: times.addSeenMs, unit: 'ms' },
    { group, name: 'add seen by another thread, worst', value: times.addSeenWorstMs, unit: 'ms' },
    { group, name: 'longest gap of the reader', value: times.longestGapMs, unit: 'ms' },
    {
      group,
      name: 'longest gap of a thread that asks nothing',
      value: times.controlGapMs,
      unit: 'ms',
    },
  ]
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
  const times = timeInterleaved(contenders, rounds, seconds)
  const found = [...times].map(([name, value]) => ({ group, name, value, unit: 'ns' }))
  const octets = { group, name: 'table', value: table.sizes().tableBytes / 1e6, unit: 'MB' }
  table.close()
  return [...found, octets]
}

/** The bars of section 2 of the performance goals, each over all groups that have both sides. */
function barsOf(measurements: readonly Measurement[]): readonly Bar[] {
  const figure = (group: string, name: string) =>
    measurements.find((one) => one.group === group && one.name === name)?.value ?? Number.NaN
  const groups = [...new Set(measurements.filter((one) => one.unit === 'ns').map((o) => o.group))]
  const misses = groups.filter((group) => /(random|zipf)$/.test(group))
  const ratios = (name: string, other: string, among: readonly string[] = groups) =>
    among
      .map((group) => ({ group, ratio: figure(group, name) / figure(group, other) }))
      .filter(({ ratio }) => Number.isFinite(ratio))
  const withC = (name: string, loop: string, limit: number) =>
    typicalAtMost(`${name} / C loop`, ratios(name, loop), limit)
  const withMaxmind = (what: string, limit: number, among?: readonly string[]) =>
    leastAtLeast(
      `maxmind / text → class, ${what}`,
      ratios('maxmind', 'text → class', among),
      limit,
      'three dependent reads of memory, and reading the text',
    )
  const bitmap = 'bitmap from JavaScript'
  return [
    withC('batch 1,048,576', 'C loop, batch 1,048,576', 1.1),
    withC('batch 65,536', 'C loop, batch 65,536', 1.1),
    withC('batch 4,096', 'C loop, batch 65,536', 1.1),
    withC('batch 64, prepared buffers', 'C loop, batch 65,536', 1.3),
    withC('IPv6 batch 65,536', 'C loop, IPv6 batch', 1.1),
    mostAtMost(`${bitmap} / C loop`, ratios(bitmap, 'C loop, bitmap'), 4),
    mostAtMost(
      `${bitmap} / Node-API number call`,
      ratios(bitmap, 'Node-API call, number in and out'),
      0.15,
    ),
    withMaxmind('all', 3),
    withMaxmind('random and zipf', 7, misses),
    ...sizeBars(figure),
  ].filter((bar) => Number.isFinite(bar.reached))
}

interface GroupRatio {
  readonly group: string
  readonly ratio: number
}

/** The geometric mean is judged; the groups beyond the limit are named. */
function typicalAtMost(claim: string, ratios: readonly GroupRatio[], limit: number): Bar {
  const logs = ratios.reduce((sum, { ratio }) => sum + Math.log(ratio), 0)
  const mean = ratios.length === 0 ? Number.NaN : Math.exp(logs / ratios.length)
  const worst = Math.max(...ratios.map(({ ratio }) => ratio)).toFixed(2)
  const note = named(ratios.filter(({ ratio }) => ratio > limit))
  return atMost(`${claim}, geometric mean (worst ${worst})`, mean, limit, note)
}

function mostAtMost(claim: string, ratios: readonly GroupRatio[], limit: number): Bar {
  const note = named(ratios.filter(({ ratio }) => ratio > limit))
  return atMost(`${claim}, worst`, Math.max(...ratios.map(({ ratio }) => ratio)), limit, note)
}

function leastAtLeast(
  claim: string,
  ratios: readonly GroupRatio[],
  limit: number,
  why: string,
): Bar {
  const note = `${named(ratios.filter(({ ratio }) => ratio < limit))}: ${why}`
  return atLeast(`${claim}, worst`, Math.min(...ratios.map(({ ratio }) => ratio)), limit, note)
}

function named(ratios: readonly GroupRatio[]): string {
  return ratios.map(({ group, ratio }) => `${group} ${ratio.toFixed(2)}`).join(', ')
}

function sizeBars(figure: (group: string, name: string) => number): readonly Bar[] {
  const sizes = ['1k', '100k', '1M', 'BGP', '10M'].filter((g) =>
    Number.isFinite(figure(g, 'swap, median')),
  )
  const most = (name: string) => Math.max(...sizes.map((g) => figure(g, name)))
  const memory = (group: string) => figure(group, 'table') / figure(group, 'maxmind file')
  /** Milliseconds beyond what a thread stands still that asks nothing: the machine's own share. */
  const beyondIdle = (name: string) =>
    sizes.map((g) => figure(g, name) - figure(g, 'longest gap of a thread that asks nothing'))
  return [
    atMost('1M: memory / maxmind', memory('1M'), 0.3),
    atMost(
      'BGP: memory / maxmind',
      memory('BGP'),
      0.3,
      'routes are neighbours, which a tree stores once: its file is small; 6.3 MB of ours are fixed',
    ),
    atMost('1M: build from columns, ms', figure('1M', 'build from columns'), 250),
    atMost('10M: build from columns, ms', figure('10M', 'build from columns'), 2500),
    atMost('swap, worst of medians, ms', most('swap, median'), 1),
    atMost(
      'gap of the reader beyond a thread that asks nothing, middle of all sizes, ms',
      median(beyondIdle('longest gap of the reader')),
      1,
    ),
    atMost(
      'swap seen by another thread, worst of medians, ms',
      most('swap seen by another thread, median'),
      5,
    ),
    atMost(
      'swap seen by another thread, worst of all beyond a thread that asks nothing, ms',
      Math.max(...beyondIdle('swap seen by another thread, worst')),
      5,
    ),
    atMost(
      'add seen by another thread, worst of medians, ms',
      most('add seen by another thread, median'),
      1,
    ),
    atMost(
      'add seen by another thread, worst of all beyond a thread that asks nothing, ms',
      Math.max(...beyondIdle('add seen by another thread, worst')),
      1,
    ),
  ]
}
