/**
 * Mailhosts that misbehave, on the native threads: what the client is told, and that nothing is
 * acknowledged which the mailhost has not. The transfer cases beside the project, by their numbers.
 */
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { freePort } from '../support/ports.ts'
import { proxyScene } from '../support/proxy-scene.ts'
import type { RecordingMailhost, RecordingOptions } from '../support/recording-mailhost.ts'
import type { TestProxy, Written } from '../support/running-proxy.ts'
import { SmtpClient } from '../support/smtp-client.ts'

const message = 'Subject: x\r\n\r\nbody\r\n.'
const envelope = ['EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@example.test>']

const scene = proxyScene()

async function before(
  options: RecordingOptions,
  changes: Written = {},
): Promise<{ mailhost: RecordingMailhost; proxy: TestProxy; client: SmtpClient }> {
  const mailhost = await scene.mailhost(options)
  const proxy = await scene.proxyBefore([mailhost.port], changes)
  return { mailhost, proxy, client: await SmtpClient.open(proxy.port) }
}

test('transfer-033: 451 after the dot is the client’s 451, and nothing is tried again', async () => {
  const { mailhost, proxy, client } = await before({ onMessage: () => '451 4.3.0 disk is busy' })
  await client.saysAll(...envelope, 'DATA')
  expect(await client.says(message)).toBe('451 4.3.0 disk is busy\r\n')
  expect(mailhost.messages.length).toBe(1)
  const verdict = {
    layer: 'transfer',
    action: 'tempfail',
    mailhost_reply: '451 4.3.0 disk is busy',
  }
  await expect.poll(() => proxy.verdicts()).toMatchObject([verdict])
})

test('a mailhost that is mute at the start: served all the same, 451, and mail once it speaks', async () => {
  let isMute = true
  const answer = (command: string) => (isMute && command.startsWith('EHLO') ? '' : undefined)
  const { mailhost, client } = await before({ answer }, { mailhost: { wait: '500ms' } })
  await client.saysAll('EHLO c.example', 'MAIL FROM:<a@x.example>')
  expect(await client.says('RCPT TO:<b@example.test>')).toMatch(/^451 4\.4\.1 /)
  isMute = false
  for (const { socket } of mailhost.sessions) socket.write('250-mailhost\r\n250 PIPELINING\r\n')
  const again = () => client.says('RCPT TO:<b@example.test>')
  await expect.poll(again, { timeout: 20_000 }).toMatch(/^250 /)
  await client.says('DATA')
  expect(await client.says(message)).toMatch(/^250 /)
  expect(mailhost.messages).toHaveLength(1)
})

test('transfer-034: a late 250 is waited for; beyond final_reply_wait it is 451, not 250', async () => {
  let late: (() => void) | undefined
  const { client } = await before({
    onMessage: (_message, { socket }) => {
      late = () => socket.write('250 2.0.0 at last\r\n')
      return ''
    },
  })
  await client.saysAll(...envelope, 'DATA')
  client.send(`${message}\r\n`)
  await expect.poll(() => late).toBeDefined()
  late?.()
  expect(await client.reply()).toBe('250 2.0.0 at last\r\n')

  const silent = await before({ onMessage: () => '' }, { mailhost: { final_reply_wait: '1s' } })
  await silent.client.saysAll(...envelope, 'DATA')
  expect(await silent.client.says(message)).toMatch(/^451 4\.4\.2/)
})

test('transfer-036: a client that is gone after its dot: one message at the mailhost, and the record', async () => {
  let answer: (() => void) | undefined
  const { mailhost, proxy, client } = await before({
    onMessage: (_message, { socket }) => {
      answer = () => socket.write('250 2.0.0 taken\r\n')
      return ''
    },
  })
  await client.saysAll(...envelope, 'DATA')
  client.send(`${message}\r\n`)
  await expect.poll(() => answer).toBeDefined()
  client.leave()
  await expect.poll(() => proxy.status().counters.plain.clients).toBe(0)
  answer?.()
  await expect.poll(() => proxy.verdicts().length).toBe(1)
  expect(mailhost.messages.length).toBe(1)
})

test('transfer-039: a 250 that comes with the 354 acknowledges nothing', async () => {
  const { client } = await before({
    answer: (line) => (line === 'DATA' ? '354 go on\r\n250 2.0.0 done' : undefined),
    onMessage: () => '',
  })
  await client.saysAll(...envelope, 'DATA')
  expect(await client.says(message)).toMatch(/^451 4\.4\./)
})

test('transfer-040: a reply cut anywhere, and one of many lines, are read as what they are', async () => {
  const { client } = await before({
    onMessage: (_message, { socket }) => {
      const pieces = ['25', '0-2.0.0 first\r', '\n250-2.0.0 sec', 'ond\r\n250', ' 2.0.0 last\r\n']
      const next = (): void => {
        const piece = pieces.shift()
        if (piece !== undefined) socket.write(piece, () => setTimeout(next, 5))
      }
      next()
      return ''
    },
  })
  await client.saysAll(...envelope, 'DATA')
  expect(await client.says(message)).toBe(
    '250-2.0.0 first\r\n250-2.0.0 second\r\n250 2.0.0 last\r\n',
  )
})

test('transfer-043: recipients 1 and 3 taken, 2 refused: replies in order, delivered to two', async () => {
  const { mailhost, client } = await before({
    answer: (line) => (line.includes('<two@') ? '550 5.1.1 no such user' : undefined),
  })
  await client.saysAll('EHLO c.example', 'MAIL FROM:<a@x.example>')
  client.send(['one', 'two', 'three'].map((to) => `RCPT TO:<${to}@example.test>\r\n`).join(''))
  expect([await client.reply(), await client.reply(), await client.reply()]).toEqual([
    '250 2.0.0 Ok\r\n',
    '550 5.1.1 no such user\r\n',
    '250 2.0.0 Ok\r\n',
  ])
  await client.says('DATA')
  expect(await client.says(message)).toMatch(/^250/)
  expect(mailhost.messages[0]?.recipients).toEqual([
    'RCPT TO:<one@example.test>',
    'RCPT TO:<three@example.test>',
  ])
})

test('transfer-044: no mailhost at start: said by 451 4.4.1, and it recovers by itself', async () => {
  const port = await freePort()
  const proxy = await scene.proxyBefore([port], { listen: { workers: 1 } })
  const client = await SmtpClient.open(proxy.port)
  expect(await client.saysAll(...envelope)).toMatch(/^451 4\.4\.1/)
  await scene.mailhost({ port })
  const asked = async () => client.saysAll('RSET', ...envelope.slice(1))
  await expect.poll(asked, { timeout: 20_000 }).toMatch(/^250/)
  await client.says('DATA')
  expect(await client.says(message)).toMatch(/^250/)
  client.leave()
  expect(proxy.status().counters.plain.faults).toBe(0)
  const told = () => proxy.records().filter(({ what }) => what === 'mailhost')
  await expect
    .poll(() => told().map(({ detail }) => detail))
    .toEqual([
      `127.0.0.1:${port} cannot be reached; mail waits with its senders`,
      `127.0.0.1:${port} is back`,
      `127.0.0.1:${port} offers no XFORWARD: it learns of clients from Received: alone`,
    ])
})

test('a mailhost that stops inside the body: 451 at the end, no message, the next one goes', async () => {
  const { mailhost, proxy, client } = await before({})
  await client.saysAll(...envelope, 'DATA')
  client.send(`Subject: x\r\n\r\n${'x'.repeat(70)}\r\n`)
  await expect.poll(() => mailhost.commands).toContain('DATA')
  const carrier = mailhost.sessions.find(({ commands }) => commands.includes('DATA'))
  carrier?.socket.destroy()
  expect(await client.says('the rest\r\n.')).toMatch(/^451 4\.4\.1/)
  expect(mailhost.messages).toEqual([])
  await client.saysAll(...envelope.slice(1), 'DATA')
  expect(await client.says(message)).toMatch(/^250/)
  await expect
    .poll(() => proxy.verdicts().map(({ action }) => action))
    .toEqual(['tempfail', 'pass'])
})

test('a mailhost that closes at the dot without a word: 451, since nobody knows', async () => {
  const { client } = await before({ onMessage: () => 'close' })
  await client.saysAll(...envelope, 'DATA')
  expect(await client.says(message)).toMatch(/^451 4\.4\.2/)
})

const nonsense: readonly { readonly label: string; readonly reply: string }[] = [
  { label: 'an endless line', reply: `250 ${'x'.repeat(100_000)}` },
  { label: 'endless lines', reply: '250-more\r\n'.repeat(10_000) },
  { label: 'no code', reply: 'HTTP/1.1 400 Bad Request' },
  { label: 'a code that is none', reply: '999 what' },
  { label: 'lines of two codes', reply: '250-yes\r\n550 no' },
  { label: 'octets that are no text', reply: '250 \0\u001b[2J\u0007' },
  { label: 'a bare line feed', reply: '250 ok\n550 no' },
]

for (const { label, reply } of nonsense) {
  test(`a mailhost’s reply at the dot that is ${label}: no octet of it harms the client`, async () => {
    const { proxy, client } = await before({ onMessage: () => reply })
    await client.saysAll(...envelope, 'DATA')
    const said = await client.says(message)
    expect(said).toMatch(/^(?:\d{3}[- ][\x20-\x7e]*\r\n)+$/)
    if (!said.startsWith('250')) expect(said).toMatch(/^451 /)
    expect(said.length).toBeLessThan(10_000)
    expect(proxy.status().counters.plain.faults).toBe(0)
    await client.saysAll('RSET', 'QUIT')
    await client.closed()
  })
}

test('a mailhost that says 421 at MAIL: the client hears 4xx, another session is opened', async () => {
  let refusals = 1
  const { mailhost, client } = await before({
    answer: (line) => (line.startsWith('MAIL') && refusals-- > 0 ? '421 4.3.2 closing' : undefined),
  })
  const said = await client.saysAll(...envelope)
  expect(said).toMatch(/^(250|4\d\d) /)
  if (!said.startsWith('250')) await client.saysAll('RSET', ...envelope.slice(1))
  await client.says('DATA')
  expect(await client.says(message)).toMatch(/^250/)
  expect(mailhost.messages.length).toBe(1)
})

test('a mailhost that takes no octets: the client is held, cut by its own patience, nothing delivered', async () => {
  const { mailhost, proxy, client } = await before(
    { answer: (line) => (line === 'DATA' ? '354 go on' : undefined) },
    { mailhost: { reply_wait: '2s' } },
  )
  await client.saysAll(...envelope, 'DATA')
  client.send('Subject: x\r\n\r\n')
  await expect.poll(() => mailhost.commands).toContain('DATA')
  for (const { socket } of mailhost.sessions) socket.pause()
  const line = Buffer.from(`${'x'.repeat(998)}\r\n`.repeat(64))
  for (let sent = 0; sent < 20_000_000; sent += line.length) client.send(line)
  client.send('.\r\n')
  expect(await client.reply()).toMatch(/^451 4\.4\./)
  expect(mailhost.messages).toEqual([])
  await once(mailhost.sessions[0]?.socket.resume() ?? process, 'close').catch(() => {})
  await expect.poll(() => proxy.verdicts().length).toBe(1)
})
