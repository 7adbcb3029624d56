/**
 * All messages of the real data through the proxy to a mailhost that records what it gets.
 *
 * Given CRLF they arrive byte for byte, apart from our Received field; as stored they are refused
 * where they hold a bare LF, a bare CR or a NUL; with `body.stray = "normalise"` they arrive with
 * CRLF for a bare LF and a space for a bare CR or a NUL. Show 2 of the main job; B21.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { describeWith, needsSharedData, sharedData } from '../support/needs.ts'
import { type RecordingMailhost, startRecordingMailhost } from '../support/recording-mailhost.ts'
import { startProxy, type TestProxy, type Written } from '../support/running-proxy.ts'
import { SmtpClient } from '../support/smtp-client.ts'

describeWith([needsSharedData()], 'the 553 messages of the real data', () => {
  // Not in the suite's body, which runs where it is skipped too.
  let files: readonly string[] = []
  beforeAll(() => {
    files = listFiles(sharedData('messages'))
  })

  test('there are 553 of them', () => {
    expect(files.length).toBe(553)
  })

  test('given CRLF, each arrives byte for byte apart from our Received', async () => {
    const messages = files.map((file) => withCrlf(readFileSync(file)))
    await through({}, async (client, mailhost) => {
      for (const [at, message] of messages.entries()) {
        const reply = await sendMessage(client, stuffed(message))
        expect(reply, files[at]).toMatch(/^250/)
        expect(withoutReceived(mailhost.messages.at(-1)?.wire), files[at]).toEqual(stuffed(message))
      }
    })
  })

  test('as stored, what holds a stray octet is refused and nothing of it reaches the mailhost', async () => {
    await through({}, async (client, mailhost) => {
      for (const file of files) {
        const message = readFileSync(file)
        const before = mailhost.messages.length
        const reply = await sendMessage(client, stuffed(message))
        expect(reply, file).toMatch(isStray(message) ? /^554 5\.6\.0/ : /^250/)
        expect(mailhost.messages.length - before, file).toBe(isStray(message) ? 0 : 1)
      }
    })
  })

  test('as stored with normalise, each arrives without a stray octet', async () => {
    await through({ body: { stray: 'normalise' } }, async (client, mailhost) => {
      for (const file of files) {
        const message = readFileSync(file)
        expect(await sendMessage(client, stuffed(message)), file).toMatch(/^250/)
        const wire = mailhost.messages.at(-1)?.wire ?? Buffer.alloc(0)
        expect(isStray(wire), file).toBe(false)
        expect(withoutReceived(wire), file).toEqual(stuffed(normalised(ended(message))))
      }
    })
  })
})

async function through(
  changes: Written,
  run: (client: SmtpClient, mailhost: RecordingMailhost) => Promise<void>,
): Promise<void> {
  const mailhost = await startRecordingMailhost()
  const listen = { transactions_max: 0 }
  const tests = { headers: { mode: 'off' } }
  const proxy: TestProxy = await startProxy([mailhost.port], { listen, tests, ...changes })
  try {
    const client = await SmtpClient.open(proxy.port)
    await client.says('EHLO client.example')
    await run(client, mailhost)
    client.leave()
  } finally {
    await proxy.end()
    await mailhost.stop()
  }
}

async function sendMessage(client: SmtpClient, wire: Uint8Array): Promise<string> {
  await client.saysAll('MAIL FROM:<a@x.example> BODY=8BITMIME', 'RCPT TO:<b@example.test>')
  expect(await client.says('DATA')).toMatch(/^354/)
  client.send(wire)
  client.send('.\r\n')
  return client.reply()
}

function listFiles(folder: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

function withCrlf(message: Buffer): Buffer {
  const text = message.toString('latin1').replace(/\r\n|\r|\n/g, '\r\n')
  return Buffer.from(text, 'latin1')
}

/** A bare LF becomes CRLF, a bare CR and a NUL become a space. */
function normalised(message: Buffer): Buffer {
  const text = message.toString('latin1').replace(/\r(?!\n)|\0/g, ' ')
  return Buffer.from(text.replace(/(?<!\r)\n/g, '\r\n'), 'latin1')
}

/** Ended by CRLF, as the wire needs it. */
function ended(message: Buffer): Buffer {
  const text = message.toString('latin1')
  return text === '' || text.endsWith('\r\n') ? message : Buffer.from(`${text}\r\n`, 'latin1')
}

/** Dots doubled at line starts; ended by CRLF. */
function stuffed(message: Buffer): Buffer {
  const text = ended(message)
    .toString('latin1')
    .replace(/(^|\r\n)\./g, '$1..')
  return Buffer.from(text, 'latin1')
}

function isStray(message: Buffer): boolean {
  return /\0|\r(?!\n)|(?<!\r)\n/.test(message.toString('latin1'))
}

/** Our field stands first, and is folded. */
function withoutReceived(wire: Buffer | undefined): Buffer {
  const text = wire?.toString('latin1') ?? ''
  return Buffer.from(text.replace(/^Received: [^\r]*\r\n(?:[ \t][^\r]*\r\n)*/, ''), 'latin1')
}
