import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { OperatingError } from '../../src/base/errors.ts'
import { inlinePool } from '../../src/edge/inline-pool.ts'
import type { CpuPool } from '../../src/lists/cpu-pool.ts'
import { type LoadProgress, reportLine } from '../../src/lists/list-report.ts'
import { ListStore } from '../../src/lists/list-store.ts'
import {
  type BlacklistListConfig,
  type FeedState,
  type ListsConfig,
  type LoadedLists,
  type LoadParts,
  loadLists,
} from '../../src/lists/load-lists.ts'
import { chooseForm } from '../../src/tables/choose-form.ts'

/** Tasks on this thread, through a structured clone as between threads. */
const ownThread: CpuPool = {
  async run(name, task) {
    return structuredClone(await inlinePool.run(name, structuredClone(task)))
  },
}

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-load-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

function blacklist(file: string, options: Partial<BlacklistListConfig> = {}): BlacklistListConfig {
  const limits = { coverageMax: 0.05, changeMax: 0.5, shortestPrefix: 8, expiresMs: 0 }
  return { name: '', file, format: 'auto', ...limits, ...options }
}

const noLists: ListsConfig = {
  allowLoopback: false,
  keep: 'files',
  blacklistForm: 'prefix',
  badLinesMax: 0.01,
  ...{ blacklist: [], trusted: [], relay: [], dialup: [], neverBlock: [] },
}

async function load(
  config: Partial<ListsConfig>,
  previous?: LoadedLists,
  parts: Partial<LoadParts> = {},
): Promise<LoadedLists> {
  return loadLists(
    { ...noLists, ...config },
    {
      pool: ownThread,
      formOf: chooseForm,
      cache: join(folder, 'cache'),
      store: join(folder, 'lists.mdb'),
      ownNetworks: [],
      feedOf: () => undefined,
      ...parts,
    },
    previous,
  )
}

const linesOf = (loaded: LoadedLists) => loaded.reports.map(reportLine)

describe.each(['files', 'store'] as const)('lists kept as %s (B25)', (keep) => {
  test('every kind of list becomes its table (B2, B3, B10, B12)', async () => {
    const loaded = await load({
      keep,
      blacklist: [
        blacklist(write('drop.netset', '62.1.0.0/16\n')),
        blacklist(write('level.txt.gz', gzipSync('62.1.2.3\n2a00::1\n')), { name: 'own' }),
      ],
      trusted: [{ name: '', file: write('trusted.txt', '62.9.0.0/16\n*.example.net\n') }],
      relay: [{ name: '', file: write('relay.txt', '62.8.0.0/16\n') }],
      dialup: [{ name: '', file: write('dialup.txt', '62.7.0.0/16\n') }],
      neverBlock: [{ name: '', file: write('never.txt', '62.6.0.0/16\n') }],
    })
    const { tables } = loaded
    expect(tables.blacklist.lookup('62.1.2.3')?.lists).toEqual(['drop', 'own'])
    expect(tables.blacklist.explain('2a00::1')).toEqual([
      { list: 'own', prefix: '2a00::1/128', file: join(folder, 'level.txt.gz'), line: 2 },
    ])
    expect(tables.trusted.lookup('62.9.1.1')?.lists).toEqual(['trusted'])
    expect(tables.trustedNames.has('mx.example.net')).toBe(true)
    expect(tables.relay.lookup('62.8.1.1')?.lists).toEqual(['relay'])
    expect(tables.dialup.lookup('62.7.1.1')?.lists).toEqual(['dialup'])
    expect(tables.neverBlock.lookup('62.6.1.1')?.lists).toEqual(['never'])
    expect(linesOf(loaded)).toEqual([
      'never_block never: loaded, 1 entries',
      'blacklist drop: loaded, 1 entries',
      'blacklist own: loaded, 2 entries',
      'trusted trusted: loaded, 2 entries',
      'relay relay: loaded, 1 entries',
      'dialup dialup: loaded, 1 entries',
    ])
  })

  test('a reload swaps the content of the same table, entered prefixes stay', async () => {
    const file = write('drop.netset', '62.1.0.0/16\n')
    const first = await load({ keep, blacklist: [blacklist(file)] })
    first.tables.blacklist.add('70.1.2.3', { list: 'dynamic' })
    write('drop.netset', '62.1.0.0/16\n62.3.0.0/24\n')
    const second = await load({ keep, blacklist: [blacklist(file)] }, first)
    expect(second.tables.blacklist).toBe(first.tables.blacklist)
    expect(first.tables.blacklist.lookup('62.3.0.1')?.lists).toEqual(['drop'])
    expect(first.tables.blacklist.lookup('70.1.2.3')?.lists).toEqual(['dynamic'])
  })

  test('a broken file leaves the last good one in service, also after a restart', async () => {
    const file = write('drop.netset', '62.1.0.0/16\n62.2.0.0/16\n')
    const first = await load({ keep, blacklist: [blacklist(file)] })
    write('drop.netset', '<html>\n<body>503</body>\n')
    for (const previous of [first, undefined]) {
      const next = await load({ keep, blacklist: [blacklist(file)] }, previous)
      expect(next.reports[0]).toMatchObject({
        outcome: 'last-good',
        entryCount: 2,
        badLineCount: 2,
      })
      expect(next.reports[0]?.refusal).toContain('2 of 2 lines cannot be read')
      expect(next.tables.blacklist.lookup('62.2.1.1')?.lists).toEqual(['drop'])
    }
  })

  test('an emptied list is refused, the last good one stays', async () => {
    const file = write('drop.netset', '62.1.0.0/16\n')
    await load({ keep, blacklist: [blacklist(file)] })
    write('drop.netset', '')
    const next = await load({ keep, blacklist: [blacklist(file)] })
    expect(next.reports[0]).toMatchObject({ outcome: 'last-good', entryCount: 1 })
    const forced = await load({ keep, blacklist: [blacklist(file, { changeMax: 1 })] })
    expect(forced.reports[0]).toMatchObject({ outcome: 'loaded', entryCount: 0 })
  })
})

test('in a store a list outlives its file; kept as a file it does not', async () => {
  const file = write('drop.netset', '62.1.0.0/16\n')
  await load({ keep: 'store', blacklist: [blacklist(file)] })
  await load({ keep: 'files', blacklist: [blacklist(file)] })
  rmSync(file)
  const stored = await load({ keep: 'store', blacklist: [blacklist(file)] })
  expect(stored.reports[0]).toMatchObject({ outcome: 'loaded', entryCount: 1 })
  const kept = await load({ keep: 'files', blacklist: [blacklist(file)] })
  expect(kept.reports[0]).toMatchObject({ outcome: 'last-good', entryCount: 1 })
  expect(kept.reports[0]?.refusal).toContain('cannot be read')
})

test('a store that takes nothing more keeps no list of a file from serving', async () => {
  const file = write('drop.netset', '62.1.0.0/24\n62.1.7.0/24\n')
  const first = await load({ keep: 'store', blacklist: [blacklist(file)] })
  const fault = new OperatingError('LIST_STORE', 'list store: cannot take drop: no space')
  const full = vi.spyOn(ListStore.prototype, 'write').mockImplementation(() => {
    throw fault
  })
  write('drop.netset', '62.1.0.0/24\n')
  const own = { name: '', file: write('own.txt', '62.9.0.0/16\n') }
  const config = { keep: 'store', blacklist: [blacklist(file)], trusted: [own] } as const
  const { tables, reports } = await load(config, first)
  expect(tables.blacklist.lookup('62.1.7.1')).toBeUndefined()
  expect(tables.trusted.lookup('62.9.1.1')).toBeDefined()
  expect(reports).toMatchObject([
    { list: 'drop', outcome: 'loaded', refusal: expect.stringContaining(fault.message) },
    { list: 'own', outcome: 'loaded', refusal: expect.stringContaining(fault.message) },
  ])
  full.mockRestore()
  const after = await load(config, first)
  expect(after.reports.map(({ refusal }) => refusal)).toEqual(['', ''])
  rmSync(file)
  expect((await load(config, first)).tables.blacklist.lookup('62.1.7.1')).toBeUndefined()
})

test('never-block space beats every list: own networks, the operator’s list, special space', async () => {
  const feed = '62.1.2.0/24\n62.6.1.1\n10.0.0.0/8\n127.0.0.2\n0.0.0.0/4\n62.1.3.0/24\n'
  const config = {
    blacklist: [blacklist(write('drop.netset', feed))],
    neverBlock: [{ name: '', file: write('never.txt', '\n62.6.0.0/16\n') }],
  }
  const ownNetworks = [{ prefix: '62.1.2.25', reason: 'mailhost' }]
  const loaded = await load(config, undefined, { ownNetworks })
  const report = loaded.reports.find((one) => one.kind === 'blacklist')
  expect(report?.setAside.map((one) => `${one.line} ${one.prefix}: ${one.reason}`)).toEqual([
    '1 62.1.2.0/24: touches 62.1.2.25: mailhost',
    `2 62.6.1.1/32: touches 62.6.0.0/16: ${join(folder, 'never.txt')}:2`,
    '3 10.0.0.0/8: touches 10.0.0.0/8: private use, RFC 1918',
    '4 127.0.0.2/32: touches 127.0.0.0/8: loopback, RFC 1122',
    '5 0.0.0.0/4: shorter than /8',
  ])
  expect(report).toMatchObject({ outcome: 'loaded', entryCount: 1, setAsideCount: 5 })
  const { blacklist: table } = loaded.tables
  for (const address of ['62.1.2.25', '62.6.1.1', '10.1.1.1', '127.0.0.2', '1.1.1.1']) {
    expect(table.lookup(address)).toBeUndefined()
  }
  const open = await load({ ...config, allowLoopback: true }, undefined, { ownNetworks })
  expect(open.tables.blacklist.lookup('127.0.0.2')?.lists).toEqual(['drop'])
})

test('form bitmap24: an entry whose /24 holds a never-block address is set aside (B4)', async () => {
  const config = {
    blacklistForm: 'bitmap24' as const,
    blacklist: [blacklist(write('drop.netset', '62.1.2.9\n62.1.3.9\n62.5.0.0/24\n2a00::1\n'))],
    neverBlock: [{ name: '', file: write('never.txt', '62.1.2.200\n2a00::2\n') }],
  }
  const ownNetworks = [{ prefix: '62.5.0.25', reason: 'mailhost' }]
  const { tables, reports, neverBlock } = await load(config, undefined, { ownNetworks })
  expect(reports.find(({ kind }) => kind === 'blacklist')).toMatchObject({
    setAsideCount: 2,
    setAside: [
      { line: 1, reason: `touches 62.1.2.0/24: ${join(folder, 'never.txt')}:1` },
      { line: 3, reason: 'touches 62.5.0.0/24: mailhost' },
    ],
  })
  for (const address of ['62.1.2.200', '62.1.2.9', '62.5.0.25', '2a00::2']) {
    expect(tables.blacklist.lookupClass(address)).toBe(0)
  }
  expect(tables.blacklist.lookupClass('62.1.3.200')).not.toBe(0)
  expect(tables.blacklist.lookupClass('2a00::1')).not.toBe(0)
  expect(neverBlock.reasonForPrefix('62.1.2.7/32')).toMatch(/^touches 62\.1\.2\.0\/24: /)
  expect(neverBlock.reasonForPrefix('2a00::/64')).toMatch(/^touches 2a00::2/)
  expect(neverBlock.reasonForPrefix('62.1.3.9')).toBe('')
  tables.blacklist.close()
})

test('a list above coverage_max or change_max is refused as a whole', async () => {
  const wide = write('wide.netset', '20.0.0.0/8\n30.0.0.0/8\n')
  const covering = await load({ blacklist: [blacklist(wide, { coverageMax: 0.005 })] })
  expect(covering.reports[0]).toMatchObject({ outcome: 'refused', entryCount: 0 })
  expect(covering.reports[0]?.refusal).toContain('covers 0.781 % of the address space')
  await load({ blacklist: [blacklist(wide)] })
  write('wide.netset', '20.0.0.0/8\n30.0.0.0/8\n40.0.0.0/8\n50.0.0.0/8\n')
  const changed = await load({ blacklist: [blacklist(wide)] })
  expect(changed.reports[0]).toMatchObject({ outcome: 'last-good', entryCount: 2 })
  expect(changed.reports[0]?.refusal).toContain('changes by 100 %')
})

test('a feed that has not come for longer than `expires` is dropped, $TIMESTAMP too', async () => {
  const file = write('fetched', '62.1.0.0/16\n')
  const feedOf = (): FeedState => ({ path: file, fetchedMs: 1_000_000 })
  const url = 'https://lists.example/drop.txt'
  const one = [blacklist(url, { expiresMs: 60_000 })]
  const fresh = await load({ blacklist: one }, undefined, { feedOf, wallMs: 1_059_999 })
  expect(fresh.reports[0]).toMatchObject({ list: 'drop', file: url, outcome: 'loaded' })
  const old = await load({ blacklist: one }, undefined, { feedOf, wallMs: 1_060_000 })
  expect(old.reports[0]).toMatchObject({ outcome: 'expired', entryCount: 0 })
  const stamped = write('stamped', '$TIMESTAMP 2020:01:01 2020:01:02\n62.1.0.0/16\n')
  const voided = await load({ blacklist: [blacklist(stamped)] })
  expect(voided.reports[0]?.refusal).toContain('void since 2020-01-02')
})

test('a missing file, a folder and damaged gzip fail alone, with a remedy', async () => {
  mkdirSync(join(folder, 'folder.netset'))
  const loaded = await load({
    blacklist: [
      blacklist(join(folder, 'none.netset')),
      blacklist(join(folder, 'folder.netset')),
      blacklist(write('junk.gz', Uint8Array.of(0x1f, 0x8b, 8, 0, 1, 2, 3))),
      blacklist(write('good.netset', '62.1.0.0/16\n')),
    ],
  })
  expect(loaded.reports.map((report) => report.outcome)).toEqual([
    ...['refused', 'refused', 'refused'],
    'loaded',
  ])
  const [missing, notFile, junk] = loaded.reports.map((report) => report.refusal)
  expect(missing).toContain('check the path')
  expect(notFile).toContain('not a regular file')
  expect(junk).toContain('damaged gzip')
  expect(loaded.tables.blacklist.lookup('62.1.0.1')?.lists).toEqual(['good'])
})

test('two blacklists of one name, or of feedback’s name, are an error; the old tables go on', async () => {
  const file = write('drop.netset', '62.1.0.0/16\n')
  const first = await load({ blacklist: [blacklist(file)] })
  const wantCode = expect.objectContaining({ code: 'LIST_NAME_TAKEN' })
  await expect(load({ blacklist: [blacklist(file), blacklist(file)] }, first)).rejects.toThrow(
    wantCode,
  )
  await expect(load({ blacklist: [blacklist(file, { name: 'dynamic' })] })).rejects.toThrow(
    wantCode,
  )
  expect(first.tables.blacklist.lookup('62.1.0.1')?.lists).toEqual(['drop'])
})

test('a failing compilation keeps the tables of the previous load', async () => {
  const file = write('drop.netset', '62.1.0.0/16\n')
  const first = await load({ blacklist: [blacklist(file)] })
  write('drop.netset', '62.1.0.0/16\n62.2.0.0/24\n')
  const pool: CpuPool = {
    run(name, task) {
      if (name === 'compileTable') return Promise.reject(new Error('no memory'))
      return ownThread.run(name, task)
    },
  }
  await expect(load({ blacklist: [blacklist(file)] }, first, { pool })).rejects.toThrow('no memory')
  expect(first.tables.blacklist.lookup('62.2.0.1')).toBeUndefined()
})

test('a blacklist with too many classes at the last moment leaves every other table as it was', async () => {
  const lists = Array.from({ length: 16 }, () => [] as string[])
  // Each address in another set of lists; the classes of both loads together are too many.
  for (let set = 1; set < 40_000; set++) {
    const address = `62.0.${set >> 8}.${set & 255}`
    for (const [at, list] of lists.entries()) if ((set >> at) & 1) list.push(address)
  }
  const files = lists.map((list, at) => write(`black${at}.txt`, list.join('\n')))
  const named = (name: string) => files.map((file, at) => blacklist(file, { name: name + at }))
  const exempt = (network: string) => ({
    ...{ name: '', format: 'auto' as const },
    file: write('trusted.txt', network),
  })
  const config = { blacklistForm: 'text' as const }
  const first = await load({
    ...config,
    blacklist: named('old'),
    trusted: [exempt('62.200.0.0/16')],
  })
  const second = { ...config, blacklist: named('new'), trusted: [exempt('62.201.0.0/16')] }
  await expect(load(second, first)).rejects.toThrow(/the lists overlap in more t/)
  expect(first.tables.trusted.lookupClass('62.200.1.1')).not.toBe(0)
  expect(first.tables.trusted.lookupClass('62.201.1.1')).toBe(0)
  expect(first.tables.blacklist.lookup('62.0.0.3')?.lists).toEqual(['old0', 'old1'])
})

test('progress counts lists, then the tables', async () => {
  const seen: LoadProgress[] = []
  await load(
    {
      blacklist: [
        blacklist(write('a.txt', '62.1.0.0/16\n')),
        blacklist(write('b.txt', '62.2.0.0/16\n')),
      ],
    },
    undefined,
    { onProgress: (progress) => void seen.push(progress) },
  )
  expect(seen).toEqual([
    { done: 1, total: 3, last: 'a' },
    { done: 2, total: 3, last: 'b' },
    { done: 3, total: 3, last: 'tables' },
  ])
})

test('the last good state is written whole: no temporary file stays beside it', async () => {
  const file = write('drop.netset', '62.1.0.0/16\n')
  await load({ blacklist: [blacklist(file)] })
  const kept = readFileSync(join(folder, 'cache', 'blacklist-drop.last-good'), 'utf8')
  expect(kept).toBe('62.1.0.0/16\n')
})

test.each(['prefix', 'text', 'hashed', 'bitmap24'] as const)(
  'the blacklist in form %s: .140.x refused, neighbours not (B4, B5)',
  async (blacklistForm) => {
    const file = write('drop.netset', '192.135.140.0/24\n')
    const first = await load({ blacklistForm, blacklist: [blacklist(file)] })
    const table = first.tables.blacklist
    await load({ blacklistForm, blacklist: [blacklist(file)] }, first)
    expect(table.lookup('192.135.140.0')?.lists).toEqual(['drop'])
    expect(table.lookup('192.135.140.255')?.lists).toEqual(['drop'])
    expect(table.lookup('192.135.139.255')).toBeUndefined()
    expect(table.lookup('192.135.141.0')).toBeUndefined()
    table.close()
  },
)
