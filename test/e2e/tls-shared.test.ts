/**
 * The transfer leg over the daemon's sessions: a session is kept from message to message, given up
 * to others who wait, and clean for each tenant; a stopped daemon holds no mail.
 */
import { describe, expect, test } from 'vitest'
import { DaemonStub } from '../../src/tls/daemon-stub.ts'
import { sharedNameOf } from '../../src/tls/options.ts'
import { TlsWrapper } from '../../src/tls/wrapper.ts'
import { type RecordingMailhost, startRecordingMailhost } from '../support/recording-mailhost.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { tlsScene } from '../tls/support/scene.ts'

const scene = tlsScene()

async function mailhostWithTls(): Promise<RecordingMailhost> {
  const mailhost = await startRecordingMailhost({ tls: scene.mailhost })
  scene.atEnd(() => mailhost.stop())
  return mailhost
}

/** Sends a message. @returns the reply that decided. */
async function send(port: number, from: string): Promise<string> {
  const client = await SmtpClient.open(port)
  let reply = ''
  const envelope = [`MAIL FROM:<${from}@x.example>`, 'RCPT TO:<b@example.test>', 'DATA']
  for (const line of ['EHLO c', ...envelope, `Subject: ${from}\r\n\r\n${from}\r\n.`]) {
    reply = await client.says(line)
    if (!/^[23]/.test(reply)) break
  }
  client.leave()
  return reply
}

/** Whose commands a session of the mailhost heard: RSET, and the senders of MAIL. */
function tenantsOf(commands: readonly string[]): readonly string[] {
  const tenants = commands.filter((command) => /^(RSET|MAIL)/.test(command))
  return tenants.map((command) => /FROM:<(\w+)@/.exec(command)?.[1] ?? command)
}

/** The session that proxies with the scene's settings share. */
function sharedOptions(port: number) {
  const asked = {
    host: '127.0.0.1',
    port,
    starttls: 'smtp',
    ehlo: 'mx.example.test',
    servername: 'mailhost.example.test',
    insecure: false,
    ca: scene.authority.ca,
  } as const
  return { ...asked, shared: sharedNameOf(`mailhost-127.0.0.1:${port}`, asked) }
}

describe('the transfer leg over shared sessions', () => {
  test('two instances in turns: one session, and RSET before each change of the tenant', async () => {
    const mailhost = await mailhostWithTls()
    const daemon = await scene.daemon()
    const settings = scene.sharedMailhost(daemon.socket)
    const one = await scene.proxyBefore(mailhost.port, settings)
    const two = await scene.proxyBefore(mailhost.port, settings)
    const turns = [one, two, one, one, two]
    for (const [at, proxy] of turns.entries()) {
      expect(await send(proxy.port, `turn${at}`)).toMatch(/^250 /)
    }
    expect(mailhost.messages.length).toBe(turns.length)
    const secured = mailhost.sessions.filter(({ commands }) => !commands.includes('STARTTLS'))
    expect(secured.length).toBe(1)
    const heard = tenantsOf(secured[0]?.commands ?? [])
    const before = turns.map((_proxy, at) => heard[heard.indexOf(`turn${at}`) - 1])
    // The first has a fresh session; a tenant that goes on says RSET by itself.
    expect(before.slice(1)).toEqual(['RSET', 'RSET', 'RSET', 'RSET'])
  })

  test('a message whose text begins with QUIT arrives whole', async () => {
    const mailhost = await mailhostWithTls()
    const daemon = await scene.daemon()
    const proxy = await scene.proxyBefore(mailhost.port, scene.sharedMailhost(daemon.socket))
    const client = await SmtpClient.open(proxy.port)
    for (const line of ['EHLO c', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@example.test>', 'DATA']) {
      expect(await client.says(line)).toMatch(/^[23]/)
    }
    const text = 'Subject: health\r\n\r\nQUIT smoking.\r\nQUIT\r\n'
    expect(await client.says(`${text}.`)).toMatch(/^250 /)
    client.leave()
    expect(mailhost.messages.at(-1)?.wire.toString()).toContain('QUIT smoking.\r\nQUIT\r\n')
  })

  test('a tenant that leaves in the middle of its envelope leaves nothing of it to the next', async () => {
    const mailhost = await mailhostWithTls()
    const daemon = await scene.daemon()
    const settings = scene.sharedMailhost(daemon.socket)
    const [one, two] = [
      await scene.proxyBefore(mailhost.port, settings),
      await scene.proxyBefore(mailhost.port, settings),
    ]
    const client = await SmtpClient.open(one.port)
    await client.says('EHLO c')
    await client.says('MAIL FROM:<left@x.example>')
    expect(await client.says('RCPT TO:<stays@example.test>')).toMatch(/^250 /)
    client.socket.destroy()
    expect(await send(two.port, 'next')).toMatch(/^250 /)
    expect(mailhost.messages.map(({ recipients }) => recipients)).toEqual([
      ['RCPT TO:<b@example.test>'],
    ])
    const secured = mailhost.sessions.filter(({ commands }) => commands.includes('DATA'))
    const heard = tenantsOf(secured[0]?.commands ?? [])
    // The same session, reset; or a fresh one.
    const at = heard.indexOf('next')
    expect(at === 0 || heard[at - 1] === 'RSET').toBe(true)
  })

  test('messages in a row are one lease; another tenant who waits gets the session at once', async () => {
    const mailhost = await mailhostWithTls()
    const daemon = await scene.daemon()
    const proxy = await scene.proxyBefore(mailhost.port, scene.sharedMailhost(daemon.socket))
    for (let at = 0; at < 5; at++) expect(await send(proxy.port, `m${at}`)).toMatch(/^250 /)
    const stub = new DaemonStub(daemon.socket)
    scene.atEnd(() => stub.close())
    const shown = { sessions: [{ leases: 1, leased: 1, handshakes: 1 }] }
    expect(await stub.statistics()).toMatchObject(shown)
    const wrapper = new TlsWrapper({ daemon: daemon.socket })
    scene.atEnd(() => wrapper.close())
    const session = await wrapper.new(sharedOptions(mailhost.port))
    // Granted although the proxy would keep it for half a minute.
    const lease = await session.lease()
    expect(lease).toMatchObject({ code: 'none' })
    expect(tenantsOf(mailhost.commands).at(-1)).toBe('RSET')
    const waiting = send(proxy.port, 'behind')
    await lease.release()
    expect(await waiting).toMatch(/^250 /)
    expect(mailhost.messages.length).toBe(6)
  })

  test('a stopped daemon holds no mail: the direct connection takes over, and later the daemon again', async () => {
    const mailhost = await mailhostWithTls()
    const daemon = await scene.daemon()
    const proxy = await scene.proxyBefore(mailhost.port, scene.sharedMailhost(daemon.socket))
    expect(await send(proxy.port, 'before')).toMatch(/^250 /)
    const handshakes = () => mailhost.commands.filter((command) => command === 'STARTTLS').length
    expect(handshakes()).toBe(1)
    process.kill(daemon.pid, 'SIGSTOP')
    expect(await send(proxy.port, 'meanwhile')).toMatch(/^250 /)
    expect(handshakes()).toBe(2)
    process.kill(daemon.pid, 'SIGCONT')
    expect(mailhost.messages.map(({ mail }) => mail.match(/<(\w+)@/)?.[1])).toEqual([
      'before',
      'meanwhile',
    ])
  })
})
