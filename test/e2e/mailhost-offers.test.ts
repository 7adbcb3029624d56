/**
 * What is offered is what the mailhosts offer, asked again when a session breaks; parameters are
 * passed on; routes by the recipient's domain, with fail-over inside a route. On the native
 * threads.
 */
import { expect, test } from 'vitest'
import { freePort } from '../support/ports.ts'
import { proxyScene } from '../support/proxy-scene.ts'
import { type RecordingMailhost, usualKeywords } from '../support/recording-mailhost.ts'
import type { TestProxy } from '../support/running-proxy.ts'
import { SmtpClient } from '../support/smtp-client.ts'

const message = 'Subject: x\r\n\r\nbody\r\n.'
const scene = proxyScene()

/** The keywords that a new client is told. */
async function offeredBy({ port }: TestProxy): Promise<readonly string[]> {
  const client = await SmtpClient.open(port)
  const said = await client.says('EHLO c.example')
  client.leave()
  return said
    .trimEnd()
    .split('\r\n')
    .slice(1)
    .map((line) => line.slice(4))
    .sort()
}

test('only what every mailhost offers, of what a proxy may offer at all (promise 13)', async () => {
  const own = ['AUTH PLAIN LOGIN', 'XCLIENT NAME', 'XFORWARD NAME', 'ETRN', 'STARTTLS', 'VRFY']
  const common = ['PIPELINING', 'SIZE 30000000', '8BITMIME', 'SMTPUTF8', 'DSN', 'CHUNKING']
  const rich = await scene.mailhost({ keywords: [...common, ...own, 'ENHANCEDSTATUSCODES'] })
  const poorer = await scene.mailhost({ keywords: ['PIPELINING', 'SIZE 20000000', ...own, 'DSN'] })
  expect(await offeredBy(await scene.proxyBefore([rich.port]))).toEqual([
    '8BITMIME',
    'CHUNKING',
    'DSN',
    'ENHANCEDSTATUSCODES',
    'PIPELINING',
    'SIZE 30000000',
    'SMTPUTF8',
  ])
  const both = await scene.proxyBefore([rich.port, poorer.port])
  expect(await offeredBy(both)).toEqual(['DSN', 'PIPELINING', 'SIZE 20000000'])
})

test('asked again when a session breaks: a mailhost that comes back with less is heard', async () => {
  const port = await freePort()
  const before = await scene.mailhost({ port, keywords: [...usualKeywords, 'CHUNKING'] })
  const proxy = await scene.proxyBefore([port])
  expect(await offeredBy(proxy)).toContain('CHUNKING')
  const client = await SmtpClient.open(proxy.port)
  await client.saysAll('EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@example.test>')
  await before.stop()
  await scene.mailhost({ port, keywords: ['PIPELINING', 'SIZE 1000'] })
  await expect
    .poll(() => offeredBy(proxy), { timeout: 20_000 })
    .toEqual(['PIPELINING', 'SIZE 1000'])
  client.leave()
  const other = await SmtpClient.open(proxy.port)
  const said = await other.saysAll('EHLO c.example', 'MAIL FROM:<a@x.example> BODY=8BITMIME')
  expect(said).toMatch(/^555 5\.5\.4/)
  expect(await other.says('MAIL FROM:<a@x.example> SIZE=1001')).toMatch(/^552 5\.3\.4/)
})

test('DSN, SIZE, BODY and SMTPUTF8 are passed on; what is malformed or not offered is not', async () => {
  const mailhost = await scene.mailhost({ keywords: usualKeywords })
  const client = await SmtpClient.open((await scene.proxyBefore([mailhost.port])).port)
  await client.says('EHLO c.example')
  expect(await client.says('MAIL FROM:<a@x.example> RET=ALL')).toMatch(/^501 5\.5\.4/)
  expect(await client.says('MAIL FROM:<a@x.example> ENVID=a+3d')).toMatch(/^501 5\.5\.4/)
  expect(await client.says('MAIL FROM:<a@x.example> MT-PRIORITY=9')).toMatch(/^555 5\.5\.4/)
  const dsn = 'size=200 BODY=8BITMIME RET=HDRS ENVID=QQ+2B314159 SMTPUTF8'
  await client.says(`MAIL FROM:<\xc3\xbc@x.example> ${dsn}`)
  expect(await client.says('RCPT TO:<b@example.test> NOTIFY=NEVER,DELAY')).toMatch(/^501/)
  const to = 'RCPT TO:<b@example.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c+2Bd@example.org'
  expect(await client.says(to)).toMatch(/^250/)
  await client.says('DATA')
  expect(await client.says(message)).toMatch(/^250/)
  client.leave()
  const [got] = mailhost.messages
  expect(got?.mail).toBe(
    'MAIL FROM:<\xc3\xbc@x.example> SIZE=200 BODY=8BITMIME RET=HDRS ENVID=QQ+2B314159 SMTPUTF8',
  )
  expect(got?.recipients).toEqual([to])
  expect(got?.wire.toString()).toContain('with UTF8SMTP id')
})

test('routes by the recipient’s domain, fail-over inside a route, one route a transaction', async () => {
  const usual = await scene.mailhost()
  const away = await freePort()
  const other = await scene.mailhost()
  const proxy = await scene.proxyBefore([usual.port], {
    recipients: { domains: ['example.test', 'example.org', '*.example.org'] },
    mailhost: {
      addresses: [`127.0.0.1:${usual.port}`],
      route: [
        {
          domains: ['example.org', '*.example.org'],
          addresses: [`127.0.0.1:${away}`, `127.0.0.1:${other.port}`],
        },
      ],
    },
  })
  const client = await SmtpClient.open(proxy.port)
  await client.says('EHLO c.example')
  for (const address of ['b@example.test', 'b@EXAMPLE.org', 'b@a.example.org']) {
    await client.saysAll('MAIL FROM:<a@x.example>', `RCPT TO:<${address}>`, 'DATA')
    expect(await client.says(message)).toMatch(/^250/)
  }
  const recipientsOf = (mailhost: RecordingMailhost) =>
    mailhost.messages.flatMap(({ recipients }) => recipients)
  expect(recipientsOf(usual)).toEqual(['RCPT TO:<b@example.test>'])
  expect(recipientsOf(other)).toEqual(['RCPT TO:<b@EXAMPLE.org>', 'RCPT TO:<b@a.example.org>'])
  await client.saysAll('MAIL FROM:<a@x.example>', 'RCPT TO:<b@example.test>')
  expect(await client.says('RCPT TO:<b@example.org>')).toMatch(/^451 4\.5\.3/)
  await client.says('DATA')
  expect(await client.says(message)).toMatch(/^250/)
  expect(recipientsOf(other).length).toBe(2)
  expect(proxy.status().mailhosts.map(({ address }) => address)).toEqual(
    [usual.port, away, other.port].map((port) => `127.0.0.1:${port}`),
  )
  client.leave()
})

test('five refusals retire a session: the next transaction gets another', async () => {
  const mailhost = await scene.mailhost({
    answer: (line) => (line.includes('<nobody') ? '550 5.1.1 no such user' : undefined),
  })
  const client = await SmtpClient.open((await scene.proxyBefore([mailhost.port])).port)
  await client.saysAll('EHLO c.example', 'MAIL FROM:<a@x.example>')
  for (let at = 0; at < 5; at++) {
    expect(await client.says(`RCPT TO:<nobody${at}@example.test>`)).toMatch(/^550/)
  }
  await client.saysAll('RSET', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@example.test>', 'DATA')
  expect(await client.says(message)).toMatch(/^250/)
  client.leave()
  const carriers = mailhost.sessions.filter(({ commands }) =>
    commands.some((it) => /^RCPT/.test(it)),
  )
  expect(carriers.length).toBe(2)
  expect(carriers[0]?.commands.at(-1)).toBe('QUIT')
})
