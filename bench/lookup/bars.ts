/**
 * The bars of section 2 of the performance goals, each over all groups that have both sides.
 */
import { atLeast, atMost, type Bar, type Measurement } from '../bench.ts'
import { ratioOf } from '../timing.ts'

/** What the rows of a change are called. */
export const changeNames = {
  build: 'build from columns',
  swap: 'swap',
  swapSeen: 'swap seen by another thread',
  addSeen: 'add seen by another thread',
  gap: 'longest gap of a reader around a swap',
  controlGap: 'longest gap of a thread that asks nothing',
} as const

/** What is reached and what is missed. */
export function barsOf(measurements: readonly Measurement[]): readonly Bar[] {
  const find = (group: string, name: string) =>
    measurements.find((one) => one.group === group && one.name === name)
  const roundsOf = (group: string, name: string) => find(group, name)?.rounds ?? []
  const groups = [...new Set(measurements.filter((one) => one.unit === 'ns').map((o) => o.group))]
  const misses = groups.filter((group) => /(random|zipf)$/.test(group))
  const ratios = (name: string, other: string, among: readonly string[] = groups) =>
    among
      .map((group) => ({ group, ratio: ratioOf(roundsOf(group, name), roundsOf(group, other)) }))
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
    ...sizeBars(find),
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

function sizeBars(find: (group: string, name: string) => Measurement | undefined): readonly Bar[] {
  const figure = (group: string, name: string) => find(group, name)?.value ?? Number.NaN
  const memory = (group: string) => figure(group, 'table') / figure(group, 'maxmind file')
  return [
    atMost('1M: memory / maxmind', memory('1M'), 0.3),
    atMost(
      'BGP: memory / maxmind',
      memory('BGP'),
      0.3,
      'routes are neighbours, which a tree stores once: its file is small; 6.3 MB of ours are fixed',
    ),
    atMost('1M: build from columns, ms', figure('1M', changeNames.build), 250),
    atMost('10M: build from columns, ms', figure('10M', changeNames.build), 2500),
    ...changeBars(find),
  ]
}

/**
 * Over all sizes the largest middle, and the worst of all changes: both are what is promised. One
 * thread watches; others see the same memory.
 */
function changeBars(
  find: (group: string, name: string) => Measurement | undefined,
): readonly Bar[] {
  const sizes = ['1k', '100k', '1M', 'BGP', '10M']
  const worst = (name: string, rank: 'p50' | 'most') =>
    Math.max(...sizes.flatMap((size) => find(size, name)?.spread?.[rank] ?? []))
  const idle = worst(changeNames.controlGap, 'most').toFixed(2)
  const note = `a thread that asks nothing, while nothing is swapped, at worst: ${idle}`
  const { swap, gap, swapSeen, addSeen } = changeNames
  return [
    atMost(`${swap}, p50, ms`, worst(swap, 'p50'), 1),
    atMost(`${gap}, p50, ms`, worst(gap, 'p50'), 1, note),
    atMost(`${gap}, worst, ms`, worst(gap, 'most'), 1, note),
    atMost(`${swapSeen}, p50, ms`, worst(swapSeen, 'p50'), 5),
    atMost(`${addSeen}, p50, ms`, worst(addSeen, 'p50'), 1),
    atMost(`${swapSeen}, worst, ms`, worst(swapSeen, 'most'), 5, note),
    atMost(`${addSeen}, worst, ms`, worst(addSeen, 'most'), 1, note),
  ]
}
