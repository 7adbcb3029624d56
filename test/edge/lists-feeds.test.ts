/**
 * Lists from feeds: what a fetch came to is told, and what was fetched last serves.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Lists } from '../../src/edge/lists.ts'
import { recordOfList } from '../../src/edge/main-records.ts'
import { type ListReport, reportLine } from '../../src/lists/list-report.ts'
import { openSystemLog } from '../../src/log/system-log.ts'
import { serve } from '../../src/main.ts'
import { testConfig } from '../support/running-proxy.ts'

const feed = 'https://lists.example/drop.txt'
const place = vi.hoisted(() => ({ url: '' }))

/** The feed's https address leads to the test's own server. */
vi.mock('../../src/feeds/fetch-feed.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/feeds/fetch-feed.ts')>()
  const fetchFeed: typeof original.fetchFeed = (_url, options) =>
    original.fetchFeed(place.url, { ...options, allowPlainLoopback: true })
  return { ...original, fetchFeed }
})

const silent = { onReport: () => {}, onFault: () => {}, onRules: () => {}, onChange: () => {} }

let folder = ''
let server: Server
let answer: (response: ServerResponse) => void
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-lists-feeds-'))
  server = createServer((_request, response) => answer(response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  place.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/drop.txt`
})
afterEach(async () => {
  vi.useRealTimers()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  rmSync(folder, { recursive: true, force: true })
})

test('a fetch that fails is told in log and status until one succeeds; the last list serves', async () => {
  const blacklist = [{ name: 'drop', file: feed, every: '1h', expires: '2d' }]
  const config = testConfig([25], { lists: { blacklist } }, folder)
  const reports: ListReport[] = []
  answer = (response) => response.writeHead(200, { etag: '"1"' }).end('62.1.0.0/16\n')
  const lists = await Lists.open(config, {
    onReport: (report) => reports.push(report),
    onFault: () => {},
    onRules: () => {},
    onChange: () => {},
  })
  vi.useFakeTimers({ toFake: ['Date'] })
  const loadLater = async (hours: number) => {
    vi.setSystemTime(Date.now() + hours * 3_600_000)
    await lists.reload(config)
    const { result, prefixes, detail } = recordOfList(reports.at(-1) as ListReport)
    return { result, prefixes, detail, status: lists.reports.map(reportLine) }
  }
  answer = (response) => response.writeHead(304).end()
  expect(await loadLater(1)).toEqual({
    ...{ result: 'unchanged', prefixes: 1, detail: [] },
    status: ['blacklist drop: loaded, 1 entries'],
  })
  answer = (response) => response.writeHead(503).end('<html>busy</html>')
  const failed = {
    ...{ result: 'failed', prefixes: 1 },
    detail: [expect.stringMatching(/^not fetched: .*503/)],
    status: [expect.stringMatching(/^blacklist drop: loaded, 1 entries: not fetched: .*503/)],
  }
  expect(await loadLater(1)).toEqual(failed)
  expect(await loadLater(1)).toEqual(failed)
  expect(lists.holdingsOf('62.1.2.3').map(({ list }) => list)).toEqual(['drop'])
  expect(await loadLater(48)).toMatchObject({
    ...{ result: 'expired', prefixes: 0 },
    detail: [expect.stringMatching(/^not fetched: .*503/), expect.stringContaining('expires')],
  })
  answer = (response) => response.writeHead(200).end('62.1.0.0/16\n62.2.0.0/16\n')
  expect(await loadLater(1)).toMatchObject({ result: 'loaded', prefixes: 2, detail: [] })
  await lists.close()
}, 60_000)

test('a feed that never came: its fault is told, its list is empty', async () => {
  answer = (response) => response.writeHead(403).end()
  const config = testConfig([25], { lists: { blacklist: [{ name: 'drop', file: feed }] } }, folder)
  const reports: ListReport[] = []
  const lists = await Lists.open(config, {
    onReport: (report) => reports.push(report),
    onFault: () => {},
    onRules: () => {},
    onChange: () => {},
  })
  expect(reports.map(recordOfList)).toMatchObject([
    {
      list: 'drop',
      result: 'expired',
      prefixes: 0,
      detail: [expect.stringContaining('403'), expect.any(String)],
    },
  ])
  await lists.close()
}, 60_000)

test('a feed that does not answer keeps neither start nor end waiting; it comes behind', async () => {
  const blacklist = [{ name: 'drop', file: feed, every: '1h' }]
  const config = testConfig([25], { lists: { blacklist } }, folder)
  const held: ServerResponse[] = []
  answer = (response) => void held.push(response)
  const first = await Lists.open(config, silent)
  expect(first.holdingsOf('62.1.2.3')).toEqual([])
  await expect.poll(() => held.length, { timeout: 20_000 }).toBe(1)
  held[0]?.writeHead(200).end('62.1.0.0/16\n')
  await expect.poll(() => first.holdingsOf('62.1.2.3').length, { timeout: 20_000 }).toBe(1)
  await first.close()
  // Due again: what was fetched last serves from the start.
  vi.useFakeTimers({ toFake: ['Date'] })
  vi.setSystemTime(Date.now() + 2 * 3_600_000)
  const second = await Lists.open(config, silent)
  expect(second.holdingsOf('62.1.2.3')).toHaveLength(1)
  await expect.poll(() => held.length, { timeout: 20_000 }).toBe(2)
  const cut = new Promise((resolve) => held[1]?.once('close', resolve))
  await second.close()
  await cut
}, 30_000)

test('a start that fails behind the lists lets go of a feed that hangs', async () => {
  writeFileSync(join(folder, 'domains'), '# none\n')
  const recipients = { domains_file: join(folder, 'domains') }
  const lists = { blacklist: [{ name: 'drop', file: feed }] }
  const config = testConfig([25], { lists, recipients }, folder)
  const cut = new Promise((resolve) => {
    answer = (response) => void response.once('close', resolve)
  })
  const log = await openSystemLog(config)
  await expect(serve(config, log)).rejects.toThrow('holds no domain')
  await cut
  await log.close()
}, 30_000)
