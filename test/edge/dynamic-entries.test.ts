/**
 * The list `dynamic` of a serving instance beside never-block space and coarse tables.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { OperatingError } from '../../src/base/errors.ts'
import { DynamicEntries } from '../../src/edge/dynamic-entries.ts'
import type { LookupAnswer } from '../../src/edge/look-up.ts'
import type { DynamicEntry, DynamicList } from '../../src/store/dynamic-list.ts'
import { startProxy, type TestProxy, testConfig } from '../support/running-proxy.ts'

let folder = ''
let never = {}
let proxy: TestProxy | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-dynamic-'))
  const file = join(folder, 'never.txt')
  writeFileSync(file, '62.1.2.200\n')
  never = { never_block: [{ file }] }
})
afterEach(async () => {
  await end()
  rmSync(folder, { recursive: true, force: true })
})

async function start(lists: object): Promise<TestProxy> {
  proxy = await startProxy([1], { lists }, { folder })
  return proxy
}

async function end(): Promise<void> {
  await proxy?.end()
  proxy = undefined
}

function learn({ dynamic }: TestProxy, ...prefixes: readonly string[]): void {
  for (const prefix of prefixes) {
    dynamic.learn({ prefix, reason: 'open-relay', evidence: [], ttlMs: 0 }, Date.now())
  }
}

async function listsOf({ commands }: TestProxy, subject: string): Promise<readonly string[]> {
  const found = await commands['lookup']?.({ subject })
  return (found as LookupAnswer).holdings.map(({ list }) => list)
}

const toldOf = (one: TestProxy) =>
  one
    .records()
    .filter(({ event, what }) => event === 'service' && what === 'lists')
    .map((record) => record['detail'])

const why = () => `it touches 62.1.2.200/32: ${join(folder, 'never.txt')}:1`

test('a reload that brings never-block space ends entries that touch it, and says so', async () => {
  const one = await start({})
  learn(one, '62.1.2.200/32', '62.1.2.9/32')
  expect(await listsOf(one, '62.1.2.200')).toEqual(['dynamic'])
  await one.reload(testConfig([1], { lists: never }, folder))
  expect(await listsOf(one, '62.1.2.200')).toEqual(['never'])
  expect(await listsOf(one, '62.1.2.9')).toEqual(['dynamic'])
  expect(one.learnt?.dynamic.get('62.1.2.200', Date.now())).toBeUndefined()
  expect(one.dynamic.reasonAgainst('62.1.2.200/32')).toContain('never.txt:1')
  await expect.poll(() => toldOf(one)).toEqual([`dynamic 62.1.2.200/32: removed, since ${why()}`])
}, 60_000)

test('entries of before a restart that touch never-block space are not entered', async () => {
  learn(await start({}), '62.1.2.0/24', '62.1.3.9/32')
  await end()
  const next = await start(never)
  expect(await listsOf(next, '62.1.2.9')).toEqual([])
  expect(await listsOf(next, '62.1.3.9')).toEqual(['dynamic'])
  expect(next.learnt?.dynamic.get('62.1.2.0/24', Date.now())).toBeUndefined()
  await expect.poll(() => toldOf(next)).toEqual([`dynamic 62.1.2.0/24: removed, since ${why()}`])
}, 60_000)

test('bitmap24: never-block space counts by its /24; a removal leaves neighbours listed', async () => {
  const one = await start({ ...never, blacklist_form: 'bitmap24' })
  expect(one.dynamic.reasonAgainst('62.1.2.9/32')).toContain('never.txt:1')
  expect(one.dynamic.reasonAgainst('62.1.3.9/32')).toBe('')
  learn(one, '62.1.3.9/32', '62.1.3.10/32')
  const now = Date.now()
  for (const [prefix, lists] of [
    ['62.1.3.9/32', ['dynamic']],
    ['62.1.3.10/32', []],
  ] as const) {
    const entry = one.learnt?.dynamic.get(prefix, now)
    if (entry === undefined) throw new Error('not kept')
    one.learnt?.dynamic.remove(prefix)
    one.dynamic.onRemoved(entry.prefix)
    expect([...new Set(await listsOf(one, '62.1.3.77'))]).toEqual(lists)
  }
}, 60_000)

/** The list over a table that only counts, and takes so many. */
function countingEntries(barred: ReadonlySet<string> = new Set(), most = Number.MAX_VALUE) {
  const removed: string[] = []
  const faults: string[] = []
  const clock = { nowMs: 0 }
  let count = 0
  const entries = new DynamicEntries(
    {
      enterDynamic: () => {
        if (count - removed.length >= most) throw new OperatingError('TABLE_ADDED_FULL', 'full')
        count++
      },
      removeDynamic: (prefix) => {
        removed.push(prefix)
        return prefix
      },
      neverBlockReason: (prefix) => (barred.has(prefix) ? 'touches it' : ''),
    },
    {
      onRemoved: () => undefined,
      onBarred: () => undefined,
      onFault: (detail) => faults.push(detail),
    },
    () => clock.nowMs,
  )
  return { entries, removed, faults, clock }
}

const prefixOf = (at: number) => `62.${at >> 16}.${(at >> 8) & 255}.${at & 255}/32`
const listingOf = (at: number, ttlMs: number) =>
  ({ prefix: prefixOf(at), reason: 'open-relay', evidence: [], ttlMs }) as const

test('entries that have ended are forgotten while others come, without a load', () => {
  const { entries, clock } = countingEntries()
  for (let at = 0; at < 20_000; at++) {
    clock.nowMs = at
    entries.learn(listingOf(at, 1000), at)
  }
  expect(entries.count).toBeLessThan(5000)
  expect(entries.holds(prefixOf(19_999))).toBe(true)
  expect(entries.holds(prefixOf(10))).toBe(false)
})

test("feedback shortens no operator's entry; what ends earlier it lengthens, and his words stay", () => {
  const kept: DynamicEntry[] = []
  const entered: number[] = []
  const table = {
    enterDynamic: ({ ttlMs }: { readonly ttlMs: number }) => void entered.push(ttlMs),
    removeDynamic: (prefix: string) => prefix,
    neverBlockReason: () => '',
  }
  const list = {
    sweep: () => 0,
    entries: () => [],
    get: (prefix: string) => kept.findLast((entry) => entry.prefix === prefix),
    add: (entry: DynamicEntry) => kept.push(entry),
  } as unknown as DynamicList
  const dynamic = new DynamicEntries(table, {
    onRemoved: () => {},
    onBarred: () => {},
    onFault: () => {},
  })
  dynamic.keepIn(list, 0)
  const word = { source: 'operator', reason: 'ours', evidence: [], addedAtMs: 0 } as const
  dynamic.onAdded({ ...word, prefix: '62.1.2.1/32', expiresAtMs: 0 }, 0)
  const short = { ...word, prefix: '62.1.2.2/32', expiresAtMs: 5000 }
  kept.push(short)
  dynamic.onAdded(short, 0)
  for (const prefix of ['62.1.2.1/32', '62.1.2.2/32']) {
    for (const ttlMs of [4000, 9000]) {
      dynamic.learn({ prefix, reason: 'open-relay', evidence: [], ttlMs }, 0)
    }
  }
  expect(entered).toEqual([0, 5000, 9000])
  expect(kept).toEqual([short, { ...short, expiresAtMs: 9000, evidence: ['open-relay'] }])
})

test('a load looks at many entries in parts, and at all of them', async () => {
  const barred = new Set([prefixOf(0), prefixOf(9_999)])
  const { entries, removed } = countingEntries(barred)
  for (let at = 0; at < 10_000; at++) entries.learn(listingOf(at, 0), 0)
  const looking = entries.onLoaded()
  expect(removed).toEqual([prefixOf(0)])
  await looking
  expect(removed).toEqual([...barred])
  expect(entries.count).toBe(9_998)
})

test('the wall clock is set: what the table lists can be removed, what it has ended comes back', () => {
  const hourMs = 3_600_000
  const { entries, removed, clock } = countingEntries()
  const ends: number[] = []
  const store = { add: ({ expiresAtMs }: DynamicEntry) => ends.push(expiresAtMs) }
  entries.keepIn(
    { ...store, sweep: () => 0, get: () => undefined, entries: () => [] } as unknown as DynamicList,
    0,
  )
  const setTo = 100 * hourMs
  entries.learn(listingOf(1, hourMs), setTo)
  // Set forward: other entries come, so that what has ended is forgotten.
  for (let at = 2; at < 9; at++) entries.learn(listingOf(at, 0), setTo + 9 * hourMs)
  expect(entries.holds(prefixOf(1))).toBe(true)
  entries.onRemoved(prefixOf(1))
  expect(removed).toEqual([prefixOf(1)])
  // Set back: the table has ended it long before its end by the wall clock.
  entries.learn(listingOf(1, hourMs), setTo)
  clock.nowMs += hourMs
  expect(entries.holds(prefixOf(1))).toBe(false)
  entries.learn(listingOf(1, hourMs), 0)
  expect(entries.holds(prefixOf(1))).toBe(true)
  expect(ends.at(-1)).toBe(hourMs)
})

test('a store that cannot be read: what feedback finds is listed all the same, and the fault told', () => {
  const { entries, faults } = countingEntries()
  const kept: string[] = []
  const broken = {
    sweep: () => 0,
    entries: () => [],
    add: ({ prefix }: DynamicEntry) => kept.push(prefix),
    get: () => {
      throw new OperatingError('STORE_READ', 'the disk is bad')
    },
  } as unknown as DynamicList
  entries.keepIn(broken, 0)
  entries.learn(listingOf(1, 0), 0)
  expect([entries.holds(prefixOf(1)), kept]).toEqual([true, [prefixOf(1)]])
  expect(faults).toEqual([`dynamic ${prefixOf(1)}: the disk is bad`])
})

test('a full table: feedback lists nobody and says so once, an operator hears it, room is used again', () => {
  const { entries, faults } = countingEntries(new Set(), 2)
  const kept: string[] = []
  const store = { add: ({ prefix }: { prefix: string }) => kept.push(prefix) > 0 }
  entries.keepIn(
    { ...store, sweep: () => 0, get: () => undefined, entries: () => [] } as unknown as DynamicList,
    0,
  )
  for (let at = 0; at < 5; at++) entries.learn(listingOf(at, 0), 0)
  expect(faults).toEqual([`dynamic ${prefixOf(2)}: full`])
  expect(kept).toEqual([prefixOf(0), prefixOf(1)])
  expect(entries.holds(prefixOf(2))).toBe(false)
  const entry = { prefix: prefixOf(9), expiresAtMs: 0 } as DynamicEntry
  expect(() => entries.onAdded(entry, 0)).toThrow('full')
  entries.onRemoved(prefixOf(0))
  entries.learn(listingOf(7, 0), 0)
  entries.learn(listingOf(8, 0), 0)
  expect(kept).toEqual([prefixOf(0), prefixOf(1), prefixOf(7)])
  expect(faults).toHaveLength(2)
})

test('a start with more kept entries than the table takes serves with those that fit', () => {
  const { entries, faults } = countingEntries(new Set(), 2)
  const all = [0, 1, 2, 3].map((at) => ({ prefix: prefixOf(at), expiresAtMs: 0 }))
  const list = { sweep: () => 0, entries: () => all } as unknown as DynamicList
  expect(entries.keepIn(list, 0)).toBe(2)
  expect(faults).toHaveLength(1)
})

test('a start with a full table takes what is barred out of the store all the same', () => {
  const { entries } = countingEntries(new Set([prefixOf(2)]), 1)
  const all = [0, 1, 2].map((at) => ({ prefix: prefixOf(at), expiresAtMs: 0 }))
  const gone: string[] = []
  const remove = (prefix: string) => gone.push(prefix) > 0
  const list = { sweep: () => 0, entries: () => all, remove } as unknown as DynamicList
  expect([entries.keepIn(list, 0), gone]).toEqual([1, [prefixOf(2)]])
})

test('a table that refuses a removal: told, and the load goes on with the others', async () => {
  const faults: string[] = []
  const refuse = () => {
    throw new OperatingError('TABLE_ADDED_FULL', 'full')
  }
  const entries = new DynamicEntries(
    { enterDynamic: () => {}, removeDynamic: refuse, neverBlockReason: () => 'touches it' },
    { onRemoved: () => {}, onBarred: () => {}, onFault: (detail) => faults.push(detail) },
  )
  for (const at of [0, 1]) entries.learn(listingOf(at, 0), 0)
  await entries.onLoaded()
  expect(faults).toEqual([0, 1].map((at) => `dynamic ${prefixOf(at)}: full`))
})

test('a store that cannot be read keeps no barred entry listed', async () => {
  const { entries, removed, faults } = countingEntries(new Set([prefixOf(1)]))
  const remove = () => {
    throw new OperatingError('STORE_READ', 'the store cannot be read')
  }
  const kept = { sweep: () => 0, entries: () => [], get: () => undefined, add: () => true, remove }
  entries.keepIn(kept as unknown as DynamicList, 0)
  for (const at of [0, 1, 2]) entries.learn(listingOf(at, 0), 0)
  await entries.onLoaded()
  expect(removed).toEqual([prefixOf(1)])
  expect(faults).toEqual([`dynamic ${prefixOf(1)}: the store cannot be read`])
})
