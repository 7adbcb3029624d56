import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Feeds } from '../../src/feeds/feeds.ts'
import { fetchFeed, readFeedState } from '../../src/feeds/fetch-feed.ts'

let folder = ''
let server: Server
let url = ''
let asked: IncomingHttpHeaders[] = []
let answer: (response: ServerResponse, path: string) => void

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-feed-'))
  asked = []
  answer = (response) => response.writeHead(200, { etag: '"1"' }).end('62.1.0.0/16\n')
  server = createServer((request, response) => {
    asked.push(request.headers)
    answer(response, request.url ?? '')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/drop.txt`
})
afterEach(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  rmSync(folder, { recursive: true, force: true })
})

const path = () => join(folder, 'cache', 'feed')
const options = () => ({ path: path(), allowPlainLoopback: true })
const code = (name: string) => expect.objectContaining({ code: name })

test('a feed is written whole, with its state, and no temporary file stays', async () => {
  const outcome = await fetchFeed(url, { ...options(), wallMs: 1000 })
  expect(outcome).toEqual({ kind: 'changed', octets: 12 })
  expect(readFileSync(path(), 'utf8')).toBe('62.1.0.0/16\n')
  expect(await readFeedState(path())).toEqual({
    url,
    etag: '"1"',
    lastModified: '',
    fetchedMs: 1000,
  })
  expect(readdirSync(join(folder, 'cache')).sort()).toEqual(['feed', 'feed.json'])
})

test('an unchanged feed costs one conditional request and counts as fetched', async () => {
  await fetchFeed(url, { ...options(), wallMs: 1000 })
  answer = (response) => response.writeHead(304).end()
  expect(await fetchFeed(url, { ...options(), wallMs: 2000 })).toEqual({ kind: 'unchanged' })
  expect(asked.map((headers) => headers['if-none-match'])).toEqual([undefined, '"1"'])
  expect(await readFeedState(path())).toMatchObject({ fetchedMs: 2000, etag: '"1"' })
})

test('a damaged state asks for the whole feed again', async () => {
  await fetchFeed(url, options())
  writeFileSync(`${path()}.json`, '{')
  await fetchFeed(url, options())
  expect(asked[1]?.['if-none-match']).toBeUndefined()
})

test.each([
  { label: 'status 503', status: 503, body: 'busy', want: 'FEED_STATUS' },
  { label: 'status 304 without having asked', status: 304, body: '', want: 'FEED_STATUS' },
  {
    label: 'more octets than allowed',
    status: 200,
    body: 'x'.repeat(5000),
    want: 'FEED_TOO_LARGE',
  },
])('$label: refused with $want, the file stays', async ({ status, body, want }) => {
  await fetchFeed(url, { ...options(), wallMs: 1000 })
  rmSync(`${path()}.json`)
  answer = (response) => response.writeHead(status).end(body)
  await expect(fetchFeed(url, { ...options(), octetsMax: 4096 })).rejects.toThrow(code(want))
  expect(readFileSync(path(), 'utf8')).toBe('62.1.0.0/16\n')
})

test('a transfer that breaks off leaves the file as it was', async () => {
  await fetchFeed(url, options())
  answer = (response) => {
    response.writeHead(200, { 'content-length': '1000' }).write('1.2.3.4\n')
    response.destroy()
  }
  await expect(fetchFeed(url, options())).rejects.toThrow(code('FEED_UNREACHABLE'))
  expect(readFileSync(path(), 'utf8')).toBe('62.1.0.0/16\n')
})

test('redirects are followed, but not for ever and not away from https', async () => {
  answer = (response, asked) => {
    if (asked === '/drop.txt') response.writeHead(302, { location: '/moved' }).end()
    else response.writeHead(200).end('62.2.0.0/16\n')
  }
  expect(await fetchFeed(url, options())).toMatchObject({ kind: 'changed' })
  answer = (response) => response.writeHead(302, { location: '/again' }).end()
  await expect(fetchFeed(url, options())).rejects.toThrow(code('FEED_STATUS'))
  for (const location of ['http://lists.example/drop.txt', 'file:///etc/passwd']) {
    answer = (response) => response.writeHead(302, { location }).end()
    await expect(fetchFeed(url, options())).rejects.toThrow(code('FEED_URL'))
  }
})

test.each(['http://127.0.0.1/x', 'ftp://lists.example/x', 'nonsense'])(
  '%s is not fetched: only https is',
  async (other) => {
    await expect(fetchFeed(other, { path: path() })).rejects.toThrow(code('FEED_URL'))
  },
)

test('nobody there: refused with FEED_UNREACHABLE', async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await expect(fetchFeed(url, options())).rejects.toThrow(code('FEED_UNREACHABLE'))
})

test('feeds are fetched when due, each once, and a fault is a report', async () => {
  const feeds = new Feeds(join(folder, 'cache'), { allowPlainLoopback: true })
  const one = { url, everyMs: 60_000 }
  expect(feeds.stateOf(url)).toMatchObject({ fetchedMs: 0 })
  expect(feeds.stateOf('/etc/drop.txt')).toBeUndefined()
  const both = await Promise.all([feeds.refresh([one, one], 1000), feeds.refresh([one], 1000)])
  expect(both.flat().map((report) => report.outcome)).toEqual(['changed', 'changed'])
  expect(asked).toHaveLength(1)
  expect(feeds.stateOf(url)).toMatchObject({ fetchedMs: 1000 })
  expect(await feeds.refresh([one], 60_999)).toEqual([])
  answer = (response) => response.writeHead(500).end()
  const [report] = await feeds.refresh([one], 61_000)
  expect(report).toMatchObject({ url, outcome: 'failed' })
  expect(report?.fault).toContain('status 500')
  expect(feeds.stateOf(url)).toMatchObject({ fetchedMs: 1000 })
})

test('a feed that was fetched in the future is due: the wall clock was set back', async () => {
  const feeds = new Feeds(join(folder, 'cache'), { allowPlainLoopback: true })
  const one = { url, everyMs: 60_000 }
  await feeds.refresh([one], 10_000_000)
  expect(await feeds.refresh([one], 5000)).toMatchObject([{ url, outcome: 'changed' }])
  expect(feeds.stateOf(url)).toMatchObject({ fetchedMs: 5000 })
  expect(await feeds.refresh([one], 5000)).toEqual([])
})
