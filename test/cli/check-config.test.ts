/**
 * `check-config` looks into the files as start does: what it passes starts, what it refuses does
 * not.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { loadWithFiles } from '../../src/edge/file-faults.ts'
import { readPolicyFiles, tlsPolicyOf } from '../../src/edge/policies.ts'
import { openSyslogOverTls } from '../../src/edge/tls-syslog.ts'
import { openSystemLog } from '../../src/log/system-log.ts'
import { runCommand } from '../support/command-line.ts'
import { describeWith, needsRoot } from '../support/needs.ts'
import { type Authority, makeAuthority } from '../tls/support/certificates.ts'

const text = `
name = "mx.example.net"
listen.smtp = ["127.0.0.1:2525"]
mailhost.addresses = ["192.0.2.9:25"]
recipients.domains = ["example.net"]
process.user = "nobody"
`
let folder: string
let authority: Authority
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-check-'))
  authority = makeAuthority()
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
  authority.remove()
})

test('a bad line of the header rules: a fault each, and no start', async () => {
  const rules = 'Subject: /ok/ refuse\nno rule\nSubject: /(/ refuse\n'
  writeFileSync(join(folder, 'rules'), rules)
  const { status, warned } = await check('tests.headers.rules = "rules"\n')
  expect(status).toBe(2)
  expect(warned).toHaveLength(2)
  expect(warned[0]).toMatch(/: tests\.headers\.rules = ".*rules": .*rules:2: /)
  expect(warned[1]).toMatch(/rules:3: /)
  expect(start).toThrow('tests.headers.rules: ')
})

test('a certificate that does not fit its key: named, and no start', async () => {
  const [one, other] = [authority.issue('mx.example.net'), authority.issue('mx.example.org')]
  const fits = `tls.certificate = "${one.certificateFile}"\ntls.key = "${one.keyFile}"\n`
  expect((await check(fits)).warned).toEqual([])
  const sni = `[[tls.sni]]\nnames = ["b.example"]\ncertificate = "${other.certificateFile}"\n`
  const { status, warned } = await check(`${fits}${sni}key = "${one.keyFile}"\n`)
  expect(status).toBe(2)
  expect(warned).toHaveLength(1)
  expect(warned[0]).toMatch(/: tls\.sni\[0\]\.certificate = .*; give a chain and its own key$/)
  expect(start).toThrow('tls.certificate')
})

test('a folder in the place of a file: a fault, and not the end of a reload', async () => {
  for (const key of ['tests.headers.rules', 'tls.ticket_secret', 'mailhost.ca']) {
    const { status, warned } = await check(`${key} = "."\n`)
    const line = expect.stringMatching(new RegExp(`: ${key} = ".*": is a folder; name a file$`))
    expect([status, warned]).toEqual([2, [line]])
  }
})

test('name patterns of nothing but bad lines: a fault, as at start', async () => {
  writeFileSync(join(folder, 'patterns'), '/(/ what\n')
  const { status, warned } = await check('tests.dialup.patterns = "patterns"\n')
  expect(status).toBe(2)
  expect(warned).toHaveLength(1)
  expect(warned[0]).toContain('tests.dialup.patterns = ')
})

test.each(['files', 'store'])(
  'B25: keep = "%s", a list whose file is gone: a warning',
  async (keep) => {
    const list = '[[lists.blacklist]]\nfile = "gone.txt"\n'
    const { status, warned } = await check(`lists.keep = "${keep}"\n${list}`)
    expect(status).toBe(0)
    expect(warned).toHaveLength(1)
    expect(warned[0]).toMatch(/warning: lists\.blacklist\[0\]\.file = .*not readable/)
    expect(start).not.toThrow()
  },
)

test.each([
  ['example.org OK\n', /domains:1: "example\.org ok" is no domain/],
  ['# ours\n\nbücher.example\n', /domains:3: "bücher\.example" is no domain; .*xn--/],
  [
    'a b\n'.repeat(7),
    /domains_file: \S+domains:1: "a b" is no domain, .*domains:5: .*, 2 more lines are none; write/,
  ],
  ['# none yet\n', /domains: holds no domain/],
  [Buffer.from('example.org\n', 'utf16le'), /domains:1: /],
])('a file of recipient domains that holds %j: a fault, as at start', async (octets, why) => {
  writeFileSync(join(folder, 'domains'), octets)
  const { status, warned } = await check('recipients.domains_file = "domains"\n')
  expect(status).toBe(2)
  expect(warned).toHaveLength(1)
  expect(warned[0]).toMatch(why)
  expect(start).toThrow('recipients.domains_file: ')
  writeFileSync(join(folder, 'domains'), '\ufeffexample.org # first\r\n*.Example.com\r\n')
  expect((await check('recipients.domains_file = "domains"\n')).status).toBe(0)
  const loaded = loadConfig(file())
  expect(loaded.ok && readPolicyFiles(loaded.value).recipientDomains).toEqual([
    'example.org',
    '*.example.com',
  ])
})

test.each(['mailhost', 'log'])(
  'authorities of the %s that are none: a fault, as at start',
  async (of) => {
    const to = of === 'log' ? 'log.to = "syslog+tls://127.0.0.1:6514"\n' : ''
    for (const octets of ['# to come\n', '']) {
      writeFileSync(join(folder, 'ca.pem'), octets)
      const { status, warned } = await check(`${of}.ca = "ca.pem"\n${to}`)
      const line = new RegExp(`: ${of}\\.ca = "/.*/ca\\.pem": holds no certificate: .*; give PEM$`)
      expect([status, warned]).toEqual([2, [expect.stringMatching(line)]])
      expect(start).toThrow(`${of}.ca = `)
    }
    const absent = await check(`${of}.ca = "none.pem"\n${to}`)
    expect([absent.status, absent.warned]).toEqual([
      2,
      [expect.stringMatching(new RegExp(`: ${of}\\.ca = "/.*/none\\.pem": not readable: ENOENT`))],
    ])
  },
)

test('a log file that cannot be opened for writing: a fault, as at start', async () => {
  mkdirSync(join(folder, 'folder'))
  writeFileSync(join(folder, 'file'), '')
  for (const [to, why] of [
    ['none/log', /ENOENT/],
    ['folder', /is a folder/],
    ['file/log', /file is no folder|ENOTDIR/],
  ] as const) {
    const { status, warned } = await check(`log.to = "${to}"\n`)
    expect([status, warned]).toEqual([2, [expect.stringMatching(why)]])
    expect(warned[0]).toMatch(
      /: log\.to = "\/.*": .*; name a file in a folder that is there and wri/,
    )
    await expect(openLog()).rejects.toThrow(/^log\.to = /)
  }
  expect((await check('log.to = "log"\n')).warned).toEqual([])
  expect(existsSync(join(folder, 'log'))).toBe(false)
  expect((await check('log.to = "file"\n')).warned).toEqual([])
})

describeWith([needsRoot()], 'process.user, for root', () => {
  test.each([
    ['no-such-user', /; name a user that exists, or "" to stay root$/],
    ['root', /: is root; /],
  ])('%s: a fault', async (user, why) => {
    writeFileSync(file(), text.replace('"nobody"', `"${user}"`))
    const { status, warned } = await runCommand('check-config', '--config', file())
    expect([status, warned]).toEqual([2, [expect.stringMatching(why)]])
    expect(warned[0]).toContain(`: process.user = "${user}": `)
    expect([process.getuid?.(), process.geteuid?.()]).toEqual([0, 0])
  })
})

test('start and reload take what the check passes, and say all that it finds', async () => {
  await check('mailhost.ca = "none.pem"\nlog.to = "none/log"\n')
  const faults = (loaded: ReturnType<typeof loadWithFiles>) =>
    loaded.ok ? [] : loaded.error.map(({ key }) => key)
  expect(faults(loadWithFiles(file()))).toEqual(['mailhost.ca', 'log.to'])
  const { status, warned } = await runCommand('serve', '--config', file())
  expect([status, warned.length]).toEqual([2, 2])
  await check('')
  expect(loadWithFiles(file()).ok).toBe(true)
})

test('call-ahead where no recipient is known yet: a warning', async () => {
  const added = `
recipients.exempt = []
tests.user.mode = "observe"
tests.user.call_ahead = true
probe.helo = "probe.example.net"
whitelist.mode = "off"
tests.at = `
  expect((await check(`${added}"rcpt"\n`)).warned).toEqual([])
  for (const at of ['mail', 'data']) {
    const { status, warned } = await check(`${added}"${at}"\n`)
    expect(status).toBe(0)
    expect(warned).toEqual([
      expect.stringMatching(/call_ahead = true: does nothing with tests\.at/),
    ])
  }
})

test('[http], where nothing listens yet: a warning to who expects it', async () => {
  expect((await check('http.address = ""\n')).warned).toEqual([])
  for (const line of ['http.address = "127.0.0.1:9"', `http.token_file = "${file()}"`]) {
    const { status, warned } = await check(`${line}\n`)
    expect([status, warned]).toEqual([
      0,
      [expect.stringMatching(/: warning: \[http\]: nothing li/)],
    ])
  }
})

test('a ticket secret counts octet by octet', async () => {
  const secretOf = (octet: number) => {
    writeFileSync(join(folder, 'secret'), Buffer.alloc(32, octet))
    const loaded = loadConfig(file())
    return loaded.ok ? readPolicyFiles(loaded.value).ticketSecret : undefined
  }
  await check('tls.ticket_secret = "secret"\n')
  expect([...(secretOf(0x80) ?? [])]).toEqual(Array.from({ length: 32 }, () => 0x80))
  expect(secretOf(0x80)).not.toEqual(secretOf(0x81))
})

function check(added: string) {
  writeFileSync(file(), `${text}${added}`)
  return runCommand('check-config', '--config', file())
}

/** What start makes of the files. */
function start(): unknown {
  const loaded = loadConfig(file())
  if (!loaded.ok) throw new Error('no configuration')
  const config = loaded.value
  if (config.log.to.startsWith('syslog+tls')) {
    openSyslogOverTls(config, { address: '127.0.0.1', port: 1 }, 0, ignoredEvents)
  }
  return tlsPolicyOf(config, readPolicyFiles(config), new Uint8Array(32))
}

const ignoredEvents = { onDrain: () => {}, onLost: () => {}, onFault: () => {} }

function openLog() {
  const loaded = loadConfig(file())
  if (!loaded.ok) throw new Error('no configuration')
  return openSystemLog(loaded.value)
}

function file(): string {
  return join(folder, 'activemx.toml')
}
