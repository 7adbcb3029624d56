/**
 * B8 with the mail servers themselves: Debian's Postfix and exim4 send mail to a host that takes,
 * defers and refuses; what they wrote in their logs is mined by the command.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openStore } from '../../src/store/open-store.ts'
import { Store } from '../../src/store/store.ts'
import { WhitelistStore } from '../../src/store/whitelist-store.ts'
import { needsExim, newExim } from '../support/exim.ts'
import { describeWith, needsProgram, needsRoot } from '../support/needs.ts'
import { type Postfix, startPostfix } from '../support/postfix.ts'
import { program } from '../support/proxy-program.ts'
import { type RecordingMailhost, startRecordingMailhost } from '../support/recording-mailhost.ts'
import { SmtpClient } from '../support/smtp-client.ts'

const message = 'From: <ann@home.example>\r\nSubject: of ours\r\n\r\nhello\r\n.'
let folder = ''
let config = ''
let far: RecordingMailhost

/** Everybody else's host: it does not know `gone`, and has no time for `later`. */
function answerOfFar(command: string): string | undefined {
  if (command.startsWith('RCPT TO:<gone')) return '550 5.1.1 no such user'
  return command.startsWith('RCPT TO:<later') ? '450 4.2.0 try again' : undefined
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-mining-'))
  config = join(folder, 'activemx.toml')
  writeFileSync(
    config,
    `name = "mx.home.example"
listen.smtp = ["127.0.0.1:2525"]
mailhost.addresses = ["127.0.0.1:2526"]
recipients.domains = ["home.example", "*.home.example"]
store.path = "store"
`,
  )
  far = await startRecordingMailhost({ answer: answerOfFar })
})
afterEach(async () => {
  await far.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** `activemx whitelist mine`, as a process. */
class Mining {
  readonly child: ChildProcess
  readonly end: Promise<{ readonly status: number | null; readonly output: string }>

  constructor(...words: readonly string[]) {
    const all = [program, 'whitelist', 'mine', ...words, '--config', config, '--json']
    this.child = spawn(process.execPath, all, { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    this.end = new Promise((resolve) => {
      this.child.once('close', (status) => resolve({ status, output }))
    })
  }
}

/** Mines and says how many addresses the log gave, once each. */
async function mine(log: string): Promise<number> {
  const { status, output } = await new Mining(log).end
  expect(status).toBe(0)
  return JSON.parse(output).addresses
}

/** The whitelist, read while nobody mines, or beside who does. */
async function whitelisted(): Promise<readonly string[]> {
  const report = (): void => undefined
  const path = join(folder, 'store')
  const store = new Store(openStore(path, report), { sizeMaxOctets: 1024 ** 3, report })
  const addresses = [...new WhitelistStore(store).list('', Date.now())].map((each) => each.address)
  await store.close()
  return addresses
}

const letters: readonly (readonly [sender: string, ...recipients: string[]])[] = [
  ['ann@home.example', 'jos@far.example', 'gone@far.example', 'later@far.example'],
  // The same again, written otherwise.
  ['ann@home.example', 'Jos@FAR.example'],
  ['bob@sales.home.example', 'dora@far.example', 'inbox@far.example'],
  // To ourselves; and what somebody else sends on through us.
  ['ann@home.example', 'bob@home.example'],
  ['spam@else.example', 'forwarded@far.example'],
  ['', 'bounced@far.example'],
]
const expected = ['dora@far.example', 'inbox@far.example', 'jos@far.example']

describeWith([needsProgram('postfix'), needsRoot()], 'B8 what Postfix logged', () => {
  let postfix: Postfix
  const send = async (sender: string, ...recipients: readonly string[]): Promise<void> => {
    const client = await SmtpClient.open(postfix.port)
    await client.saysAll('EHLO pc.home.example', `MAIL FROM:<${sender}>`)
    for (const recipient of recipients) await client.says(`RCPT TO:<${recipient}>`)
    expect(await client.saysAll('DATA', message)).toMatch(/^250/)
    client.leave()
  }
  const logged = (words: string) =>
    expect.poll(() => postfix.log(), { timeout: 50_000 }).toContain(words)

  beforeEach(async () => {
    postfix = await startPostfix([
      `relayhost = [127.0.0.1]:${far.port}`,
      'smtp_host_lookup = native',
      'smtp_tls_security_level = none',
      'notify_classes =',
    ])
  })
  afterEach(() => postfix.remove())

  test('sent by ours to others, once each; bounced, deferred, local, forwarded and null senders are left out; over rotation and gzip', async () => {
    for (const letter of letters) await send(...letter)
    await send('ann@home.example', 'local@example.test')
    await expect
      .poll(() => postfix.log().match(/status=sent/g)?.length ?? 0, { timeout: 50_000 })
      .toBeGreaterThanOrEqual(letters.length + 2)
    await logged('status=deferred')
    await logged('status=bounced')
    await mine(postfix.logFile)
    expect(await whitelisted()).toEqual(expected)

    // A second run goes back to the message that still waits, and finds nothing new.
    await mine(postfix.logFile)
    expect(await whitelisted()).toEqual(expected)
    // The compressed log of yesterday says the same to an empty whitelist.
    postfix.rotate()
    // One of two names until it is whole.
    const rotated = () =>
      readdirSync(dirname(postfix.logFile)).filter((name) => /^maillog\../.test(name))
    await expect
      .poll(rotated, { timeout: 20_000 })
      .toEqual([expect.stringMatching(/^maillog\..*gz$/)])
    rmSync(join(folder, 'store'), { recursive: true })
    await mine(join(dirname(postfix.logFile), rotated()[0] ?? ''))
    expect(await whitelisted()).toEqual(expected)
  })

  test('--follow goes on over `postfix logrotate`, until SIGTERM', async () => {
    await send('ann@home.example', 'first@far.example')
    await logged('status=sent')
    const mining = new Mining(postfix.logFile, '--follow')
    const has = (address: string) =>
      expect.poll(whitelisted, { timeout: 50_000, interval: 500 }).toContain(address)
    await has('first@far.example')
    await send('ann@home.example', 'second@far.example')
    await has('second@far.example')
    postfix.rotate()
    await send('ann@home.example', 'third@far.example')
    await has('third@far.example')
    mining.child.kill('SIGTERM')
    const { status, output } = await mining.end
    expect(status).toBe(0)
    expect(JSON.parse(output)).toMatchObject({ addresses: 3 })
  })
})

describeWith([needsRoot(), needsExim()], 'B8 what exim4 logged', () => {
  test('sent by ours to others, once each; refused, deferred, forwarded and null senders are left out; over rotation', async () => {
    const exim = newExim(far.port)
    try {
      const text = message.slice(0, -1).replaceAll('\r\n', '\n')
      for (const [sender, ...recipients] of letters) await exim.send(sender, recipients, text)
      expect(exim.log()).toMatch(/ => jos@far\.example /)
      expect(exim.log()).toMatch(/ \*\* gone@far\.example /)
      expect(exim.log()).toMatch(/ == later@far\.example /)
      await mine(exim.logFile)
      expect(await whitelisted()).toEqual(expected)

      const old = join(dirname(exim.logFile), `${basename(exim.logFile)}.1`)
      renameSync(exim.logFile, old)
      await exim.send('ann@home.example', ['next@far.example'], text)
      expect(readFileSync(exim.logFile, 'utf8')).toContain('next@far.example')
      expect(await mine(exim.logFile)).toBe(1)
      expect(await whitelisted()).toEqual([...expected, 'next@far.example'])
    } finally {
      exim.remove()
    }
  })
})
