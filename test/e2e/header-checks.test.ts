/**
 * The built-in header checks under the words of the configuration: each, as the only one switched
 * on, refuses what it is about, and a message in order passes. B22.
 */
import { expect, test } from 'vitest'
import { type HeaderCheck, headerChecks } from '../../src/checks/header-form.ts'
import { startRecordingMailhost } from '../support/recording-mailhost.ts'
import { startProxy } from '../support/running-proxy.ts'
import { SmtpClient } from '../support/smtp-client.ts'

const from = 'From: <a@client.example>\r\n'
const date = 'Date: Sat, 21 Nov 2026 23:00:00 +0000\r\n'
const id = 'Message-ID: <1@client.example>\r\n'
const whole = from + date + id

const headers: Readonly<Record<HeaderCheck, string>> = {
  'missing-from': date + id,
  'missing-date': from + id,
  'missing-message-id': from + date,
  'double-from': whole + from,
  'double-date': whole + date,
  'double-message-id': whole + id,
  'received-loop': whole + 'Received: from a by b; x\r\n'.repeat(11),
  'long-line': `${whole}X-Long: ${'x'.repeat(1000)}\r\n`,
  'forbidden-octet': `${whole}X-Odd: a\x07b\r\n`,
}

test.each(headerChecks)(
  'B22: checks = ["%s"] refuses, and the mailhost sees no DATA',
  async (check) => {
    const mailhost = await startRecordingMailhost()
    const tests = { headers: { mode: 'enforce', checks: [check], received_max: 10 } }
    const proxy = await startProxy([mailhost.port], { tests })
    try {
      const client = await SmtpClient.open(proxy.port)
      await client.says('EHLO client.example')
      const codes = check === 'received-loop' ? '554 5.4.6 headers: ' : '554 5.6.0 headers: '
      expect((await send(client, headers[check])).startsWith(codes)).toBe(true)
      expect(mailhost.commands).not.toContain('DATA')
      expect(await send(client, whole)).toMatch(/^250 /)
      expect(mailhost.messages.length).toBe(1)
      client.leave()
      const [refused, passed] = [{ layer: 'headers', finding: check }, { action: 'pass' }]
      await expect.poll(() => proxy.verdicts()).toMatchObject([refused, passed])
    } finally {
      await proxy.end()
      await mailhost.stop()
    }
  },
)

async function send(client: SmtpClient, header: string): Promise<string> {
  await client.saysAll('MAIL FROM:<a@client.example>', 'RCPT TO:<b@example.test>')
  expect(await client.says('DATA')).toMatch(/^354/)
  client.send(`${header}\r\nbody\r\n.\r\n`)
  return client.reply()
}
