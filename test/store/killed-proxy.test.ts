/**
 * Show 5: the whole proxy killed at random while it probes and learns; the store opens, and nothing
 * wrong is in it: every verdict is about who its key says, every listing about a bad host.
 *
 * 100 kills in CI, 10 elsewhere; ACTIVEMX_KILLS=1000 for the full figure.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { storeBatchMs } from '../../src/base/limits.ts'
import type { CachedVerdict } from '../../src/probes/verdict-cache.ts'
import { Learnt } from '../../src/store/learnt.ts'
import { type Internet, startInternet } from '../internet/internet.ts'
import { type Letter, sendLetter } from '../internet/letter.ts'
import type { HostDescription, World } from '../internet/world.ts'
import { projectRoot } from '../support/needs.ts'
import { probingSettings } from '../support/probing-proxy.ts'
import { Random } from '../support/random.ts'

const kills = Number(process.env['ACTIVEMX_KILLS'] ?? (process.env['CI'] === 'true' ? 100 : 10))
const ttlMs = 3_600_000
const dialups = 2000
const relays = 50
const goodHost = '127.1.0.1'
const insider = '127.1.0.2'

function dialup(at: number): string {
  return `127.21.${at >> 8}.${at & 255}`
}

const world: World = {
  mailhost: { address: '127.0.0.1', domains: ['home.example', 'partner.example'] },
  hosts: {
    [goodHost]: { name: 'mail.good.example', smtp: 'clean' },
    ...Object.fromEntries(
      Array.from({ length: dialups }, (_, at): [string, HostDescription] => {
        const name = `${dialup(at).replaceAll('.', '-')}.dialup.pool.example`
        return [dialup(at), { name, smtp: 'none' }]
      }),
    ),
    ...Object.fromEntries(
      Array.from({ length: relays }, (_, at): [string, HostDescription] => [
        `127.20.0.${at + 1}`,
        { name: `gate${at}.open.example`, smtp: 'open-relay' },
      ]),
    ),
  },
  domains: { 'good.example': { mx: ['mail.good.example'], users: ['anna'] } },
}

let internet: Internet
let folder = ''
beforeAll(async () => {
  internet = await startInternet(world)
  folder = mkdtempSync(join(tmpdir(), 'activemx-killed-'))
  writeFileSync(join(folder, 'trusted.txt'), `${insider}\n`)
})
afterAll(async () => {
  await internet.close()
  rmSync(folder, { recursive: true, force: true })
})

test(`Show 5: the proxy killed ${kills} times while it probes and learns`, async () => {
  const random = new Random(20261122)
  const sums = { verdicts: 0, listings: 0, friends: 0 }
  for (let round = 0; round < kills; round++) {
    await serveAndKill(random)
    const found = await checkStore()
    expect(found.verdicts).toBeGreaterThanOrEqual(sums.verdicts)
    expect(found.friends).toBeGreaterThanOrEqual(sums.friends)
    Object.assign(sums, found)
  }
  expect(Math.min(...Object.values(sums)), JSON.stringify(sums)).toBeGreaterThan(0)
  expect(internet.allSessions().filter((session) => session.isMessageEnded)).toEqual([])
}, 7_200_000)

/** Kills in the middle of the work, before or behind some of the store's transactions. */
async function serveAndKill(random: Random): Promise<void> {
  const settings = JSON.stringify(settingsOf())
  const child = fork(join(projectRoot, 'dist/test/store/kill-proxy.js'), [settings, folder])
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const port = await portOf(child)
  setTimeout(() => child.kill('SIGKILL'), random.below(4 * storeBatchMs))
  const client = async (): Promise<void> => {
    while (!child.killed) await sendLetter('127.0.0.1', port, letterOf(random))
  }
  await Promise.all([gone, ...Array.from({ length: 8 }, client)])
}

/** The port; rejects where the proxy does not come up, which a kill must never cause. */
function portOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('message', (port) => resolve(Number(port)))
    child.once('exit', (code) => {
      const log = readFileSync(join(folder, 'log'), 'utf8').slice(-2000)
      reject(new Error(`ended with ${code} before it served: ${log}`))
    })
  })
}

function settingsOf(): Record<string, unknown> {
  const probing = probingSettings(internet)
  // Waits of a slow machine: a time-out would be a true verdict, and not the one that is checked.
  const waits = { connect_wait: '30s', reply_wait: '30s' }
  return {
    ...probing,
    probe: { ...(probing['probe'] as object), ...waits },
    dns: { ...(probing['dns'] as object), wait: '20s' },
    name: 'mx.home.example',
    listen: { smtp: ['127.0.0.1:0'], per_address_max: 0, rate_max: '', workers: 1 },
    mailhost: { addresses: [internet.mailhost.endpoint], retry: '1s' },
    recipients: { domains: ['home.example'], partners: ['partner.example'] },
    whitelist: { learn: true },
    lists: { allow_loopback: true, trusted: [{ file: 'trusted.txt' }] },
    feedback: { findings: 1, ttl: `${ttlMs / 1000}s`, promote_hosts: 0 },
    log: { to: 'log' },
    process: { user: '' },
    http: { address: '' },
    store: { path: 'store' },
    control: { socket: 'control.sock' },
  }
}

function letterOf(random: Random): Letter {
  const number = random.below(1_000_000)
  const recipients = ['postbox@home.example']
  const kind = number % 4
  const letters = 'abcdefghij'
  const user = [...String(number)].map((digit) => letters[Number(digit)]).join('')
  if (kind === 0) return { from: goodHost, sender: `${user}@good.example`, recipients }
  if (kind === 1) return { from: goodHost, sender: 'anna@good.example', recipients }
  if (kind === 2) {
    const from = number % 3 === 0 ? `127.20.0.${(number % relays) + 1}` : dialup(number % dialups)
    return { from, sender: 'anna@good.example', recipients }
  }
  const friend = `friend${number}@partner.example`
  return { from: insider, sender: 'ann@home.example', recipients: [friend] }
}

/** Opens the store as the next start would, and reads all of it. */
async function checkStore(): Promise<{ verdicts: number; listings: number; friends: number }> {
  const told: string[] = []
  const learnt = new Learnt(
    join(folder, 'store'),
    { sizeMaxOctets: 2 ** 40, verdictsMax: 1e6, whitelistExpiresMs: 0, goodForMs: 1e12 },
    (what, detail) => told.push(what === 'opened' ? what : `${what} ${detail}`),
  )
  const verdicts = learnt.verdicts.entries('', 0, 1_000_000)
  for (const [key, verdict] of verdicts) checkVerdict(key, verdict)
  const listings = [...learnt.dynamic.entries(0)]
  for (const { prefix, evidence, addedAtMs, expiresAtMs } of listings) {
    expect(prefix).toMatch(/^127\.2[01]\.\d+\.\d+\/32$/)
    expect(evidence.length).toBeGreaterThan(0)
    expect(expiresAtMs - addedAtMs).toBe(ttlMs)
  }
  const friends = [...learnt.whitelist.list('', Date.now())]
  for (const { address } of friends) expect(address).toMatch(/^friend\d+@partner\.example$/)
  for (const at of [0, 1, 2]) expect(learnt.goodHosts.goodAtMs(`4:7f15000${at}`)).toBe(0)
  await learnt.close()
  expect(told).toEqual(['opened'])
  return { verdicts: verdicts.length, listings: listings.length, friends: friends.length }
}

/** What the evidence names is what the key is of. */
function checkVerdict(key: string, { finding, fact, foundAtMs, untilMs }: CachedVerdict): void {
  expect(untilMs).toBeGreaterThan(foundAtMs)
  const head = key.slice(0, 2)
  if (head === 'd:') {
    expect([key, fact]).toEqual(['d:good.example', 'asks-each'])
    return
  }
  const evidence = finding?.evidence.join('\n') ?? ''
  if (head === 'u:') {
    const isAnna = key === 'u:anna@good.example'
    expect(finding?.outcome, key).toBe(isAnna ? 'negative' : 'positive')
    if (!isAnna) expect(evidence).toContain(`<${key.slice(2)}>`)
    return
  }
  const [, word = ''] = /^h:4:([0-9a-f]+):rd$/.exec(key) ?? []
  const octets = [24, 16, 8, 0].map((shift) => (Number.parseInt(word, 16) >>> shift) & 255)
  const network = octets[1]
  const want = network === 1 ? 'no-relay' : network === 20 ? 'open-relay' : 'pool-name'
  expect(finding?.name, key).toBe(want)
  if (network === 21) expect(evidence).toContain(`PTR ${octets.join('-')}.dialup`)
}
