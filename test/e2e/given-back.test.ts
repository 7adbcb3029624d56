/**
 * What is held comes back: the hostile cases again and again in one process, on the native threads,
 * beside clients that are cut inside a message and mailhosts that are cut, stall or refuse. Then
 * nothing is held: no client, socket, octet of a backlog, kept block, leased session, waiting
 * transaction, place at the gate, descriptor. Counts, not sizes of memory, which the collector
 * owns.
 */
import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { poolSweepMs } from '../../src/base/limits.ts'
import { adversarialCases, plainAreas } from '../support/adversarial.ts'
import { demands } from '../support/adversarial-demands.ts'
import { honestClientIsServed } from '../support/honest-client.ts'
import { describeWith, needsSharedData } from '../support/needs.ts'
import { proxyScene } from '../support/proxy-scene.ts'
import {
  type RecordingMailhost,
  type RecordingOptions,
  usualKeywords,
} from '../support/recording-mailhost.ts'
import type { TestProxy, Written } from '../support/running-proxy.ts'
import { SmtpClient } from '../support/smtp-client.ts'

const rounds = 5
const envelope = [
  'EHLO client.example',
  'MAIL FROM:<a@client.example>',
  'RCPT TO:<victim@protected.example>',
  'DATA',
]

const scene = proxyScene()

async function started(
  options: RecordingOptions = {},
  changes: Written = {},
): Promise<{ mailhost: RecordingMailhost; proxy: TestProxy }> {
  const keywords = [...usualKeywords, 'CHUNKING']
  const mailhost = await scene.mailhost({ keywords, ...options })
  const proxy = await scene.proxyBefore([mailhost.port], {
    recipients: { domains: ['protected.example'], max: 100 },
    ...changes,
    mailhost: {
      addresses: [`127.0.0.1:${mailhost.port}`],
      retry: '1s',
      idle: '1s',
      reply_wait: '1s',
      final_reply_wait: '1s',
    },
  })
  return { mailhost, proxy }
}

/** Everything that may be held, as `status` tells it. */
function held({ status }: TestProxy): Readonly<Record<string, number>> {
  const { counters, gate } = status()
  const { clients, sessions, sockets, backlog, stashes, leased, waiting } = counters.plain
  const atGate = { connections: gate.connections, asked: gate.waiting, tarpits: gate.tarpits }
  return { clients, sessions, sockets, backlog, stashes, leased, waiting, ...atGate }
}

const nothing = {
  clients: 0,
  sessions: 0,
  sockets: 0,
  backlog: 0,
  stashes: 0,
  leased: 0,
  waiting: 0,
  connections: 0,
  asked: 0,
  tarpits: 0,
}

function descriptors(): number {
  return readdirSync('/proc/self/fd').length
}

async function expectNothingHeld(proxy: TestProxy): Promise<void> {
  // The counts are written at each sweep: those of before are past when two have been.
  await sleep(2 * poolSweepMs)
  await expect.poll(() => held(proxy), { timeout: 60_000 }).toEqual(nothing)
  expect(proxy.status().counters.plain.faults).toBe(0)
}

/** Sends octets, behind an envelope where they are a message, and leaves as it is told. */
async function attack(port: number, octets: Uint8Array, isBody: boolean, isCut: boolean) {
  const client = await SmtpClient.open(port)
  if (isBody) await client.saysAll(...envelope)
  await new Promise((resolve) => client.socket.write(octets, resolve))
  if (isCut) client.socket.resetAndDestroy()
  else client.socket.end()
  await client.closed()
}

describeWith([needsSharedData()], 'hostile cases, again and again', () => {
  test(`${rounds} rounds of all cases, ended and cut: then nothing is held`, async () => {
    const { proxy } = await started()
    await honestClientIsServed(proxy.port)
    await expectNothingHeld(proxy)
    const before = descriptors()
    const cases = plainAreas.flatMap((area) => adversarialCases(area))
    for (let round = 0; round < rounds; round++) {
      for (const { id, kind, input } of cases) {
        const isBody = demands[id]?.isBody === true
        if (kind !== 'bytes') continue
        await attack(proxy.port, input, isBody, false)
        await attack(proxy.port, input.subarray(0, input.length >> 1), isBody, true)
      }
      await expectNothingHeld(proxy)
      await expect.poll(descriptors).toBeLessThanOrEqual(before)
    }
    await honestClientIsServed(proxy.port)
  }, 300_000)
})

test('pipelining-336: 200 clients that break off below the size limit: no message, nothing held, and the rate of an address is limited', async () => {
  const sizeMax = 100_000
  const { mailhost, proxy } = await started(
    {},
    {
      body: { size_max: sizeMax },
      listen: { smtp: ['127.0.0.1:0'], workers: 1, rate_max: '150/min', per_address_max: 0 },
    },
  )
  const line = `${'x'.repeat(98)}\r\n`
  const message = `From: a@client.example\r\n\r\n${line.repeat(sizeMax / line.length)}`
  let refused = 0
  for (let at = 0; at < 200; at++) {
    const client = await SmtpClient.open(proxy.port)
    if (client.heard.startsWith('421')) {
      refused++
      client.leave()
      continue
    }
    await client.saysAll(...envelope)
    await new Promise((resolve) => client.socket.write(message.slice(0, sizeMax - 1), resolve))
    client.leave()
  }
  expect(refused).toBe(50)
  await expectNothingHeld(proxy)
  await expect.poll(() => mailhost.sessions.every(({ socket }) => socket.destroyed)).toBe(true)
  expect(mailhost.messages).toEqual([])
  const replies = () => proxy.verdicts().map(({ reply }) => String(reply).slice(0, 3))
  await expect.poll(() => replies().filter((code) => code === '421').length).toBe(50)
  const broken = proxy.verdicts().filter(({ finding }) => finding === 'client-gone')
  expect(broken.length).toBe(150)
}, 120_000)

const mischief: readonly { readonly label: string; readonly options: RecordingOptions }[] = [
  { label: 'refuses each recipient', options: { answer: refusal('RCPT', '550 5.1.1 no') } },
  { label: 'refuses DATA', options: { answer: refusal('DATA', '451 4.3.0 no') } },
  { label: 'is silent at RCPT', options: { answer: refusal('RCPT', '') } },
  { label: 'is silent at DATA', options: { answer: refusal('DATA', '') } },
  { label: 'is cut at MAIL', options: { answer: refusal('MAIL', 'close') } },
  { label: 'is cut at DATA', options: { answer: refusal('DATA', 'close') } },
  { label: 'is silent at the final dot', options: { onMessage: () => '' } },
  { label: 'is cut at the final dot', options: { onMessage: () => 'close' } },
]

for (const { label, options } of mischief) {
  test(`a mailhost that ${label}: its clients hear so or leave, and nothing is held`, async () => {
    const { proxy } = await started(options)
    const letter = `From: a@client.example\r\n\r\n${'line\r\n'.repeat(2000)}.\r\n`
    const clients = await Promise.all(Array.from({ length: 20 }, () => SmtpClient.open(proxy.port)))
    await Promise.all(
      clients.map(async (client, at) => {
        for (const command of envelope) client.send(`${command}\r\n`)
        let said = ''
        for (const _ of envelope) if (!/^[45]/.test(said)) said = await client.reply()
        if (said.startsWith('354')) {
          client.send(letter)
          if (at % 2 === 0) said = await client.reply()
        }
        if (at % 2 === 0) expect(said).toMatch(/^[45]\d\d /)
        client.leave()
      }),
    )
    await expectNothingHeld(proxy)
  }, 60_000)
}

function refusal(verb: string, reply: string): NonNullable<RecordingOptions['answer']> {
  return (line) => (line.startsWith(verb) ? reply : undefined)
}
