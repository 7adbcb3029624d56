/**
 * Question: how fast is a lookup, in every way of asking, against a bare C loop over the same
 * structure and against what a Node program would use instead; what do memory, building and
 * swapping cost?
 *
 * Sizes 1 k to 10 M IPv4 prefixes, three workloads, contenders interleaved in one process. Figures
 * are throughput; `C loop, dependent` is the latency of a lookup that waits for the one before.
 * Peers that go over all prefixes get few questions, and none above 100,000 prefixes.
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
  const found: Measurement[] = [
    { group: set.label, name: 'table', value: table.sizes().tableBytes / 1e6, unit: 'MB' },
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
  const ratios = (name: string, other: string, among: readonly string[] = groups) =>
    among.map((group) => figure(group, name) / figure(group, other)).filter(Number.isFinite)
  const typical = (values: readonly number[]) =>
    values.length === 0
      ? Number.NaN
      : Math.exp(values.reduce((a, b) => a + Math.log(b), 0) / values.length)
  const misses = groups.filter((group) => /(random|zipf)$/.test(group))
  const textRatios = misses.map((group) => ({
    group,
    ratio: figure(group, 'maxmind') / figure(group, 'text → class'),
  }))
  const below = textRatios
    .filter(({ ratio }) => ratio < 7)
    .map(({ group, ratio }) => `${group} ${ratio.toFixed(1)}`)
  const whyBelow = `${below.join(', ')}: three dependent reads of memory, and reading the text`
  const echo = 'Node-API call, number in and out'
  return [
    atMost(
      'batch 1,048,576 / C loop, geometric mean',
      typical(ratios('batch 1,048,576', 'C loop, batch 1,048,576')),
      1.1,
    ),
    atMost(
      'batch 65,536 / C loop, geometric mean',
      typical(ratios('batch 65,536', 'C loop, batch 65,536')),
      1.1,
    ),
    atMost(
      'batch 4,096 / C loop, geometric mean',
      typical(ratios('batch 4,096', 'C loop, batch 65,536')),
      1.1,
    ),
    atMost(
      'batch 64 / C loop, geometric mean',
      typical(ratios('batch 64, prepared buffers', 'C loop, batch 65,536')),
      1.3,
    ),
    atMost('IPv6 batch / C loop', typical(ratios('IPv6 batch 65,536', 'C loop, IPv6 batch')), 1.1),
    atMost(
      'bitmap from JavaScript / C loop, worst',
      Math.max(...ratios('bitmap from JavaScript', 'C loop, bitmap')),
      4,
    ),
    atMost(
      'bitmap from JavaScript / Node-API number call, worst',
      Math.max(...ratios('bitmap from JavaScript', echo)),
      0.15,
    ),
    atLeast('maxmind / text → class, worst', Math.min(...ratios('maxmind', 'text → class')), 3),
    atLeast(
      'maxmind / text → class, random and zipf, worst',
      Math.min(...ratios('maxmind', 'text → class', misses)),
      7,
      whyBelow,
    ),
    ...sizeBars(figure),
  ].filter((bar) => Number.isFinite(bar.reached))
}

function sizeBars(figure: (group: string, name: string) => number): readonly Bar[] {
  const sizes = ['1k', '100k', '1M', 'BGP', '10M'].filter((g) =>
    Number.isFinite(figure(g, 'swap, median')),
  )
  const worst = (name: string) => Math.max(...sizes.map((g) => figure(g, name)))
  return [
    atMost('1M: memory / maxmind', figure('1M', 'table') / figure('1M', 'maxmind file'), 0.3),
    atMost('1M: build from columns, ms', figure('1M', 'build from columns'), 250),
    atMost('10M: build from columns, ms', figure('10M', 'build from columns'), 2500),
    atMost('swap, worst of medians, ms', worst('swap, median'), 1),
    atMost(
      'gap of the reader beyond a thread that asks nothing, middle of all sizes, ms',
      median(
        sizes.map(
          (g) =>
            figure(g, 'longest gap of the reader') -
            figure(g, 'longest gap of a thread that asks nothing'),
        ),
      ),
      1,
    ),
    atMost(
      'swap seen by another thread, worst of medians, ms',
      worst('swap seen by another thread, median'),
      5,
    ),
    atMost(
      'add seen by another thread, worst of medians, ms',
      worst('add seen by another thread, median'),
      1,
    ),
  ]
}
