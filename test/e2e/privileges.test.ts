/**
 * Least privilege: the program binds as root, goes on as a user, and all that it needs works then.
 */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { describeWith, needsProgram, needsRoot } from '../support/needs.ts'
import { runProgram } from '../support/programs.ts'
import { ProxyProgram } from '../support/proxy-program.ts'
import { asUser, publicBuild } from '../support/public-build.ts'
import { type RecordingMailhost, startRecordingMailhost } from '../support/recording-mailhost.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { makeAuthority } from '../tls/support/certificates.ts'

const user = 'nobody'
const needs = [needsRoot(), needsProgram('setpriv')]
describeWith(needs, 'process.user', () => {
  let build: ReturnType<typeof publicBuild>
  let mailhost: RecordingMailhost
  let proxy: ProxyProgram
  let lowPort = 0
  let uid = 0

  beforeAll(async () => {
    uid = numberOf('-u')
    build = publicBuild()
    mailhost = await startRecordingMailhost()
    lowPort = await privilegedPort()
    const more = { lists: 'allow_loopback = true\ncache = "cache"' }
    const change = (text: string) =>
      `${text
        .replace('user = ""', `user = "${user}"`)
        .replace(/smtp = \["([^"]+)"\]/, `smtp = ["$1", "127.0.0.1:${lowPort}"]`)
        .replace('"control.sock"', '"run/control.sock"')
        .replace('"log"', '"logs/log"')}[[lists.blacklist]]\nfile = "black.txt"\n`
    proxy = await ProxyProgram.start(mailhost.port, more, change, 0, prepare, build.program)
  }, 120_000)

  afterAll(async () => {
    await proxy.end()
    await mailhost.stop()
    build.remove()
  })

  /** Places of an earlier run as root, and links that lead out of them. */
  function prepare(folder: string): void {
    chmodSync(folder, 0o755)
    const at = (name: string) => join(folder, name)
    for (const name of ['store', 'store/lists', 'cache', 'logs', 'secret']) mkdirSync(at(name))
    chmodSync(at('cache'), 0o700)
    chownSync(at('logs'), uid, numberOf('-g'))
    writeFileSync(at('black.txt'), '127.0.0.9\n')
    for (const name of ['cache/feed-old', 'secret/file', 'secret/linked']) {
      writeFileSync(at(name), 'x', { mode: 0o600 })
    }
    symlinkSync(at('secret'), at('store/link'))
    linkSync(at('secret/linked'), at('store/linked'))
    symlinkSync(at('secret/file'), at('cache/link'))
  }

  const ownerOf = (name: string) => statSync(join(proxy.folder, name)).uid

  function records(event: string): readonly Record<string, unknown>[] {
    const lines = readFileSync(join(proxy.folder, 'logs/log'), 'utf8').split('\n')
    const found = lines.filter((line) => line !== '').map((line) => JSON.parse(line))
    return found.filter((record) => record.event === event)
  }

  async function recipientReply(port: number, to: string, from = '127.0.0.1'): Promise<string> {
    const client = await SmtpClient.open(port, from)
    const said = await client.saysAll('EHLO c.example', 'MAIL FROM:<a@x.example>')
    const reply = said.startsWith('250') ? await client.says(`RCPT TO:<${to}>`) : client.heard
    client.leave()
    return reply.slice(0, 3)
  }

  const ask = (as: string, ...words: readonly string[]) => {
    const socket = join(proxy.folder, 'run/control.sock')
    const command = [process.execPath, build.program, ...words, '--socket', socket]
    return runProgram('setpriv', [...asUser(as), ...command])
  }

  test('every thread is the user, with that user’s groups and no capability', () => {
    const gid = String(numberOf('-g'))
    const groups = execFileSync('id', ['-G', user], { encoding: 'utf8' }).trim().split(' ')
    const threads = readdirSync(`/proc/${proxy.pid}/task`)
    expect(threads.length).toBeGreaterThan(4)
    for (const thread of threads) {
      const status = readFileSync(`/proc/${proxy.pid}/task/${thread}/status`, 'utf8')
      const of = (name: string) =>
        (new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '').trim().split(/\s+/)
      expect(of('Uid')).toEqual([uid, uid, uid, uid].map(String))
      expect(of('Gid')).toEqual([gid, gid, gid, gid])
      expect(of('Groups').sort()).toEqual(groups.sort())
      for (const set of ['CapEff', 'CapPrm']) expect(of(set)).toEqual(['0000000000000000'])
    }
  })

  test('it leaves no core; that lists may hold loopback is said at start and in status', async () => {
    const limits = readFileSync(`/proc/${proxy.pid}/limits`, 'utf8')
    expect(limits).toMatch(/^Max core file size +0 +0 /m)
    const detail = 'lists.allow_loopback = true: lists may refuse this machine itself'
    const told = () => records('service')
    await expect
      .poll(told, { timeout: 30_000 })
      .toContainEqual(expect.objectContaining({ what: 'warning', detail }))
    expect((await ask(user, 'status')).output).toContain(`warning: ${detail}\n`)
  })

  test('mail goes through a port that only root may bind, and the log tells', async () => {
    const client = await SmtpClient.open(lowPort)
    await client.saysAll('EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@example.test>')
    expect(await client.saysAll('DATA', 'Subject: x\r\n\r\nx\r\n.')).toMatch(/^250/)
    client.leave()
    await expect.poll(() => records('verdict')).toMatchObject([{ action: 'pass' }])
  })

  test('what it writes is the user’s; what links lead to stays root’s', () => {
    for (const name of ['store', 'store/data.mdb', 'cache', 'cache/feed-old', 'logs/log', 'run']) {
      expect([name, ownerOf(name)]).toEqual([name, uid])
    }
    for (const name of ['secret', 'secret/file', 'secret/linked']) {
      expect([name, ownerOf(name)]).toEqual([name, 0])
    }
  })

  test('SIGHUP: a changed list and new recipient domains hold, and the cache takes the list', async () => {
    expect(await recipientReply(proxy.port, 'b@example.test', '127.0.0.8')).toBe('250')
    writeFileSync(join(proxy.folder, 'black.txt'), '127.0.0.9\n127.0.0.8\n')
    proxy.rewrite((text) => text.replace('"example.test"', '"example.test", "other.test"'))
    proxy.signal('SIGHUP')
    await expect.poll(() => records('reload'), { timeout: 30_000 }).toMatchObject([{ ok: true }])
    expect(await recipientReply(proxy.port, 'b@other.test')).toBe('250')
    expect(await recipientReply(proxy.port, 'b@example.test', '127.0.0.8')).toBe('554')
    const [copy = ''] = readdirSync(join(proxy.folder, 'cache')).filter((name) =>
      name.endsWith('.last-good'),
    )
    expect(readFileSync(join(proxy.folder, 'cache', copy), 'latin1')).toContain('127.0.0.8')
    expect(ownerOf(`cache/${copy}`)).toBe(uid)
  })

  test('SIGUSR1: the log goes on in a new file that the user makes', async () => {
    const log = join(proxy.folder, 'logs/log')
    renameSync(log, `${log}.1`)
    proxy.signal('SIGUSR1')
    await vi.waitFor(() => statSync(log), { timeout: 30_000 })
    expect(ownerOf('logs/log')).toBe(uid)
    expect(await recipientReply(proxy.port, 'b@elsewhere.example')).toBe('550')
    const told = () => records('verdict').flatMap((record) => record['recipients_refused'])
    await expect.poll(told, { timeout: 30_000 }).toContain('b@elsewhere.example')
  })

  test('the control socket answers the user and root, nobody else', async () => {
    const socket = join(proxy.folder, 'run/control.sock')
    expect([ownerOf('run/control.sock'), statSync(socket).mode & 0o777]).toEqual([uid, 0o600])
    for (const as of [user, 'root']) {
      const said = await ask(as, 'list', 'dynamic', 'add', `62.0.2.${as === user ? 1 : 2}`)
      expect(said).toMatchObject({ status: 0 })
    }
    // Kept out by the mode of the socket, and where that was loosened by the peer's credentials.
    const stranger = await ask('mail', 'status')
    expect(stranger).toMatchObject({ status: 2, output: expect.stringContaining('EACCES') })
    chmodSync(socket, 0o666)
    const loosened = await ask('mail', 'status')
    expect(loosened.status).toBe(2)
    expect(loosened.output).toMatch(/^activemx: only root and the own user may ask$/m)
  })

  test('a user that is none: said in one line, nothing is served', async () => {
    const file = join(proxy.folder, 'nobody-at-all.toml')
    const text = readFileSync(proxy.file, 'utf8').replace(/^smtp = .*$/m, 'smtp = ["127.0.0.1:0"]')
    writeFileSync(file, text.replace(`"${user}"`, '"no-such-user"').replace('"store"', '"other"'))
    const said = await runProgram(process.execPath, [build.program, 'serve', '--config', file])
    expect(said.status).toBe(2)
    expect(said.output).toMatch(
      /^activemx: .*: process\.user = "no-such-user": .*; name a user that exists, or .*\n$/,
    )
  })

  test('files that root alone may read are named at start, and a reload is refused by name', async () => {
    const key = join(proxy.folder, 'key.pem')
    const list = join(proxy.folder, 'black.txt')
    const authority = makeAuthority()
    const { certificate, key: secret } = authority.issue('mx.example.test')
    authority.remove()
    writeFileSync(join(proxy.folder, 'cert.pem'), certificate)
    writeFileSync(key, secret)
    chmodSync(key, 0o600)
    chmodSync(list, 0o640)
    proxy.rewrite((text) => `${text}[tls]\ncertificate = "cert.pem"\nkey = "key.pem"\n`)
    await proxy.killAndStart()
    const told = records('service').filter(({ what }) => what === 'warning')
    const of = (name: string, path: string) =>
      `${name} = ${path}: user ${user} may not read it, so no reload can take it; ` +
      'chgrp and chmod g+r the file, and let the group enter the folders above it'
    const details = told.map(({ detail }) => detail).filter((text) => /may not/.test(`${text}`))
    expect(details).toEqual([of('lists.blacklist[0].file', list), of('tls.key', key)])
    const refused = await ask('root', 'reload')
    expect(refused.status).toBe(2)
    expect(refused.output).toContain(`tls.key = "${key}"`)
    chownSync(key, 0, numberOf('-g'))
    chmodSync(key, 0o640)
    expect(await ask('root', 'reload')).toMatchObject({ status: 0 })
  })

  test('the store was written as the user, and serves the next start', async () => {
    await proxy.killAndStart()
    const shown = async () => (await ask(user, 'list', 'dynamic', 'show')).output
    await expect.poll(shown, { timeout: 30_000 }).toMatch(/62\.0\.2\.1\b[\s\S]*62\.0\.2\.2\b/)
    expect(statSync(`/proc/${proxy.pid}`).uid).toBe(uid)
  })
})

function numberOf(which: '-u' | '-g'): number {
  return Number(execFileSync('id', [which, user], { encoding: 'utf8' }))
}

/** A free port of 127.0.0.1 that only root may bind. */
async function privilegedPort(): Promise<number> {
  for (let port = 1023; port > 600; port--) {
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
  throw new Error('no free port below 1024')
}
