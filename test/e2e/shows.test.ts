/**
 * Mechanisms of the main job on the running service: B1, B22, B24.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { proxyScene } from '../support/proxy-scene.ts'
import type { RecordingMailhost } from '../support/recording-mailhost.ts'
import { testConfig } from '../support/running-proxy.ts'
import { SmtpClient } from '../support/smtp-client.ts'

const scene = proxyScene()
let mailhost: RecordingMailhost

beforeEach(async () => {
  mailhost = await scene.mailhost()
})

function envelopeOf(name: string): readonly string[] {
  return ['EHLO c.example', `MAIL FROM:<${name}@x.example>`, 'RCPT TO:<b@example.test>', 'DATA']
}

test('B1: 60 clients at once are independent: every third breaks off, the others’ messages are their own', async () => {
  const proxy = await scene.proxyBefore([mailhost.port], { listen: { workers: 2 } })
  const one = async (at: number) => {
    const client = await SmtpClient.open(proxy.port)
    expect(await client.saysAll(...envelopeOf(`s${at}`))).toMatch(/^354/)
    const lines = Array.from({ length: 200 }, (_, line) => `client ${at} line ${line}\r\n`)
    client.send(`Subject: ${at}\r\n\r\n${lines.slice(0, 100).join('')}`)
    if (at % 3 === 0) {
      client.socket.resetAndDestroy()
      return
    }
    client.send(`${lines.slice(100).join('')}.\r\n`)
    expect(await client.reply()).toMatch(/^250/)
    client.leave()
  }
  await Promise.all(Array.from({ length: 60 }, (_, at) => one(at)))
  expect(mailhost.messages.length).toBe(40)
  for (const { mail, wire } of mailhost.messages) {
    const own = /<s(\d+)@/.exec(mail)?.[1]
    const lines = wire.toString('latin1').match(/^client \d+ line \d+$/gm) ?? []
    expect(lines).toEqual(Array.from({ length: 200 }, (_, line) => `client ${own} line ${line}`))
  }
  await expect.poll(() => proxy.verdicts().length).toBe(60)
  expect(proxy.status().counters.plain.faults).toBe(0)
})

test('B24: at level connections each client leaves connect and disconnect, each message a transfer', async () => {
  const proxy = await scene.proxyBefore([mailhost.port], { log: { level: 'connections' } })
  const idle = await SmtpClient.open(proxy.port)
  await idle.saysAll('EHLO idle.example', 'NOOP', 'QUIT')
  await idle.closed()
  const client = await SmtpClient.open(proxy.port)
  await client.saysAll('EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@example.test>')
  await client.saysAll('DATA', 'Subject: x\r\n\r\nx\r\n.', 'QUIT')
  await client.closed()
  const wanted = ['connect', 'disconnect', 'connect', 'transfer', 'verdict', 'disconnect']
  const records = () => proxy.records().filter(({ event }) => wanted.includes(String(event)))
  await expect
    .poll(() =>
      records()
        .map(({ event }) => event)
        .sort(),
    )
    .toEqual([...wanted].sort())
  const of = (event: string) => records().filter((one) => one['event'] === event)
  expect(of('transfer')).toMatchObject([
    { id: of('verdict')[0]?.['id'], mailhost: `127.0.0.1:${mailhost.port}`, octets: 17 },
  ])
  expect(of('disconnect').map(({ transactions }) => transactions)).toEqual([0, 1])
})

test('B22, B24: one verdict a transaction or refused connection, whatever its end; none for others', async () => {
  const proxy = await scene.proxyBefore([mailhost.port])
  const black = join(proxy.folder, 'black.txt')
  const rules = join(proxy.folder, 'rules.txt')
  writeFileSync(black, '127.0.0.9\n')
  writeFileSync(rules, 'Subject: /lottery/ refuse\n')
  const changes = {
    lists: { allow_loopback: true, blacklist: [{ name: 'black', file: black }] },
    tests: { headers: { mode: 'enforce', rules, checks: [] } },
  }
  await proxy.reload(testConfig([mailhost.port], changes, proxy.folder))

  const listed = await SmtpClient.open(proxy.port, '127.0.0.9')
  await listed.closed()
  const client = await SmtpClient.open(proxy.port)
  await client.saysAll(...envelopeOf('delivered'))
  expect(await client.says('Subject: hello\r\n\r\nSubject: lottery\r\n.')).toMatch(/^250/)
  await client.saysAll(...envelopeOf('filtered'))
  expect(await client.says('Subject: lottery\r\n\r\nhello\r\n.')).toMatch(/^554 5\.6\.0/)
  await client.saysAll('MAIL FROM:<reset@x.example>', 'RCPT TO:<b@elsewhere.example>', 'RSET')
  await client.saysAll('MAIL FROM:<quit@x.example>', 'QUIT')
  await client.closed()
  const gone = await SmtpClient.open(proxy.port)
  await gone.saysAll(...envelopeOf('gone'))
  gone.leave()
  const idle = await SmtpClient.open(proxy.port)
  await idle.saysAll('EHLO idle.example', 'NOOP', 'QUIT')
  await idle.closed()

  const told = () =>
    proxy.verdicts().map(({ sender, layer, action, finding }) => [sender, layer, action, finding])
  await expect.poll(() => told().length).toBe(6)
  expect(told().sort()).toEqual(
    [
      ['', 'connect', 'refuse', 'blacklist'],
      ['delivered@x.example', 'transfer', 'pass', ''],
      ['filtered@x.example', 'headers', 'refuse', expect.any(String)],
      ['gone@x.example', 'protocol', 'drop', 'client-gone'],
      ['quit@x.example', 'protocol', 'drop', 'quit'],
      ['reset@x.example', 'recipient', 'refuse', 'relay-denied'],
    ].sort(),
  )
  expect(new Set(proxy.verdicts().map(({ id }) => id)).size).toBe(6)
})
