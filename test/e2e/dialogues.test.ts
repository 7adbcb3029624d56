/**
 * Captured dialogues of clients through the whole proxy, for the domains that they write to, before
 * a mailhost that offers everything. Show 2 of the main job, promise 1.
 *
 * The mailhost numbers what it takes, so the numbers that a client hears are what it may believe:
 * they are those of the mailhost, each once and in order. Played in step, a client knows besides
 * what it has finished, and each such message lies at the mailhost octet by octet.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { capturedDialogues, inForm, recipientDomainsOf } from '../support/captured-dialogues.ts'
import { type CompletedMessage, DialoguePlayer } from '../support/dialogue-player.ts'
import { describeWith, needsSharedData } from '../support/needs.ts'
import {
  type RecordedMessage,
  type RecordingMailhost,
  startRecordingMailhost,
  usualKeywords,
} from '../support/recording-mailhost.ts'
import { startProxy, type TestProxy } from '../support/running-proxy.ts'
import { SmtpClient } from '../support/smtp-client.ts'

const captured = capturedDialogues()
const formed = captured
  .map((one) => ({ from: one, to: inForm(one) }))
  .filter(({ from, to }) => !from.octets.equals(to.octets))
  .map(({ to }) => to)
const dialogues = [...captured, ...formed]
const named = dialogues.map((one) => [one.name, one] as const)

/** Settings, and how many messages of the dialogues are taken under them, played in step once. */
const policies = [
  { stray: 'refuse', illegalPipelining: 'observe', messages: 38 },
  { stray: 'normalise', illegalPipelining: 'enforce', messages: 40 },
]

describeWith([needsSharedData()], 'captured dialogues', () => {
  describe.each(policies)('body.stray = $stray, illegal_pipelining = $illegalPipelining', (set) => {
    let mailhost: RecordingMailhost
    let proxy: TestProxy
    let taken = 0
    let delivered = 0

    beforeAll(async () => {
      mailhost = await startRecordingMailhost({
        keywords: [...usualKeywords, 'CHUNKING'],
        onMessage: () => `250 2.0.0 Recorded as ${taken++}`,
      })
      proxy = await startProxy([mailhost.port], {
        listen: { illegal_pipelining: set.illegalPipelining },
        recipients: { domains: ['protected.example', ...recipientDomainsOf(dialogues)] },
        body: { stray: set.stray },
        tests: { headers: { mode: 'off' } },
      })
    })

    afterAll(async () => {
      await proxy.end()
      await mailhost.stop()
    })

    test.each(named)('%s: at once, whole and in pieces', async (_, { octets }) => {
      for (const size of [octets.length, 7]) {
        const before = mailhost.messages.length
        const heard = await sendBlindly(proxy.port, octets, size)
        expect(numbersIn(heard)).toEqual(numbersFrom(before, mailhost))
        expect(clean(mailhost)).toBe(true)
        await proveService(proxy.port, mailhost)
      }
    })

    test.each(named)('%s: in step, and with its envelopes in one piece', async (_, one) => {
      for (const isGrouped of [false, true]) {
        const before = mailhost.messages.length
        const { client, completed, isAtCommand } = await DialoguePlayer.play(
          proxy.port,
          one,
          isGrouped,
        )
        // Who broke off or was turned away may still have its end to hear.
        if (!isAtCommand) {
          client.socket.end()
          await client.closed()
        }
        const messages = mailhost.messages.slice(before)
        expect(numbersIn(client.heard)).toEqual(numbersFrom(before, mailhost))
        expect(messages.length).toBe(completed.length)
        for (const [at, message] of messages.entries()) judgeContent(message, completed[at])
        expect(clean(mailhost)).toBe(true)
        delivered += completed.length
        if (isAtCommand) await transact(client, mailhost)
        client.leave()
        await proveService(proxy.port, mailhost)
      }
    })

    test('what a strict server takes was delivered, and no client is left', async () => {
      expect(delivered).toBe(2 * set.messages)
      await expect.poll(() => proxy.status().counters.plain.clients).toBe(0)
      expect(proxy.status().counters.plain.faults).toBe(0)
      expect(mailhost.messages.length).toBe(taken)
    })
  })
})

/** Sends octets without waiting for a reply, half-closes. @returns all that was answered. */
async function sendBlindly(port: number, octets: Buffer, size: number): Promise<string> {
  const client = await SmtpClient.open(port)
  for (let at = 0; at < octets.length && !client.isClosed; at += size) {
    const part = octets.subarray(at, at + size)
    await new Promise((resolve) => client.socket.write(part, resolve))
  }
  client.socket.end()
  await client.closed()
  return client.heard
}

/** Numbers of the messages that a client was told are taken. */
function numbersIn(heard: string): readonly number[] {
  return [...heard.matchAll(/^250 2\.0\.0 Recorded as (\d+)\r$/gm)].map(([, at]) => Number(at))
}

function numbersFrom(before: number, mailhost: RecordingMailhost): readonly number[] {
  return mailhost.messages.slice(before).map((_, at) => before + at)
}

/** No octet that could mean another thing to another server. */
function clean(mailhost: RecordingMailhost): boolean {
  return mailhost.sessions.every(
    ({ octets }) => !/\0|\r(?!\n)|(?<!\r)\n/.test(octets.toString('latin1')),
  )
}

/**
 * The message is the client's, octet by octet, behind our one header field; strays are as
 * `body.stray = "normalise"` leaves them, and no line ends it but the last.
 */
function judgeContent({ wire }: RecordedMessage, sent: CompletedMessage | undefined): void {
  const own = wire.toString('latin1').replace(/^Received: [^\n]*\n(?:[ \t][^\n]*\n)*/, '')
  const octets = sent?.octets ?? ''
  const whole = octets === '' || octets.endsWith('\r\n') ? octets : `${octets}\r\n`
  const stuffed = sent?.isChunked ? whole.replaceAll(/^\./gm, '..') : whole
  const wanted = stuffed
    .replaceAll(/(?<!\r)\n(\.?)/g, (_, dot: string) => `\r\n${dot}${dot}`)
    .replaceAll(/\r(?!\n)|\0/g, ' ')
    .replaceAll(/^\.\r$/gm, '..\r')
  expect(own).toBe(wanted)
}

/** A message of an honest client goes through, on this connection, in its turn and as it is. */
async function transact(client: SmtpClient, mailhost: RecordingMailhost): Promise<void> {
  const before = mailhost.messages.length
  expect(await client.says('RSET')).toMatch(/^250 /)
  expect(await client.says('EHLO honest.example')).toMatch(/^250-mx\.example\.test/)
  expect(await client.says('MAIL FROM:<honest@client.example>')).toMatch(/^250 2\.1\.0/)
  expect(await client.says('RCPT TO:<victim@protected.example>')).toMatch(/^250 /)
  expect(await client.says('DATA')).toMatch(/^354 /)
  const said = await client.says(`Subject: honest ${before}\r\n\r\nhello\r\n.`)
  expect(said).toBe(`250 2.0.0 Recorded as ${before}\r\n`)
  expect(await client.says('QUIT')).toMatch(/^221 /)
  expect(mailhost.messages.length).toBe(before + 1)
  expect(mailhost.messages[before]?.wire.toString('latin1')).toContain(`honest ${before}\r\n`)
}

async function proveService(port: number, mailhost: RecordingMailhost): Promise<void> {
  const client = await SmtpClient.open(port)
  await transact(client, mailhost)
  client.leave()
}
