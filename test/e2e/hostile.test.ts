/**
 * Hostile client octets through the whole proxy, judged by what the mailhost received.
 *
 * Promises: nothing smuggled; no bare CR, bare LF or NUL at the mailhost; no recipient that is not
 * ours; after each case an honest client is served and no session or connection is left over.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { adversarialCases, plainAreas } from '../support/adversarial.ts'
import { codesOf, type Demand, demands } from '../support/adversarial-demands.ts'
import { honestClientIsServed } from '../support/honest-client.ts'
import { judgeMailhost } from '../support/judge-mailhost.ts'
import { describeWith, needsSharedData } from '../support/needs.ts'
import {
  type RecordingMailhost,
  startRecordingMailhost,
  usualKeywords,
} from '../support/recording-mailhost.ts'
import { startProxy, type TestProxy } from '../support/running-proxy.ts'
import { SmtpClient } from '../support/smtp-client.ts'

const strays = ['refuse', 'normalise'] as const

describeWith([needsSharedData()], 'hostile clients', () => {
  for (const stray of strays) {
    describe(`body.stray = ${stray}`, () => {
      let mailhost: RecordingMailhost
      let proxy: TestProxy

      beforeAll(async () => {
        mailhost = await startRecordingMailhost({ keywords: [...usualKeywords, 'CHUNKING'] })
        proxy = await startProxy([mailhost.port], {
          recipients: { domains: ['protected.example'], max: 100 },
          body: { stray },
          tests: { headers: { mode: 'off' } },
        })
      })

      afterAll(async () => {
        await proxy.end()
        await mailhost.stop()
      })

      for (const area of plainAreas) {
        for (const { id, name, kind, input } of adversarialCases(area)) {
          const demand = demands[id]
          if (kind !== 'bytes' || demand === undefined) continue
          test(`${id} ${name}`, async () => {
            const before = mailhost.messages.length
            const commandsBefore = mailhost.commands.length
            const octets = withoutMarker(input)
            for (const piece of [octets.length, 7]) {
              const said = await replay(proxy.port, octets, demand.isBody === true, piece)
              expectReplies(demand, stray, said)
            }
            judgeMailhost(mailhost, before)
            const messages = demand.messages?.[stray === 'normalise' ? 1 : 0] ?? 0
            if (isUsual(demand)) expect(mailhost.messages.length - before).toBe(2 * messages)
            if (area === 'end-of-data' && !name.includes('real end')) {
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

/** A mailhost of its own kind is given to the others in test/journey/adversarial.test.ts. */
function isUsual({ withoutKeywords, deliveryReply }: Demand): boolean {
  return withoutKeywords === undefined && deliveryReply === undefined
}

function expectReplies(demand: Demand, stray: (typeof strays)[number], said: string): void {
  const want = (stray === 'normalise' && demand.normalised) || demand.replies
  if (isUsual(demand)) expect(codesOf(said)).toBe(want)
  else expect(codesOf(said)).toMatch(/^\d{3}/)
}

/** The client ends its side behind every case. */
function withoutMarker(input: Uint8Array): Buffer {
  return Buffer.from(Buffer.from(input).toString('latin1').replace('<FIN>', ''), 'latin1')
}

/**
 * Sends octets in pieces, half-closes, and waits until the proxy has answered and closed.
 * @returns what was said to them.
 */
async function replay(
  port: number,
  input: Uint8Array,
  isBody: boolean,
  piece: number,
): Promise<string> {
  const client = await SmtpClient.open(port)
  if (isBody) {
    await client.saysAll(
      'EHLO client.example',
      'MAIL FROM:<a@client.example>',
      'RCPT TO:<victim@protected.example>',
      'DATA',
    )
  }
  const heard = client.heard.length
  for (let at = 0; at < input.length && !client.isClosed; at += piece) {
    const part = input.subarray(at, at + piece)
    await new Promise((resolve) => client.socket.write(part, resolve))
  }
  client.socket.end()
  await client.closed()
  return client.heard.slice(heard)
}
