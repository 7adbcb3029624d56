/**
 * Signals to the running program: reload, rotation of the log, and how it ends.
 */
import { readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ProxyProgram } from '../support/proxy-program.ts'
import { type RecordingMailhost, startRecordingMailhost } from '../support/recording-mailhost.ts'
import { SmtpClient } from '../support/smtp-client.ts'

/** Waits for what the program writes: CI is slow. */
const patience = { timeout: 30_000 }

let mailhost: RecordingMailhost
let proxy: ProxyProgram

beforeEach(async () => {
  mailhost = await startRecordingMailhost()
})

afterEach(async () => {
  await proxy.end()
  await mailhost.stop()
})

/** Starts the proxy; nothing but what a test does ends a client within its time. */
async function start(stopWait: string, connectionsMax = 1_000): Promise<void> {
  proxy = await ProxyProgram.start(mailhost.port, {
    listen: `workers = 2\nstop_wait = "${stopWait}"\nconnections_max = ${connectionsMax}`,
  })
}

function recordsIn(file: string, event: string): readonly Record<string, unknown>[] {
  const lines = readFileSync(join(proxy.folder, file), 'utf8').split('\n')
  const records = lines.filter((line) => line.endsWith('}')).map((line) => JSON.parse(line))
  return records.filter((record) => record.event === event)
}

/** A client whose message is half sent. */
async function clientInMessage(): Promise<SmtpClient> {
  const client = await SmtpClient.open(proxy.port)
  await client.saysAll('EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@example.test>')
  expect(await client.says('DATA')).toMatch(/^354/)
  client.send('Subject: half\r\n\r\nfirst half\r\n')
  return client
}

async function recipientReply(to: string): Promise<string> {
  const client = await SmtpClient.open(proxy.port)
  await client.saysAll('EHLO c.example', 'MAIL FROM:<a@x.example>')
  const reply = await client.says(`RCPT TO:<${to}>`)
  client.leave()
  return reply.slice(0, 3)
}

/** The program has heard that it shall stop. */
async function isStopping(): Promise<void> {
  const told = () => recordsIn('log', 'service').map(({ what }) => what)
  await expect.poll(told, patience).toContain('stop')
}

test('SIGHUP takes the configuration anew; a wrong one is told with its fault and changes nothing', async () => {
  await start('30s')
  const running = await clientInMessage()
  proxy.rewrite((text) => text.replace('"example.test"', '"other.test"'))
  proxy.signal('SIGHUP')
  const reloads = () => recordsIn('log', 'reload')
  await expect.poll(reloads, patience).toMatchObject([{ ok: true, faults: [] }])
  expect(await recipientReply('b@other.test')).toBe('250')
  expect(await recipientReply('b@example.test')).toBe('550')

  proxy.rewrite((text) => `${text.replace('"other.test"', '"third.test"')}[listen2]\n`)
  proxy.signal('SIGHUP')
  await expect.poll(() => reloads().length, patience).toBe(2)
  expect(reloads()[1]).toMatchObject({ ok: false, faults: [expect.stringContaining('listen2')] })
  expect(await recipientReply('b@other.test')).toBe('250')
  expect(await recipientReply('b@third.test')).toBe('550')

  expect(await running.says('second half\r\n.')).toMatch(/^250/)
  running.leave()
  expect(mailhost.messages.map(({ recipients }) => recipients)).toEqual([
    ['RCPT TO:<b@example.test>'],
  ])
})

test('signals during the start: SIGTERM ends in order, SIGHUP takes the configuration anew', async () => {
  await start('30s')
  proxy.signal('SIGTERM')
  expect(await proxy.ended()).toBe(0)
  const opened = () => recordsIn('log', 'store').length
  const before = opened()
  proxy.startAgain()
  await expect.poll(opened, { ...patience, interval: 10 }).toBeGreaterThan(before)
  proxy.rewrite((text) => text.replace('"example.test"', '"other.test"'))
  proxy.signal('SIGHUP')
  await expect.poll(() => recordsIn('log', 'reload'), patience).toMatchObject([{ ok: true }])
  expect(await recipientReply('b@other.test')).toBe('250')
})

test('SIGUSR1: after a rename of the log its name gets a new file, and no record is lost', async () => {
  await start('30s')
  await recipientReply('b@before.example')
  const refused = (file: string) =>
    recordsIn(file, 'verdict').map((one) => one['recipients_refused'])
  await expect.poll(() => refused('log'), patience).toEqual([['b@before.example']])
  renameSync(join(proxy.folder, 'log'), join(proxy.folder, 'log.1'))
  await recipientReply('b@between.example')
  await expect.poll(() => refused('log.1').length, patience).toBe(2)
  proxy.signal('SIGUSR1')
  const hasFile = () => {
    try {
      return recordsIn('log', 'verdict').length >= 0
    } catch {
      // Not there yet.
      return false
    }
  }
  await expect.poll(hasFile, patience).toBe(true)
  await recipientReply('b@after.example')
  await expect.poll(() => refused('log'), patience).toEqual([['b@after.example']])
  expect(refused('log.1')).toEqual([['b@before.example'], ['b@between.example']])
})

test('SIGTERM: a running transaction is finished, others and new clients get 421, status 0', async () => {
  await start('60s')
  const running = await clientInMessage()
  const idle = await SmtpClient.open(proxy.port)
  await idle.says('EHLO idle.example')
  proxy.signal('SIGTERM')
  await isStopping()
  expect(await idle.reply()).toMatch(/^421 4\.3\.2 /)
  await idle.closed()
  const late = await SmtpClient.open(proxy.port)
  expect(late.heard).toMatch(/^421 4\.3\.2 connect: shutting down, /)
  await late.closed()
  expect(await running.says('second half\r\n.')).toMatch(/^250/)
  expect(await running.reply()).toMatch(/^421 4\.3\.2 /)
  await running.closed()
  expect(await proxy.ended()).toBe(0)
  expect(mailhost.messages.length).toBe(1)
  expect(mailhost.messages[0]?.wire.toString()).toContain('first half\r\nsecond half\r\n')
  const verdicts = recordsIn('log', 'verdict').map(({ action, finding }) => [action, finding])
  expect(verdicts.sort()).toEqual([
    ['pass', ''],
    ['tempfail', 'stopping'],
  ])
})

test('stress that ends while the last transaction is finished: new clients hear why all the same', async () => {
  await start('60s', 4)
  const running = await clientInMessage()
  const idle: SmtpClient[] = []
  for (let number = 1; number <= 3; number++) {
    const client = await SmtpClient.open(proxy.port)
    await client.says('EHLO idle.example')
    idle.push(client)
  }
  const stress = () => recordsIn('log', 'service').filter(({ what }) => what === 'stress')
  await expect.poll(() => stress().length, patience).toBe(1)
  proxy.signal('SIGTERM')
  for (const client of idle) await client.closed()
  await expect.poll(() => stress().length, patience).toBe(2)
  const late = await SmtpClient.open(proxy.port)
  expect(late.heard).toMatch(/^421 4\.3\.2 connect: shutting down, /)
  await late.closed()
  expect(await running.says('second half\r\n.')).toMatch(/^250/)
  expect(await proxy.ended()).toBe(0)
})

test('a second SIGTERM ends it at once, whatever runs; the message is not taken', async () => {
  await start('10m')
  const running = await clientInMessage()
  proxy.signal('SIGTERM')
  await isStopping()
  proxy.signal('SIGTERM')
  expect(await proxy.ended()).toBe('SIGTERM')
  await running.closed()
  expect(running.heard).toMatch(/^354 [^\n]*\n$/m)
  expect(mailhost.messages).toEqual([])
})

test('listen.stop_wait bounds a transaction that does not end; status 0', async () => {
  await start('1s')
  const running = await clientInMessage()
  proxy.signal('SIGTERM')
  expect(await proxy.ended()).toBe(0)
  await running.closed()
  expect(mailhost.messages).toEqual([])
})
