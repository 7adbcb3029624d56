/**
 * Clients that try what is bounded, on the native threads: endless recipients,
 * gigantic headers, slow lines, silence under stress, a full disk. An honest client is served after
 * each.
 */
import { readFileSync } from 'node:fs'
import { beforeEach, describe, expect, test } from 'vitest'
import { ProxyProgram } from '../support/proxy-program.ts'
import { proxyScene } from '../support/proxy-scene.ts'
import type { RecordingMailhost } from '../support/recording-mailhost.ts'
import type { Written } from '../support/running-proxy.ts'
import { SmtpClient } from '../support/smtp-client.ts'

const envelope = ['EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@example.test>']
const message = 'Subject: x\r\n\r\nbody\r\n.'

const scene = proxyScene()
let mailhost: RecordingMailhost

beforeEach(async () => {
  mailhost = await scene.mailhost()
})

const started = (changes: Written = {}) => scene.proxyBefore([mailhost.port], changes)

async function expectHonestService(port: number, localAddress = '127.0.0.1'): Promise<void> {
  const client = await SmtpClient.open(port, localAddress)
  expect(await client.saysAll(...envelope, 'DATA', message)).toMatch(/^250/)
  client.leave()
}

test('10,000 recipients: those beyond the limit get 452 4.5.3, those before it the message', async () => {
  const { port } = await started({ recipients: { max: 1000 } })
  const client = await SmtpClient.open(port)
  await client.saysAll('EHLO c.example', 'MAIL FROM:<a@x.example>')
  let taken = 0
  for (let batch = 0; batch < 100; batch++) {
    const lines = Array.from(
      { length: 100 },
      (_, at) => `RCPT TO:<u${batch}-${at}@example.test>\r\n`,
    )
    client.send(lines.join(''))
    for (let at = 0; at < 100 && !client.isClosed; at++) {
      const reply = await client.reply()
      if (reply.startsWith('250')) taken++
      else expect(reply).toMatch(/^452 4\.5\.3/)
    }
  }
  expect(taken).toBe(1000)
  expect(await client.says('DATA')).toMatch(/^354/)
  expect(await client.says(message)).toMatch(/^250/)
  client.leave()
  expect(mailhost.messages[0]?.recipients.length).toBe(1000)
})

test('a gigantic header is read, dropped and refused; the mailhost never got DATA', async () => {
  const { port } = await started()
  const client = await SmtpClient.open(port)
  await client.saysAll(...envelope, 'DATA')
  const field = `X-Filler: ${'x'.repeat(900)}\r\n`.repeat(1000)
  for (let at = 0; at < 20; at++) client.send(field)
  client.send('\r\nbody\r\n.\r\n')
  expect(await client.reply()).toMatch(/^554 5\.6\.0 headers: header longer than \d+ octets/)
  expect(mailhost.commands).not.toContain('DATA')
  client.leave()
  await expectHonestService(port)
})

test('a line that drips is cut by its own time; honest clients are served meanwhile', async () => {
  const { port } = await started({ listen: { line_wait: '1s', command_wait: '1s' } })
  const slow = await SmtpClient.open(port)
  const drip = setInterval(() => slow.isClosed || slow.send('A'), 100)
  await expectHonestService(port)
  await slow.closed()
  clearInterval(drip)
  expect(slow.heard).toMatch(/421 4\.4\.2 protocol: timeout, closing, id=[\w-]+\r\n$/)
})

test('stress begins: connections that are open already, silent or not, are cut by its waits', async () => {
  const { port, records } = await started({
    listen: { connections_max: 20 },
    stress: { at: 0.5, until: 0.1, listen: { first_command_wait: '1s', command_wait: '1s' } },
  })
  const silent = await Promise.all(Array.from({ length: 6 }, () => SmtpClient.open(port)))
  const begun = await Promise.all(Array.from({ length: 6 }, () => SmtpClient.open(port)))
  for (const client of begun) await client.says('EHLO c.example')
  for (const client of [...silent, ...begun]) await client.closed()
  await expectHonestService(port)
  expect(records().filter(({ what }) => what === 'stress').length).toBeGreaterThan(0)
})

test('stress.body.size_max: large messages are put off while stress lasts, and taken after it', async () => {
  const { port, records } = await started({
    listen: { connections_max: 20 },
    stress: { at: 0.5, until: 0.1, body: { size_max: '1KiB' } },
  })
  const stressed = (count: number) =>
    expect.poll(() => records().filter(({ what }) => what === 'stress').length).toBe(count)
  const large = 'MAIL FROM:<a@x.example> SIZE=2000'
  const crowd = await Promise.all(Array.from({ length: 12 }, () => SmtpClient.open(port)))
  await stressed(1)
  const client = crowd.pop()
  expect(await client?.saysAll('EHLO c.example', large)).toMatch(/^452 4\.3\.1 protocol: too busy/)
  for (const one of crowd) one.leave()
  await stressed(2)
  expect(await client?.says(large)).toMatch(/^250/)
  client?.leave()
})

describe('a full disk', () => {
  test('under the log costs records, never mail', async () => {
    const program = await ProxyProgram.start(
      mailhost.port,
      { log: 'level = "connections"' },
      (to) => to.replace('to = "log"', 'to = "/dev/full"'),
    )
    try {
      for (let at = 0; at < 20; at++) await expectHonestService(program.port)
      expect(mailhost.messages.length).toBe(20)
    } finally {
      await program.end()
    }
  })

  test('under the log, by the limit of the process on files: mail goes on, the log is not torn', async () => {
    const program = await ProxyProgram.start(mailhost.port, {}, undefined, 64)
    try {
      for (let at = 0; at < 200; at++) await expectHonestService(program.port)
      expect(mailhost.messages.length).toBe(200)
      const text = readFileSync(`${program.folder}/log`, 'utf8')
      expect(text.length).toBeLessThanOrEqual(65_536)
    } finally {
      await program.end()
    }
  })
})
