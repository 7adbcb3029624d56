/**
 * Hostile client octets through the whole proxy, judged by what the mailhost received.
 *
 * Promises: nothing smuggled; no bare CR, bare LF or NUL at the mailhost; no recipient that is not
 * ours; after each case an honest client is served and no session or connection is left over.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { adversarialCases } from '../support/adversarial.ts'
import { honestClientIsServed } from '../support/honest-client.ts'
import { describeWith, needsSharedData } from '../support/needs.ts'
import { type RecordingMailhost, startRecordingMailhost } from '../support/recording-mailhost.ts'
import { startProxy, type TestProxy } from '../support/running-proxy.ts'
import { SmtpClient } from '../support/smtp-client.ts'

/** Cases whose inputs hold markers for steps of TLS are those of the TLS suites. */
const areas = [
  'end-of-data',
  'bdat',
  'pipelining',
  'lines-8bit',
  'injection',
  'relay-forms',
] as const
const strays = ['refuse', 'normalise'] as const

describeWith([needsSharedData()], 'hostile clients', () => {
  for (const stray of strays) {
    describe(`body.stray = ${stray}`, () => {
      let mailhost: RecordingMailhost
      let proxy: TestProxy

      beforeAll(async () => {
        mailhost = await startRecordingMailhost()
        proxy = await startProxy([mailhost.port], {
          recipients: { domains: ['protected.example'] },
          body: { stray },
          tests: { headers: { mode: 'off' } },
        })
      })

      afterAll(async () => {
        await proxy.end()
        await mailhost.stop()
      })

      for (const area of areas) {
        for (const { id, name, kind, input } of adversarialCases(area)) {
          if (kind !== 'bytes') continue
          test(`${id} ${name}`, async () => {
            const before = mailhost.messages.length
            const commandsBefore = mailhost.commands.length
            for (const piece of [input.length, 7]) {
              await replay(proxy.port, input, area === 'end-of-data', piece)
            }
            judgeMailhost(mailhost, before)
            if (area === 'end-of-data' && !name.includes('real end')) {
              expect(mailhost.messages.length - before).toBeLessThanOrEqual(2)
              const commands = mailhost.commands.slice(commandsBefore)
              expect(commands.filter((line) => /smuggled/.test(line))).toEqual([])
            }
            await honestClientIsServed(proxy.port)
          })
        }
      }

      test('in the end no client is left', async () => {
        await expect.poll(() => proxy.status().counters.plain.clients).toBe(0)
        expect(proxy.status().counters.plain.faults).toBe(0)
      })
    })
  }
})

/** Sends octets in pieces, half-closes, and waits until the proxy has answered and closed. */
async function replay(
  port: number,
  input: Uint8Array,
  isBody: boolean,
  piece: number,
): Promise<void> {
  const client = await SmtpClient.open(port)
  if (isBody) {
    await client.saysAll(
      'EHLO client.example',
      'MAIL FROM:<a@client.example>',
      'RCPT TO:<victim@protected.example>',
      'DATA',
    )
  }
  for (let at = 0; at < input.length && !client.isClosed; at += piece) {
    const part = input.subarray(at, at + piece)
    await new Promise((resolve) => client.socket.write(part, resolve))
  }
  client.socket.end()
  await client.closed()
}

/** What holds for every octet that the mailhost gets. */
function judgeMailhost(mailhost: RecordingMailhost, before: number): void {
  for (const { octets } of mailhost.sessions) {
    expect(/\0|\r(?!\n)|(?<!\r)\n/.test(octets.toString('latin1'))).toBe(false)
  }
  for (const { recipients } of mailhost.messages.slice(before)) {
    for (const line of recipients)
      expect(line).toMatch(/^RCPT TO:<[^>]*@protected\.example>|<postmaster>/i)
  }
}
