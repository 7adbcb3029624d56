/**
 * A Postfix that exempts our address from its own guard against bare line feeds, as it does by
 * default for `mynetworks`: what the proxy passes on decides alone whether a message is smuggled.
 */
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeWith, needsProgram, needsRoot } from '../support/needs.ts'
import { type Postfix, startPostfix } from '../support/postfix.ts'
import { startProxy, type TestProxy } from '../support/running-proxy.ts'
import { SmtpClient } from '../support/smtp-client.ts'

const ends = ['\n.\r\n', '\n.\n', '\r\n.\n', '\r.\r\n', '\r\n\0.\r\n'] as const
const envelope = ['EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@example.test>', 'DATA']

/** A body that is two messages to whom `end` is an end of data. */
function smuggling(end: string): string {
  const inner =
    'MAIL FROM:<smuggled@evil.example>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n' +
    'Subject: SMUGGLED\r\n\r\nowned'
  return `Subject: outer\r\n\r\nline one${end}${inner}\r\n.\r\n`
}

describeWith([needsProgram('postfix'), needsRoot()], 'a mailhost that exempts the proxy', () => {
  let postfix: Postfix

  beforeAll(async () => {
    postfix = await startPostfix([
      'smtpd_forbid_bare_newline = yes',
      'smtpd_forbid_bare_newline_exclusions = $mynetworks',
    ])
  })

  afterAll(() => postfix.remove())

  const smuggled = () =>
    postfix.messages().filter((text) => text.includes('Return-Path: <smuggled@evil.example>'))

  test('sent to it past the proxy, LF.CRLF smuggles: the trap is real', async () => {
    const client = new SmtpClient(connect(postfix.port, '127.0.0.1'))
    await client.reply()
    await client.saysAll(...envelope)
    client.send(smuggling('\n.\r\n'))
    await expect.poll(() => smuggled().length, { timeout: 20_000 }).toBe(1)
    client.leave()
  })

  for (const stray of ['refuse', 'normalise'] as const) {
    describe(`behind the proxy, body.stray = ${stray}`, () => {
      let proxy: TestProxy

      beforeAll(async () => {
        proxy = await startProxy([postfix.port], { body: { stray } })
      })

      afterAll(() => proxy.end())

      test(`transfer-046: no stray octet reaches it, ${stray}`, async () => {
        const before = smuggled().length
        for (const [at, end] of ends.entries()) {
          const client = await SmtpClient.open(proxy.port)
          await client.saysAll(...envelope)
          client.send(smuggling(end))
          expect(await client.reply()).toMatch(stray === 'refuse' ? /^554 5\.6\.0 / : /^250 /)
          client.leave()
          const honest = await SmtpClient.open(proxy.port)
          await honest.saysAll(...envelope)
          const said = await honest.says(`Subject: honest ${stray} ${at}\r\n\r\nhello\r\n.`)
          expect(said).toMatch(/^250/)
          honest.leave()
        }
        const count = (text: string) =>
          postfix.messages().filter((message) => message.includes(text)).length
        await expect.poll(() => count(`honest ${stray}`), { timeout: 20_000 }).toBe(ends.length)
        const isRefused = stray === 'refuse'
        // Taken whole, the inner commands are lines of the one message.
        await expect.poll(() => count('RCPT TO:<b@example.test>')).toBe(isRefused ? 0 : ends.length)
        expect(smuggled().length).toBe(before)
      })
    })
  }
})
