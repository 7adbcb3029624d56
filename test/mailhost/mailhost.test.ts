import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { MaildirMessage } from '../../src/mailhost/maildir.ts'
import { type Mailhost, startMailhost } from '../../src/mailhost/mailhost.ts'

let folder = ''
let mailhost: Mailhost

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-mailhost-'))
  mailhost = await startMailhost({
    address: '127.0.0.1',
    port: 0,
    folder,
    sizeOctetsMax: 100_000,
  })
})

afterEach(async () => {
  await mailhost.stop()
  rmSync(folder, { recursive: true })
})

/** Sends all octets in pieces of one size and reads until the mailhost closes. */
async function converse(input: string, piece: number): Promise<string> {
  const socket = connect(mailhost.port, mailhost.address)
  let heard = ''
  socket.setEncoding('latin1').on('data', (text: string) => {
    heard += text
  })
  await once(socket, 'connect')
  for (let at = 0; at < input.length; at += piece) {
    await new Promise((resolve) => socket.write(input.slice(at, at + piece), 'latin1', resolve))
  }
  await once(socket, 'close')
  return heard
}

const envelope = 'EHLO p\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n'

for (const piece of [1, 7, 100_000]) {
  test(`a message is filed whole, its dots unstuffed, sent ${piece} octets at a time`, async () => {
    const heard = await converse(
      `${envelope}Subject: x\r\n\r\n..dot\r\n.\nno end\r\n.\r\nQUIT\r\n`,
      piece,
    )
    expect(heard).toContain('250 2.0.0 Filed\r\n221')
    const [name = ''] = readdirSync(join(folder, 'new'))
    expect(readFileSync(join(folder, 'new', name), 'latin1')).toBe(
      'Return-Path: <a@x>\nDelivered-To: b@y\nSubject: x\n\n.dot\n\nno end\n',
    )
    expect(readdirSync(join(folder, 'tmp'))).toEqual([])
  })
}

test('an empty message ends at once, and too much is refused and not filed', async () => {
  const big = `${'x'.repeat(998)}\r\n`.repeat(101)
  const heard = await converse(`${envelope}.\r\n${envelope}${big}.\r\nQUIT\r\n`, 100_000)
  expect(heard).toContain('250 2.0.0 Filed')
  expect(heard).toContain('552 5.3.4')
  expect(mailhost.delivered()).toBe(1)
})

test('a connection that breaks inside a message leaves nothing behind', async () => {
  const socket = connect(mailhost.port, mailhost.address)
  socket.write(`${envelope}half`)
  let heard = ''
  for await (const chunk of socket) {
    heard += String(chunk)
    if (heard.includes('354')) break
  }
  socket.destroy()
  await expect.poll(() => readdirSync(join(folder, 'tmp')).length).toBe(0)
  expect(readdirSync(join(folder, 'new'))).toEqual([])
})

test('a write that the disk takes in parts is finished', async () => {
  const file = await open(join(folder, 'parts'), 'w')
  const inParts: FileHandle = Object.assign(Object.create(file), {
    write: (octets: Uint8Array, at: number, length: number) =>
      file.write(octets, at, Math.min(3, length)),
  })
  await new MaildirMessage(folder, 'parts', inParts).write(Buffer.from('a\r\nbcdefgh\r\n'))
  await file.close()
  expect(readFileSync(join(folder, 'parts'), 'latin1')).toBe('a\nbcdefgh\n')
})
