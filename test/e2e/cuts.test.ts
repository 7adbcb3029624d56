/**
 * The end-of-data and BDAT cases cut at every octet, through real sockets, plain and inside TLS:
 * gate, engine, journey and transfer as they serve. Judged by what the mailhost received; promise
 * 2.
 *
 * The two parts of a cut are written apart by a moment, so that they arrive as two reads; where
 * they do not, the promises hold all the same.
 */
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { adversarialCases } from '../support/adversarial.ts'
import { honestClientIsServed } from '../support/honest-client.ts'
import { describeWith, needsSharedData } from '../support/needs.ts'
import {
  type RecordingMailhost,
  startRecordingMailhost,
  usualKeywords,
} from '../support/recording-mailhost.ts'
import { startProxy, type TestProxy } from '../support/running-proxy.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { type Authority, makeAuthority } from '../tls/support/certificates.ts'

const worlds = [
  { stray: 'refuse', isSecured: false },
  { stray: 'normalise', isSecured: false },
  { stray: 'normalise', isSecured: true },
] as const

/** Sessions at once: each waits a moment between its two parts. */
const lanes = 16
const apartMs = 2

describeWith([needsSharedData()], 'cut at every octet', () => {
  for (const { stray, isSecured } of worlds) {
    describe(`body.stray = ${stray}${isSecured ? ', inside TLS' : ''}`, () => {
      let mailhost: RecordingMailhost
      let proxy: TestProxy
      let authority: Authority
      const open = () => (isSecured ? openSecured : SmtpClient.open)(proxy.port)

      beforeAll(async () => {
        authority = makeAuthority()
        const { certificateFile, keyFile } = authority.issue('mx.example.test')
        mailhost = await startRecordingMailhost({ keywords: [...usualKeywords, 'CHUNKING'] })
        proxy = await startProxy([mailhost.port], {
          recipients: { domains: ['protected.example'] },
          body: { stray },
          tests: { headers: { mode: 'off' } },
          tls: { certificate: certificateFile, key: keyFile },
        })
      })

      afterAll(async () => {
        await proxy.end()
        await mailhost.stop()
        authority.remove()
      })

      for (const { id, name, input } of adversarialCases('end-of-data')) {
        test(`end of data ${id} ${name}`, async () => {
          const isRealEnd = name === 'nul then real end'
          const before = mailhost.sessions.length
          await inLanes(input.length + 1, async (cut) => {
            await replayBody(await open(), `cut-${cut}@client.example`, input, cut)
          })
          for (let cut = 0; cut <= input.length; cut++) {
            const of = mailhost.messages.filter(({ mail }) => mail.includes(`<cut-${cut}@`))
            expect(of.length, `cut at ${cut}`).toBeLessThanOrEqual(1)
          }
          const smuggled = mailhost.commands.filter((line) => /smuggled|evil/.test(line))
          if (!isRealEnd) expect(smuggled).toEqual([])
          expectCleanOctets(mailhost, before)
          await honestClientIsServed(proxy.port)
          mailhost.forget()
        })
      }

      for (const { id, name, input } of adversarialCases('bdat')) {
        if (input.length > 1_000) continue
        test(`BDAT ${id} ${name}`, async () => {
          const before = mailhost.sessions.length
          const heard = new Set<string>()
          await inLanes(input.length + 1, async (cut) => {
            const client = await open()
            const before = client.heard.length
            await sendCut(client, input, cut)
            heard.add(client.heard.slice(before).replace(/, id=\w+/g, ''))
          })
          // How the octets were cut changes nothing that the client is told but the record's id.
          expect(heard.size).toBe(1)
          expectCleanOctets(mailhost, before)
          await honestClientIsServed(proxy.port)
          mailhost.forget()
        })
      }

      test('in the end no client is left and nothing of ours has failed', async () => {
        await expect.poll(() => proxy.status().counters.plain.clients).toBe(0)
        expect(proxy.status().counters.plain.faults).toBe(0)
      })
    })
  }
})

/** A client inside TLS, before its EHLO. */
async function openSecured(port: number): Promise<SmtpClient> {
  const plain = await SmtpClient.open(port)
  await plain.saysAll('EHLO client.example', 'STARTTLS')
  plain.socket.removeAllListeners('data')
  const socket = connectTls({ socket: plain.socket, rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  return new SmtpClient(socket)
}

/** Runs `work(0)` … `work(count - 1)`, some at once. */
async function inLanes(count: number, work: (at: number) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async () => {
    for (let at = next++; at < count; at = next++) await work(at)
  }
  await Promise.all(Array.from({ length: lanes }, lane))
}

async function replayBody(
  client: SmtpClient,
  sender: string,
  input: Uint8Array,
  cut: number,
): Promise<void> {
  await client.says('EHLO client.example')
  client.send(`MAIL FROM:<${sender}>\r\nRCPT TO:<victim@protected.example>\r\nDATA\r\n`)
  for (const want of [/^250/, /^250/, /^354/]) expect(await client.reply()).toMatch(want)
  await sendCut(client, input, cut)
}

/** Sends the two parts, half-closes and waits for the close: all that is owed is answered then. */
async function sendCut(client: SmtpClient, input: Uint8Array, cut: number): Promise<void> {
  client.send(input.subarray(0, cut))
  await sleep(apartMs)
  if (!client.isClosed) client.send(input.subarray(cut))
  client.socket.end()
  await client.closed()
}

function expectCleanOctets(mailhost: RecordingMailhost, before: number): void {
  for (const { octets } of mailhost.sessions.slice(Math.max(0, before - 1))) {
    expect(/\0|\r(?!\n)|(?<!\r)\n/.test(octets.toString('latin1'))).toBe(false)
  }
  for (const { recipients } of mailhost.messages) {
    for (const line of recipients) expect(line).toMatch(/^RCPT TO:<[^>]*@protected\.example>/i)
  }
}
