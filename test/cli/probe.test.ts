/**
 * `activemx probe --dry-run` and `activemx whitelist mine`, as an operator types them.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { runCommandLine } from '../../src/cli/run.ts'
import { openStore } from '../../src/store/open-store.ts'
import { Store } from '../../src/store/store.ts'
import { WhitelistStore } from '../../src/store/whitelist-store.ts'
import { type Internet, startInternet } from '../internet/internet.ts'
import { town } from '../internet/worlds/town.ts'

/** Feeds that come later than a start waits for them. */
vi.mock('../../src/base/limits.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/base/limits.ts')>()
  return { ...original, feedsStartWaitMs: 1 }
})
vi.mock('../../src/feeds/fetch-feed.ts', () => ({
  fetchFeed: async (_url: string, { path }: { readonly path: string }) => {
    await pause(1_500)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, '127.0.5.1\n')
    writeFileSync(`${path}.json`, JSON.stringify({ fetchedMs: Date.now() }))
    return { kind: 'changed', octets: 10 }
  },
}))

let internet: Internet
const folder = mkdtempSync(join(tmpdir(), 'activemx-cli-probe-'))
const config = join(folder, 'activemx.toml')
beforeAll(async () => {
  internet = await startInternet(town)
  writeFileSync(
    config,
    `name = "mx.home.example"
[recipients]
domains = ["home.example"]
[mailhost]
addresses = ["127.0.0.9:2525"]
[probe]
helo = "mx.home.example"
relay_recipient = "probe@home.example"
port = ${internet.smtpPort}
allow_loopback = true
[dns]
servers = ["${internet.nameServer}"]
[store]
path = "store"
`,
  )
})
afterAll(async () => {
  await internet.close()
  rmSync(folder, { recursive: true, force: true })
})

async function type(...words: readonly string[]) {
  const lines: string[] = []
  const status = await runCommandLine(words, {
    print: (line) => lines.push(line),
    warn: (line) => lines.push(`! ${line}`),
  })
  return { status, text: lines.join('\n') }
}

test('a relay: the whole dialogue and the reason, status 1', async () => {
  const { status, text } = await type('probe', '127.0.5.1', '--dry-run', '--config', config)
  expect(text).toContain('C: RCPT TO:<probe+127-0-5-1@home.example>')
  expect(text).toContain('S: 250 2.1.5 ok')
  expect(text).toContain('relay: positive, open-relay')
  expect(status).toBe(1)
})

test('a pool: each fact once, and what led to it', async () => {
  const { status, text } = await type('probe', '127.0.2.7', '--dry-run', '--config', config)
  expect(text).toContain('dialup: positive, pool-name')
  expect(text.match(/PTR 127-0-2-7\.dialup\.pool\.example/g)).toHaveLength(1)
  expect(status).toBe(1)
})

test('a host of the relay database: told by its line, and not asked to relay', async () => {
  const relays = join(folder, 'relays.txt')
  const exempting = join(folder, 'exempting.toml')
  writeFileSync(relays, '# known\n127.0.5.0/24\n')
  writeFileSync(exempting, `${readFileSync(config)}[[lists.relay]]\nfile = "${relays}"\n`)
  const { status, text } = await type('probe', '127.0.5.1', '--dry-run', '--config', exempting)
  expect(text).toContain(`the relay test skips it: list relays, ${relays}:2`)
  expect(text).not.toContain('RCPT TO')
  expect(text).toContain('relay: negative, not-asked')
  expect(status).toBe(0)
})

test('a host that lists exempt from every test: nobody is asked, but with --test', async () => {
  const hosts = join(folder, 'hosts.txt')
  const exempting = join(folder, 'all-exempting.toml')
  writeFileSync(hosts, '127.0.5.1\n')
  const lists = ['relay', 'dialup'].map((kind) => `[[lists.${kind}]]\nfile = "${hosts}"\n`)
  writeFileSync(exempting, `${readFileSync(config)}${lists.join('')}`)
  const before = internet.allSessions().length
  const probing = ['probe', '127.0.5.1', '--dry-run', '--config', exempting]
  const { status, text } = await type(...probing)
  expect(text).toContain(`the relay test skips it: list hosts, ${hosts}:1`)
  expect(text).toContain('dialup: negative, exempt')
  expect([status, internet.allSessions().length]).toEqual([0, before])
  expect((await type(...probing, '--test', 'relay')).text).toContain('relay: positive, open-relay')
})

test('exempt by a feed: it is waited for', async () => {
  const exempting = join(folder, 'feed-exempting.toml')
  const url = 'https://lists.example/relays.txt'
  writeFileSync(exempting, `${readFileSync(config)}[[lists.relay]]\nfile = "${url}"\n`)
  const { status, text } = await type('probe', '127.0.5.1', '--dry-run', '--config', exempting)
  expect(text).toContain('the relay test skips it: list relays, ')
  expect(text).not.toContain('RCPT TO')
  expect(status).toBe(0)
})

test('a sender that exists: status 0, JSON on demand', async () => {
  const { status, text } = await type(
    'probe',
    'anna@good.example',
    '--test',
    'user',
    '--dry-run',
    '--json',
    '--config',
    config,
  )
  expect(JSON.parse(text)).toMatchObject({ finding: { name: 'user-exists' } })
  expect(status).toBe(0)
})

/** The configuration without these lines of [probe]. */
function without(file: string, ...keys: readonly string[]): string {
  const path = join(folder, file)
  const lines = readFileSync(config, 'utf8').split('\n')
  const kept = lines.filter((line) => !keys.some((key) => line.startsWith(key)))
  writeFileSync(path, kept.join('\n'))
  return path
}

test.each([
  ['127.0.5.1'],
  ['127.0.5.1', '--test', 'relay'],
  ['127.0.5.1', '--test', 'dialup'],
  ['anna@good.example'],
])('without probe.helo: %s %s %s is status 2, nothing is sent', async (...words) => {
  const before = internet.allSessions().length
  const file = without('nameless.toml', 'helo')
  const { status, text } = await type('probe', ...words, '--dry-run', '--config', file)
  expect(text).toMatch(/^! activemx: probe\.helo is empty; name a host/)
  expect(status).toBe(2)
  expect(internet.allSessions()).toHaveLength(before)
})

test('without probe.relay_recipient: --test relay is status 2, no recipient is offered', async () => {
  const before = internet.allSessions().length
  const file = without('unaddressed.toml', 'relay_recipient')
  const relay = ['probe', '127.0.5.1', '--test', 'relay', '--dry-run', '--config', file]
  const { status, text } = await type(...relay)
  expect(text).toMatch(/^! activemx: probe\.relay_recipient is empty; name an address/)
  expect(status).toBe(2)
  expect(internet.allSessions()).toHaveLength(before)
  const any = await type('probe', '127.0.5.1', '--dry-run', '--config', file)
  expect(any.text).not.toContain('RCPT TO')
  expect(any.text).toContain('relay: negative, not-asked')
  const pool = await type('probe', '127.0.2.7', '--dry-run', '--config', file)
  expect(pool.text).toContain('dialup: positive, pool-name')
})

test('neither address nor sender: status 2 and one line', async () => {
  const { status, text } = await type('probe', 'nonsense', '--dry-run', '--config', config)
  expect(text).toMatch(/^! activemx: nonsense: write an IP address/)
  expect(status).toBe(2)
})

test('B8 whitelist mine enters the recipients of outgoing mail, once', async () => {
  const log = join(folder, 'maillog')
  writeFileSync(
    log,
    `Nov 21 10:00:00 mx postfix/qmgr[1]: 0D: from=<ann@home.example>, size=1, nrcpt=1 (queue active)
Nov 21 10:00:01 mx postfix/smtp[2]: 0D: to=<jos@far.example>, relay=a[192.0.2.1]:25, dsn=2.0.0, status=sent (250)
Nov 21 10:00:02 mx postfix/qmgr[1]: 0D: removed
`,
  )
  expect((await type('whitelist', 'mine', log, '--config', config)).text).toBe(
    `${log}: 3 lines, 1 addresses`,
  )
  const again = await type('whitelist', 'mine', log, '--config', config)
  expect(again.text).toContain('0 addresses')
  const report = (): void => undefined
  const root = openStore(join(folder, 'store'), report)
  const whitelist = new WhitelistStore(new Store(root, { sizeMaxOctets: 2 ** 40, report }))
  expect([whitelist.has('Jos@far.example'), whitelist.size]).toEqual([true, 1])
  await root.close()
})
