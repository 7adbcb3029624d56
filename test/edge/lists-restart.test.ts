/**
 * A restart with a large blacklist: unchanged, its snapshot serves at once; changed, damaged or
 * foreign, the lists are loaded first; a list that is gone serves from its last good state.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { formatIpv4 } from '../../src/base/ip-address.ts'
import type { Config } from '../../src/config/schema.ts'
import { Lists } from '../../src/edge/lists.ts'
import { Feeds } from '../../src/feeds/feeds.ts'
import { type ListReport, progressLine, reportLine } from '../../src/lists/list-report.ts'
import { testConfig } from '../support/running-proxy.ts'

/** What comes before loads of blacklists; small lists beside a snapshot are loaded at once. */
const loads = vi.hoisted(() => ({ before: async (): Promise<void> => {} }))

vi.mock('../../src/lists/load-lists.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/lists/load-lists.ts')>()
  const loadLists: typeof original.loadLists = async (config, ...others) => {
    if (config.blacklist.length > 0) await loads.before()
    return original.loadLists(config, ...others)
  }
  return { ...original, loadLists }
})

const prefixCount = 70_000
const listed = '62.0.0.9'
const wait = { timeout: 60_000, interval: 20 }

let folder = ''
let listPath = ''
let snapshotPath = ''
let stampPath = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-restart-'))
  listPath = join(folder, 'black.txt')
  snapshotPath = join(folder, 'store/lists/table-blacklist.snapshot')
  stampPath = join(folder, 'store/lists/table-blacklist.stamp')
  writeList()
})
afterEach(() => {
  loads.before = async () => {}
  vi.useRealTimers()
  vi.restoreAllMocks()
  rmSync(folder, { recursive: true, force: true })
})

/** Every other /32 from 62.0.0.1 on, and what is given. */
function writeList(...more: readonly string[]): void {
  const hosts = Array.from({ length: prefixCount }, (_, at) => formatIpv4(0x3e00_0001 + at * 2))
  writeFileSync(listPath, `${[...hosts, ...more].join('\n')}\n`)
}

interface Opened {
  readonly lists: Lists
  readonly reports: ListReport[]
  readonly faults: string[]
  readonly config: Config
}

async function open(
  blacklist: object = {},
  settings: object = {},
  more: readonly object[] = [],
): Promise<Opened> {
  const reports: ListReport[] = []
  const faults: string[] = []
  const trusted = join(folder, 'trusted.txt')
  writeFileSync(trusted, '62.200.0.0/16\n')
  const config = testConfig(
    [25],
    {
      lists: {
        ...settings,
        blacklist: [{ name: 'black', file: listPath, ...blacklist }, ...more],
        trusted: [{ file: trusted }],
      },
    },
    folder,
  )
  const lists = await Lists.open(config, {
    onReport: (report) => reports.push(report),
    onFault: (detail) => faults.push(detail),
    onRules: () => {},
    onChange: () => {},
  })
  return { lists, reports, faults, config }
}

/** A first run, to its snapshot. */
async function runOnce(): Promise<void> {
  const { lists, faults } = await open()
  await expect.poll(() => existsSync(stampPath), wait).toBe(true)
  await lists.close()
  expect(faults).toEqual([])
}

function expectServing({ lists }: Opened): void {
  expect(lists.holdingsOf(listed)).toEqual([
    { kind: 'blacklist', list: 'black', entry: `${listed}/32`, file: listPath, line: 5 },
  ])
  expect(lists.holdingsOf('62.0.0.10')).toEqual([])
  expect(lists.holdingsOf('62.200.1.1').map(({ kind }) => kind)).toEqual(['trusted'])
  expect(lists.gate.classRules.map(({ verdictClass }) => verdictClass)).toEqual([0, 1])
}

test('unchanged lists: the snapshot serves at once, the lists follow', async () => {
  await runOnce()
  const opened = await open()
  expect(opened.reports).toEqual([])
  expectServing(opened)
  opened.lists.enterDynamic({ prefix: '62.100.0.1/32', ttlMs: 0 } as never)
  await expect
    .poll(() => opened.reports.map(({ list }) => list), wait)
    .toEqual(['black', 'trusted'])
  expectServing(opened)
  expect(opened.lists.holdingsOf('62.100.0.1')).toHaveLength(1)
  expect(opened.faults).toEqual([])
  await opened.lists.close()
}, 120_000)

test('a list whose folder is none fails alone', async () => {
  const none = join(listPath, 'black2.txt')
  const { lists, reports } = await open({}, {}, [{ name: 'none', file: none }])
  expect(reports.map(({ list, outcome }) => `${list} ${outcome}`)).toEqual([
    'black loaded',
    'none refused',
    'trusted loaded',
  ])
  expect(lists.holdingsOf(listed)).toHaveLength(1)
  await lists.close()
}, 120_000)

test('a last good state that cannot be read keeps no good list from serving', async () => {
  writeFileSync(listPath, `${listed}\n`)
  mkdirSync(join(folder, 'store/lists/blacklist-black.last-good'), { recursive: true })
  const { lists, reports } = await open()
  expect(reports[0]).toMatchObject({ outcome: 'loaded', entryCount: 1 })
  expect(reports[0]?.refusal).toContain('change_max does not count')
  expect(reports[0]?.refusal).toContain('is not kept as last good')
  expect(lists.holdingsOf(listed)).toHaveLength(1)
  await lists.close()
})

test('a load that runs says how far it is', async () => {
  const { lists, config } = await open()
  expect(lists.loading).toBeUndefined()
  const seen = new Set<string>()
  let isRunning = true
  const reloading = lists.reload(config).finally(() => {
    isRunning = false
  })
  while (isRunning) {
    if (lists.loading !== undefined) seen.add(progressLine(lists.loading))
    await nextTurn()
  }
  await reloading
  expect([...seen].join('\n')).toMatch(/^loading lists: [123] of 3, last (black|trusted|tables)$/m)
  expect(lists.loading).toBeUndefined()
  await lists.close()
}, 120_000)

test('changed lists, or settings of them: loaded before anything is served', async () => {
  await runOnce()
  writeList('62.150.0.7')
  const changed = await open()
  expect(changed.reports.map(({ outcome }) => outcome)).toEqual(['loaded', 'loaded'])
  expect(changed.lists.holdingsOf('62.150.0.7')).toHaveLength(1)
  await expect.poll(() => existsSync(stampPath), wait).toBe(true)
  await changed.lists.close()
  const otherAction = await open({ action: 'tarpit' })
  expect(otherAction.reports).toHaveLength(2)
  expect(otherAction.lists.gate.classRules[1]?.action).toBe('tarpit')
  await otherAction.lists.close()
}, 120_000)

describe('a list that says itself how long it is valid', () => {
  const dayMs = 86_400_000
  const black = { format: 'rbldnsd' }
  beforeEach(() => writeList(`$TIMESTAMP ${new Date().toISOString().slice(0, 10)} +2d`))

  async function runToSnapshot(): Promise<void> {
    const first = await open(black)
    expect(first.reports[0]).toMatchObject({ outcome: 'loaded', refusal: '' })
    expect(first.lists.holdingsOf(listed)).toHaveLength(1)
    await expect.poll(() => existsSync(stampPath), wait).toBe(true)
    await first.lists.close()
  }

  /** From here on the hour is what `vi.advanceTimersByTimeAsync` makes it. */
  const holdTime = () => vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] })

  test('void at the start: its snapshot is not served, whatever else is in it', async () => {
    await runToSnapshot()
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3 * dayMs })
    const later = await open(black)
    expect(later.reports[0]).toMatchObject({ list: 'black', outcome: 'refused', entryCount: 0 })
    expect(later.lists.holdingsOf(listed)).toEqual([])
    await later.lists.close()
  }, 120_000)

  test('the load behind its snapshot is rejected: it serves until it is void', async () => {
    await runToSnapshot()
    loads.before = () => Promise.reject(new Error('no memory for the table'))
    holdTime()
    const { lists, reports, faults } = await open(black)
    await expect.poll(() => faults.length, wait).toBe(1)
    await vi.advanceTimersByTimeAsync(dayMs / 2)
    expect(lists.holdingsOf(listed)).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(3 * dayMs)
    await expect.poll(() => lists.holdingsOf(listed), wait).toEqual([])
    expect(lists.holdingsOf('62.200.1.1').map(({ kind }) => kind)).toEqual(['trusted'])
    const fault = 'no memory for the table; a list is void, no blacklist serves'
    await expect.poll(() => faults, wait).toContain(fault)
    await expect
      .poll(() => lists.reports.map(reportLine), wait)
      .toEqual([
        'blacklist black: refused, 0 entries: no memory for the table',
        'trusted trusted: loaded, 1 entries',
      ])
    expect(reports).toEqual([])
    await lists.close()
  }, 120_000)

  test('the list was spoilt behind its snapshot: what serves ends with its validity', async () => {
    await runToSnapshot()
    let load = (): void => {}
    const held = new Promise<void>((resolve) => {
      load = resolve
    })
    loads.before = () => held
    holdTime()
    const { lists, reports } = await open(black)
    expect(lists.holdingsOf(listed)).toHaveLength(1)
    writeFileSync(listPath, 'no address\n'.repeat(100))
    load()
    await expect.poll(() => reports[0], wait).toMatchObject({ outcome: 'last-good' })
    expect(lists.holdingsOf(listed)).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(3 * dayMs)
    await expect.poll(() => lists.holdingsOf(listed), wait).toEqual([])
    await lists.close()
  }, 120_000)

  test('a fetch behind its snapshot does not end: it serves until it is void', async () => {
    await runToSnapshot()
    vi.spyOn(Feeds.prototype, 'refresh').mockReturnValue(new Promise(() => {}))
    holdTime()
    const { lists, reports } = await open(black)
    expect(lists.holdingsOf(listed)).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(3 * dayMs)
    await expect.poll(() => reports[0], wait).toMatchObject({ outcome: 'refused', entryCount: 0 })
    expect(lists.holdingsOf(listed)).toEqual([])
    await lists.close()
  }, 120_000)

  test('the wall clock is set forward behind its end: it serves no longer', async () => {
    holdTime()
    const { lists } = await open({ ...black, every: '90d' })
    expect(lists.holdingsOf(listed)).toHaveLength(1)
    vi.setSystemTime(Date.now() + 3 * dayMs)
    await vi.advanceTimersByTimeAsync(60_000)
    await expect.poll(() => lists.holdingsOf(listed), wait).toEqual([])
    await lists.close()
  }, 120_000)

  test('between two loads: it alone serves no longer', async () => {
    const other = join(folder, 'other.txt')
    writeFileSync(other, '62.100.0.0/24\n')
    holdTime()
    const { lists } = await open({ ...black, every: '90d' }, {}, [{ file: other, every: '90d' }])
    expect(lists.holdingsOf(listed)).toHaveLength(1)
    vi.spyOn(Feeds.prototype, 'refresh').mockReturnValue(new Promise(() => {}))
    await vi.advanceTimersByTimeAsync(3 * dayMs)
    await expect.poll(() => lists.holdingsOf(listed), wait).toEqual([])
    expect(lists.holdingsOf('62.100.0.9').map(({ list }) => list)).toEqual(['other'])
    await lists.close()
  }, 120_000)
})

test.each([
  { what: 'damaged', code: /damaged/, spoil: () => flipOctet(snapshotPath) },
  { what: 'cut', code: /damaged/, spoil: () => truncateSync(snapshotPath, 5000) },
  { what: 'foreign', code: /no snapshot/, spoil: () => writeFileSync(snapshotPath, 'hello\n') },
  { what: 'missing', code: /cannot be read/, spoil: () => rmSync(snapshotPath) },
])(
  'a snapshot that is $what is refused by name, and the lists are loaded',
  async (given) => {
    await runOnce()
    given.spoil()
    const opened = await open()
    expect(opened.faults).toHaveLength(1)
    expect(opened.faults[0]).toContain(snapshotPath)
    expect(opened.faults[0]).toMatch(given.code)
    expectServing(opened)
    expect(opened.reports).toHaveLength(2)
    await opened.lists.close()
  },
  120_000,
)

test('snapshot damaged and list gone at the restart: the last good state serves', async () => {
  await runOnce()
  flipOctet(snapshotPath)
  rmSync(listPath)
  const opened = await open()
  // Without its list the snapshot is another list's, and is not opened.
  expect(opened.faults).toEqual([])
  expectServing(opened)
  expect(opened.reports[0]).toMatchObject({ outcome: 'last-good', entryCount: prefixCount })
  expect(opened.reports[0]?.refusal).toContain(listPath)
  await opened.lists.close()
}, 120_000)

test('a list that is gone at the restart serves from its last good state, and says so', async () => {
  await runOnce()
  rmSync(listPath)
  const opened = await open()
  expectServing(opened)
  expect(opened.reports[0]).toMatchObject({ outcome: 'last-good', entryCount: prefixCount })
  expect(opened.reports[0]?.refusal).toContain(listPath)
  await opened.lists.close()
}, 120_000)

test.each(['prefix', 'bitmap24', 'hashed', 'text'])(
  'a blacklist of form %s has a table that the native gate asks',
  async (form) => {
    writeFileSync(listPath, '192.135.140.0/24\n')
    const { lists } = await open({}, { blacklist_form: form })
    expect(lists.tables?.blacklist.form).toBe(form)
    expect(lists.gate.blacklist).toBeGreaterThan(0)
    await lists.close()
  },
)

function flipOctet(path: string): void {
  const octets = readFileSync(path)
  const middle = octets.length >> 1
  octets[middle] = (octets[middle] ?? 0) ^ 1
  writeFileSync(path, octets)
}
