/**
 * The command line over the active tests of a running instance: probes on and off, the cache, who
 * refuses us, and the identity that its probes lack.
 */
import { existsSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Internet, startInternet } from '../internet/internet.ts'
import { sendLetter } from '../internet/letter.ts'
import { town } from '../internet/worlds/town.ts'
import { runCommand } from '../support/command-line.ts'
import { ProxyProgram } from '../support/proxy-program.ts'

let internet: Internet
let proxy: ProxyProgram

beforeAll(async () => {
  internet = await startInternet({
    ...town,
    mailhost: { address: '127.0.0.1', domains: ['example.test'] },
  })
  const mailhostPort = Number(internet.mailhost.endpoint.split(':').pop())
  const enforce = 'mode = "enforce"'
  proxy = await ProxyProgram.start(mailhostPort, {
    lists: 'allow_loopback = true',
    'tests.dialup': enforce,
    'tests.relay': enforce,
    'tests.user': enforce,
    probe: `helo = "nobody.knows.example"
source = ["127.0.0.1"]
relay_recipient = "probe@example.test"
port = ${internet.smtpPort}
allow_loopback = true`,
    dns: `servers = ["${internet.nameServer}"]`,
  })
})

afterAll(async () => {
  await proxy.end()
  await internet.close()
})

async function run(...words: readonly string[]) {
  const ended = await runCommand(...words, '--config', proxy.file)
  return { ...ended, answer: () => JSON.parse(ended.printed.join('\n')) }
}

async function send(from: string, sender = 'anna@good.example'): Promise<string> {
  const recipients = ['postbox@example.test']
  return (await sendLetter('127.0.0.1', proxy.port, { from, sender, recipients })).last
}

const warnings = (): readonly string[] =>
  proxy
    .records()
    .filter(({ event, what }) => event === 'service' && what === 'warning')
    .map(({ detail }) => String(detail))

test('cache show and flush, by key and whole, over the control socket', async () => {
  expect(await send('127.0.5.1')).toMatch(/^550 5\.7\.1/)
  expect(await send('127.0.1.1')).toMatch(/^250/)
  expect(await send('127.0.1.1', 'nobody@good.example')).toMatch(/^550 5\.1\.8/)
  const shown = (await run('cache', 'show')).answer()
  const keys = JSON.stringify(shown)
  for (const word of ['h:', 'u:anna@good.example', 'u:nobody@good.example', 'd:good.example']) {
    expect(keys).toContain(word)
  }
  const hosts = JSON.stringify((await run('cache', 'show', '--key', 'h:')).answer())
  expect(hosts).toContain('open-relay')
  expect(hosts).not.toContain('u:')

  const asked = internet.sessionsAt('127.0.5.1').length
  expect(await send('127.0.5.1')).toMatch(/^550 5\.7\.1/)
  expect(internet.sessionsAt('127.0.5.1')).toHaveLength(asked)
  const flushed = await run('cache', 'flush', '--key', 'h:')
  expect(flushed).toMatchObject({ status: 0 })
  expect(flushed.answer()).toEqual({ flushed: 2 })
  expect((await run('cache', 'show', '--key', 'h:', '--json')).printed).toEqual(['[]'])
  expect(await send('127.0.5.1')).toMatch(/^550 5\.7\.1/)
  expect(internet.sessionsAt('127.0.5.1')).toHaveLength(asked + 1)

  expect((await run('cache', 'flush')).answer().flushed).toBeGreaterThan(3)
  expect((await run('cache', 'show', '--json')).printed).toEqual(['[]'])
  const wrong = await run('cache', 'burn')
  expect(wrong.status).toBe(2)
  expect(wrong.warned[0]).toMatch(/write show or flush/)
})

test('probes off: nothing leaves and nobody is refused for it; on: as before', async () => {
  await run('cache', 'flush')
  expect((await run('probes', 'off')).answer()).toEqual({ probes: 'off', inFlight: 0 })
  const asked = internet.allSessions().length
  expect(await send('127.0.5.1')).toMatch(/^250/)
  expect(await send('127.0.2.7', 'nobody@good.example')).toMatch(/^250/)
  expect(internet.allSessions()).toHaveLength(asked)
  expect((await run('status')).printed.join('\n')).toMatch(/^probes: off, 0 in flight, /m)
  // A reload leaves the switch as it is.
  expect(await run('reload')).toMatchObject({ status: 0 })
  expect(await send('127.0.5.1')).toMatch(/^250/)
  expect((await run('probes', 'on')).answer()).toMatchObject({ probes: 'on' })
  expect(await send('127.0.5.1')).toMatch(/^550 5\.7\.1/)
  expect((await run('probes', 'sometimes')).status).toBe(2)
})

test('hosts that refuse us are counted and told once; their mail is taken', async () => {
  for (const domain of ['lists', 'snob', 'nonull']) {
    expect(await send('127.0.1.1', `x@${domain}.example`)).toMatch(/^250/)
  }
  const { probes } = (await run('status', '--json')).answer()
  expect(probes).toMatchObject({ isOn: true, inFlight: 0, refusedUs: 3 })
  expect(probes.made).toBeGreaterThan(5)
  const told = () => warnings().filter((detail) => detail.startsWith('hosts refuse our probes'))
  await expect.poll(told, { timeout: 20_000 }).toHaveLength(1)
  expect(told()[0]).toContain('550 5.7.1 your IP is listed')
})

test('a probe.helo that leads nowhere is told at start', async () => {
  expect(existsSync(proxy.file)).toBe(true)
  await expect
    .poll(() => warnings().join('\n'), { timeout: 20_000 })
    .toContain('probe.helo = "nobody.knows.example": it has no address')
})
