/**
 * A restart with a large blacklist: unchanged, its snapshot serves at once; changed, damaged or
 * foreign, the lists are loaded first; a list that is gone serves from its last good state.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { formatIpv4 } from '../../src/base/ip-address.ts'
import type { Config } from '../../src/config/schema.ts'
import { Lists } from '../../src/edge/lists.ts'
import { type ListReport, progressLine } from '../../src/lists/list-report.ts'
import { testConfig } from '../support/running-proxy.ts'

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
afterEach(() => rmSync(folder, { recursive: true, force: true }))

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

test('a list that became void since: the snapshot is not served, whatever else is in it', async () => {
  const today = new Date().toISOString().slice(0, 10)
  writeList(`$TIMESTAMP ${today} +2d`)
  const black = { format: 'rbldnsd' }
  const first = await open(black)
  expect(first.reports[0]).toMatchObject({ outcome: 'loaded', refusal: '' })
  expect(first.lists.holdingsOf(listed)).toHaveLength(1)
  await expect.poll(() => existsSync(stampPath), wait).toBe(true)
  await first.lists.close()
  const served = await open(black)
  expect(served.reports).toEqual([])
  await served.lists.close()
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3 * 86_400_000 })
  try {
    const later = await open(black)
    expect(later.reports[0]).toMatchObject({ list: 'black', outcome: 'refused', entryCount: 0 })
    expect(later.lists.holdingsOf(listed)).toEqual([])
    await later.lists.close()
  } finally {
    vi.useRealTimers()
  }
}, 120_000)

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
