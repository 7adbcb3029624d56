/**
 * B23 feedback through the whole proxy: what is found refuses the next connection at connect, until
 * it ends or is removed; in gate, table and store; also after a restart.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Internet, startInternet } from '../internet/internet.ts'
import { town } from '../internet/worlds/town.ts'
import { describeWith, needsAddon } from '../support/needs.ts'
import {
  type ProbingParts,
  type ProbingProxy,
  probingSettings,
  startProbingProxy,
} from '../support/probing-proxy.ts'
import { testConfig } from '../support/running-proxy.ts'
import { SmtpClient } from '../support/smtp-client.ts'

const relays = { name: 'r.open.example', smtp: 'open-relay' } as const

let internet: Internet
let proxy: ProbingProxy | undefined
let folder = ''
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-feedback-'))
  internet = await startInternet({
    ...town,
    hosts: {
      ...town.hosts,
      ...Object.fromEntries([1, 2, 3, 4].map((host) => [`127.0.15.${host}`, relays])),
      '127.0.15.99': { name: 'mail.fine.example', smtp: 'clean' },
    },
    domains: { ...town.domains, 'fine.example': { mx: ['mail.fine.example'], users: ['gus'] } },
  })
})
afterEach(async () => {
  await proxy?.end()
  proxy = undefined
})
afterAll(async () => {
  await internet.close()
  rmSync(folder, { recursive: true, force: true })
})

const ways = [
  { way: 'native', isNative: true, needs: needsAddon() },
  { way: 'twins', isNative: false, needs: undefined },
]

for (const { way, isNative, needs } of ways) {
  const start = async (parts: ProbingParts): Promise<ProbingProxy> => {
    proxy = await startProbingProxy(internet, { isNative, ...parts })
    return proxy
  }

  describeWith([needs], `B23 feedback, ${way}`, () => {
    test('the second connection is refused at connect with its record; removed, it is tested again', async () => {
      const { send, dynamic, learnt, listings, verdicts } = await start({})
      expect((await send({ from: '127.0.5.1' })).replies).toHaveLength(5)
      expect((await send({ from: '127.0.2.7' })).replies).toHaveLength(5)
      expect((await send({ from: '127.0.1.1', sender: 'nobody@good.example' })).last).toMatch(
        /^550/,
      )
      // A forged sender lists nobody by default.
      expect(listings()).toEqual(['127.0.5.1/32 open-relay', '127.0.2.7/32 pool-name'])
      const second = await send({ from: '127.0.5.1' })
      expect(second.replies).toEqual([expect.stringMatching(/^554 5\.7\.1 .*id=/)])
      await expect.poll(() => verdicts().length, { timeout: 20_000 }).toBe(4)
      // The gate's record and the thread's come by two ways: their order is not told.
      expect(verdicts().filter(({ layer }) => layer === 'connect')).toMatchObject([
        { evidence: ['dynamic'] },
      ])

      expect(dynamic.holds('127.0.5.1/32')).toBe(true)
      expect(learnt?.dynamic.remove('127.0.5.1')).toBe(true)
      dynamic.onRemoved('127.0.5.1/32')
      expect(dynamic.holds('127.0.5.1/32')).toBe(false)
      const asked = internet.sessionsAt('127.0.5.1').length
      expect((await send({ from: '127.0.5.1' })).replies).toHaveLength(5)
      expect(internet.sessionsAt('127.0.5.1').length).toBe(asked + 1)
    })

    test('by default one finding lists nobody; the host is refused by the verdict that is kept', async () => {
      const { send, listings } = await start({ changes: { feedback: { findings: 2 } } })
      for (const host of ['127.0.5.2', '127.0.5.1', '127.0.2.7']) {
        const before = internet.sessionsAt(host).length
        expect((await send({ from: host })).replies).toHaveLength(5)
        const asked = internet.sessionsAt(host).length
        expect((await send({ from: host })).last).toMatch(/^550 5\.7\.1/)
        expect(internet.sessionsAt(host).length).toBe(asked)
        expect(asked - before).toBeLessThanOrEqual(1)
      }
      expect(listings()).toEqual([])
    })

    test('an entry ends: in the gate, the table and the store, also after a restart', async () => {
      const home = mkdtempSync(join(folder, 'restart-'))
      const parts = { folder: home, changes: { feedback: { ttl: '6s' } } }
      const first = await start(parts)
      expect((await first.send({ from: '127.0.5.1' })).last).toMatch(/^550/)
      expect(await greetingOf(first, '127.0.5.1')).toMatch(/^554/)
      await first.end()

      const second = await start(parts)
      expect(second.listings()).toEqual(['127.0.5.1/32 open-relay'])
      expect(await greetingOf(second, '127.0.5.1')).toMatch(/^554/)
      await expect
        .poll(() => greetingOf(second, '127.0.5.1'), { timeout: 30_000, interval: 200 })
        .toMatch(/^220/)
      expect(second.listings()).toEqual([])
      second.learnt?.dynamic.sweep(Date.now())
      second.learnt?.store.flush()
      expect([...(second.learnt?.dynamic.entries(0) ?? [])]).toEqual([])
      // The verdict ended with its entry: a new one enters it anew.
      const asked = internet.sessionsAt('127.0.5.1').length
      expect((await second.send({ from: '127.0.5.1' })).last).toMatch(/^550/)
      expect(internet.sessionsAt('127.0.5.1').length).toBe(asked + 1)
      expect(second.listings()).toEqual(['127.0.5.1/32 open-relay'])
    })

    test('a verdict of the time of observe refuses and lists after a reload, nobody asked anew', async () => {
      const relay = { mode: 'observe' }
      const {
        send,
        listings,
        reload,
        folder: home,
      } = await start({ changes: { tests: { relay } } })
      expect((await send({ from: '127.0.5.1' })).isTaken).toBe(true)
      expect(listings()).toEqual([])
      const asked = internet.sessionsAt('127.0.5.1').length
      // Committed, so that a serving thread has it and answers by itself.
      await expect.poll(() => proxy?.learnt?.verdicts.size).toBeGreaterThan(1)
      const mailhostPort = Number(internet.mailhost.endpoint.split(':').pop())
      await reload(testConfig([mailhostPort], probingSettings(internet), home))
      expect((await send({ from: '127.0.5.1' })).last).toMatch(/^550 5\.7\.1/)
      await expect.poll(listings).toEqual(['127.0.5.1/32 open-relay'])
      expect(internet.sessionsAt('127.0.5.1').length).toBe(asked)
    })

    test('three bad hosts make their /24 bad, over a restart; a good host in it keeps the block out', async () => {
      const home = mkdtempSync(join(folder, 'block-'))
      const first = await start({ folder: home })
      await first.send({ from: '127.0.15.1' })
      await first.send({ from: '127.0.15.2' })
      await first.end()
      const second = await start({ folder: home })
      expect(second.listings()).toHaveLength(2)
      await second.send({ from: '127.0.15.3' })
      expect(second.listings()).toContain('127.0.15.0/24 bad-neighbours')
      expect(await greetingOf(second, '127.0.15.4')).toMatch(/^554/)
      await second.end()

      const third = await start({ folder: mkdtempSync(join(folder, 'good-')) })
      const good = { from: '127.0.15.99', sender: 'gus@fine.example' }
      expect((await third.send(good)).isTaken).toBe(true)
      await expect.poll(() => third.learnt?.goodHosts.goodAtMs('127.0.15.0/24')).toBeGreaterThan(0)
      for (const host of [1, 2, 3, 4]) await third.send({ from: `127.0.15.${host}` })
      expect(third.listings()).toHaveLength(4)
      expect(await greetingOf(third, '127.0.15.99')).toMatch(/^220/)
    })

    test('trusted, never-block, relay- and dialup-exempt hosts are never entered, nor their block', async () => {
      const { send, listings } = await start({
        lists: {
          never_block: ['127.0.15.1', '127.0.15.77'],
          relay: ['127.0.2.7'],
          dialup: ['127.0.5.1'],
        },
      })
      for (const host of [1, 2, 3, 4]) await send({ from: `127.0.15.${host}` })
      await send({ from: '127.0.2.7' })
      await send({ from: '127.0.5.1' })
      expect(listings()).toEqual([
        '127.0.15.2/32 open-relay',
        '127.0.15.3/32 open-relay',
        '127.0.15.4/32 open-relay',
      ])
    })

    test('removed, a host does not come back by an old verdict of its sender, over a restart', async () => {
      const home = mkdtempSync(join(folder, 'removed-'))
      const parts = { folder: home, changes: { feedback: { layers: ['user'] } } }
      const forged = { from: '127.0.1.2', sender: 'nobody@good.example' }
      const first = await start(parts)
      expect((await first.send(forged)).last).toMatch(/^550 5\.1\.8/)
      expect(first.listings()).toEqual(['127.0.1.2/32 no-such-user'])
      expect(first.learnt?.dynamic.remove('127.0.1.2')).toBe(true)
      first.dynamic.onRemoved('127.0.1.2/32')
      await first.end()
      const asked = internet.sessionsAt('127.0.1.1').length
      const second = await start(parts)
      expect((await second.send(forged)).last).toMatch(/^550 5\.1\.8/)
      expect(internet.sessionsAt('127.0.1.1').length).toBe(asked)
      await expect.poll(() => second.verdicts().length, { timeout: 20_000 }).toBe(2)
      expect(second.listings()).toEqual([])
    })

    test('B10 B12 lists of exempt hosts that come with a reload hold, and end with another', async () => {
      const changes = { feedback: { layers: [] } }
      const { send, reload, folder: home } = await start({ changes })
      const hosts = ['127.0.5.1', '127.0.2.7']
      for (const from of hosts) expect((await send({ from })).last).toMatch(/^550 5\.7\.1/)
      const file = join(home, 'exempt.txt')
      writeFileSync(file, `${hosts.join('\n')}\n`)
      const exempt = { relay: [{ file }], dialup: [{ file }] }
      const mailhostPort = Number(internet.mailhost.endpoint.split(':').pop())
      const settings = { ...probingSettings(internet), ...changes }
      const take = (lists: object) =>
        reload(
          testConfig(
            [mailhostPort],
            { ...settings, lists: { allow_loopback: true, ...lists } },
            home,
          ),
        )
      await take(exempt)
      for (const from of hosts) expect((await send({ from })).isTaken).toBe(true)
      await take({})
      for (const from of hosts) expect((await send({ from })).last).toMatch(/^550 5\.7\.1/)
    })

    test('a header rule that only observes enters nobody, and its host is good; one that refuses does', async () => {
      const home = mkdtempSync(join(folder, 'headers-'))
      writeFileSync(join(home, 'rules'), 'Subject: /seen/ observe\nSubject: /refused/ refuse\n')
      const off = { mode: 'off' }
      const headers = { mode: 'enforce', rules: join(home, 'rules') }
      const changes = {
        tests: { relay: off, dialup: off, user: off, headers },
        feedback: { layers: ['headers'] },
      }
      const { send, listings, recordsOf, learnt } = await start({ folder: home, changes })
      const seen = {
        from: '127.0.1.1',
        message: 'From: <a@a.example>\r\nSubject: seen\r\n\r\nbody\r\n',
      }
      expect((await send(seen)).isTaken).toBe(true)
      await expect.poll(() => learnt?.goodHosts.goodAtMs('4:7f000101')).toBeGreaterThan(0)
      const refused = {
        from: '127.0.1.2',
        message: 'From: <a@a.example>\r\nSubject: refused\r\n\r\nbody\r\n',
      }
      expect((await send(refused)).last).toMatch(/^554 5\.6\.0/)
      await expect.poll(() => recordsOf('finding').length, { timeout: 20_000 }).toBeGreaterThan(2)
      await expect.poll(listings).toEqual([expect.stringMatching(/^127\.0\.1\.2\/32 /)])
    })

    test('a good host is not entered for forged senders; one that never delivered is', async () => {
      const home = mkdtempSync(join(folder, 'forged-'))
      const changes = { feedback: { layers: ['user'] } }
      const first = await start({ folder: home, changes })
      expect((await first.send({ from: '127.0.1.1' })).isTaken).toBe(true)
      await expect.poll(() => first.learnt?.goodHosts.goodAtMs('4:7f000101')).toBeGreaterThan(0)
      await first.end()
      const second = await start({ folder: home, changes })
      const forged = { sender: 'nobody@good.example' }
      expect((await second.send({ from: '127.0.1.1', ...forged })).last).toMatch(/^550 5\.1\.8/)
      expect((await second.send({ from: '127.0.1.2', ...forged })).last).toMatch(/^550 5\.1\.8/)
      expect(second.listings()).toEqual(['127.0.1.2/32 no-such-user'])
    })
  })
}

/** The first line that a client from this address is told. */
async function greetingOf(at: ProbingProxy, from: string): Promise<string> {
  const client = await SmtpClient.open(at.port, from)
  client.leave()
  return client.heard
}
