/**
 * The command line against a running instance: lookup, list, cache, status, trace; and pipes that
 * end.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runCommand } from '../support/command-line.ts'
import { runProgram } from '../support/programs.ts'
import { ProxyProgram, program } from '../support/proxy-program.ts'
import { type RecordingMailhost, startRecordingMailhost } from '../support/recording-mailhost.ts'
import { SmtpClient } from '../support/smtp-client.ts'

let mailhost: RecordingMailhost
let proxy: ProxyProgram
let black = ''

beforeAll(async () => {
  mailhost = await startRecordingMailhost()
  proxy = await ProxyProgram.start(mailhost.port, { lists: 'allow_loopback = true' })
  black = join(proxy.folder, 'black.txt')
  writeFileSync(black, '# listed\n127.0.0.9\n')
  writeFileSync(join(proxy.folder, 'friends.txt'), '127.0.0.10\n*.friend.example\n')
  writeFileSync(join(proxy.folder, 'names.txt'), '*.partner.example\n')
  const lists =
    `[[lists.blacklist]]\nfile = "black.txt"\n[[lists.trusted]]\nfile = "friends.txt"\n` +
    `[[lists.trusted]]\nname = "partners"\nfile = "names.txt"\n`
  proxy.rewrite((text) => text + lists)
  expect(await run('reload')).toMatchObject({ status: 0 })
})

afterAll(async () => {
  await proxy.end()
  await mailhost.stop()
})

const run = (...words: readonly string[]) => runCommand(...words, '--config', proxy.file)

test('lookup: a listed address with list, file, line, action and reply', async () => {
  const { status, printed } = await run('lookup', '127.0.0.9')
  expect(status).toBe(0)
  expect(printed[0]).toMatch(
    /^127\.0\.0\.9: refuse: listed in black: 554 5\.7\.1 Refused: 127\.0\.0\.9 .*, id=…$/,
  )
  expect(printed[1]).toBe(`  blacklist black  127.0.0.9/32  ${black}:2`)
  const json = JSON.parse((await run('lookup', '127.0.0.9', '--json')).printed[0] ?? '')
  expect(json).toMatchObject({ kind: 'address', verdict: 'refuse', holdings: [{ line: 2 }] })
})

test('lookup: what is trusted, unlisted, a sender, a name, and nonsense', async () => {
  expect((await run('lookup', '127.0.0.10')).printed[0]).toMatch(/: trusted: in a trusted network/)
  expect((await run('lookup', 'mx.friend.example')).printed).toEqual([
    expect.stringMatching(/: trusted: a client of/),
    `  trusted friends  *.friend.example  ${join(proxy.folder, 'friends.txt')}:2`,
  ])
  expect((await run('lookup', 'mx.partner.example')).printed[1]).toBe(
    `  trusted partners  *.partner.example  ${join(proxy.folder, 'names.txt')}:1`,
  )
  const unlisted = await run('lookup', '127.0.0.8')
  expect(unlisted).toMatchObject({ status: 1, printed: ['127.0.0.8: unlisted: in no list'] })
  const known = ['whitelist', 'add', 'Ann@remote.example'] as const
  await run('list', ...known)
  expect((await run('lookup', 'ann@REMOTE.example')).printed[0]).toMatch(
    /: whitelisted: operator; the active tests are skipped; recipients of REMOTE\.example are refused/,
  )
  expect((await run('lookup', 'b@example.test')).printed[0]).toMatch(
    /: unlisted: not in the whitelist; recipients of example\.test are ours/,
  )
  const nonsense = await run('lookup', 'what is this')
  expect(nonsense.status).toBe(2)
  expect(nonsense.warned[0]).toMatch(/write an IP address, local@domain or a host name/)
})

test('lookup: an address that was just entered is found, with no file', async () => {
  await run('list', 'dynamic', 'add', '127.0.0.11')
  const { printed } = await run('lookup', '127.0.0.11')
  expect(printed).toEqual([
    expect.stringMatching(/^127\.0\.0\.11: refuse: listed in dynamic/),
    expect.stringMatching(/^ {2}blacklist dynamic {2}127\.0\.0\.11\/32$/),
  ])
  await run('list', 'dynamic', 'remove', '127.0.0.11')
  expect((await run('lookup', '127.0.0.11')).status).toBe(1)
})

test('list and status say what became of a list of a file', async () => {
  const shown = await run('list', 'black', 'show')
  expect(shown.printed).toEqual([`${black}  blacklist black: loaded, 1 entries`])
  const { printed } = await run('status')
  expect(printed).toContain('blacklist black: loaded, 1 entries')
  expect(printed.join('\n')).toMatch(/warning: lists\.allow_loopback = true/)
})

test('cache: shown and flushed', async () => {
  expect((await run('cache', 'show', '--json')).printed).toEqual(['[]'])
  expect((await run('cache', 'flush', '--json')).printed).toEqual(['{"flushed":0}'])
})

test('trace --source: the dialogue of matching clients as it goes, with stage, and their records', async () => {
  const words = ['trace', '--source', '127.0.0.0/29', '--config', proxy.file]
  const tracer = spawn(process.execPath, [program, ...words])
  let said = ''
  tracer.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const converse = async (from: string) => {
    const client = await SmtpClient.open(proxy.port, from)
    await client.saysAll('EHLO traced.example', 'MAIL FROM:<a@x.example>')
    await client.saysAll('RCPT TO:<b@example.test>', 'DATA', 'Subject: secret\r\n\r\nsecret\r\n.')
    await client.says('QUIT')
  }
  const whole = /EHLO traced\.example[\s\S]*221 2\.0\.0/
  // The trace begins some time after the program: a client is sent until it shows.
  const seen = async () => {
    if (!whole.test(said)) await converse('127.0.0.2')
    return said
  }
  await expect.poll(seen, { timeout: 30_000, interval: 500 }).toMatch(whole)
  await converse('127.0.0.20')
  const lines = said.split('\n').map((line) => line.replace(/^\S+ \[127\.0\.0\.2\]:\d+ /, ''))
  for (const want of [
    'hello    client > proxy    EHLO traced.example',
    'hello    client > proxy    MAIL FROM:<a@x.example>',
    'envelope proxy > client    250 2.1.0 sender ok',
    'transfer proxy > mailhost  RCPT TO:<b@example.test>',
    'transfer mailhost > proxy  250 2.0.0 Ok',
    'transfer mailhost > proxy  354 Go on',
    'transfer proxy > mailhost  .',
    'message  client > proxy    (30 octets of the message)',
  ]) {
    expect(lines).toContain(want)
  }
  expect(said).toMatch(/"event":"verdict".*"client":"127\.0\.0\.2"/)
  expect(said).not.toMatch(/127\.0\.0\.20|secret/)
  const ended = once(tracer, 'close')
  tracer.kill('SIGINT')
  expect((await ended)[0]).toBe(0)
})

test('trace --source: a client that the gate refuses shows its verdict', async () => {
  const words = ['trace', '--source', '127.0.0.9', '--json', '--config', proxy.file]
  const tracer = spawn(process.execPath, [program, ...words])
  let said = ''
  tracer.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const seen = async () => {
    const client = await SmtpClient.open(proxy.port, '127.0.0.9')
    await client.closed()
    return said
  }
  await expect
    .poll(seen, { timeout: 30_000, interval: 300 })
    .toMatch(/"event":"verdict".*"client":"127\.0\.0\.9".*"finding":"blacklist"/)
  tracer.kill('SIGINT')
  await once(tracer, 'close')
})

test('a reader that has seen enough ends a command quietly', async () => {
  const command = `"${process.execPath}" "${program}" show-config --config "${proxy.file}"`
  const script = `${command} | head -n 1; echo "status \${PIPESTATUS[0]}"`
  const { output } = await runProgram('bash', ['-c', script])
  expect(output.split('\n').filter((line) => line !== '')).toEqual([
    expect.stringMatching(/name/),
    'status 0',
  ])
})

test('an output that takes nothing ends a command with one line and status 2', async () => {
  const command = `"${process.execPath}" "${program}" show-config --config "${proxy.file}"`
  const full = await runProgram('bash', ['-c', `${command} > /dev/full`])
  expect([full.status, full.output]).toEqual([2, expect.stringMatching(/^activemx: ENOSPC: .*\n$/)])
})

test.each([
  ['port', { 'control.sock': 'second.sock' }, /cannot listen on 127\.0\.0\.1:\d+: another program/],
  ['control socket', { 'smtp = [': 'smtp = ["127.0.0.1:0"] #' }, /control\.socket = .*: another/],
])('another instance on the same %s: one line, status 2, and it ends', async (_, changes, why) => {
  const file = join(proxy.folder, 'second.toml')
  let text = readFileSync(proxy.file, 'utf8')
  const own = { 'to = "log"': 'to = "second.log"', 'path = "store"': 'path = "second"' }
  for (const [written, instead] of Object.entries({ ...own, ...changes })) {
    text = text.replace(written, instead)
  }
  writeFileSync(file, text)
  const words = [program, 'serve', '--config', file]
  const { status, output } = await runProgram(process.execPath, words)
  expect([status, output.trimEnd().split('\n')]).toEqual([2, [expect.stringMatching(why)]])
})
