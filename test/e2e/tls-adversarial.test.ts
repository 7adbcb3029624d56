/**
 * Every hostile case of the areas starttls and tls-session-daemon, against real sockets and a real
 * daemon. A case that has no run here fails by its name.
 */
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { expect, test } from 'vitest'
import { tlsSessionsMax } from '../../src/base/limits.ts'
import { SharedSessions } from '../../src/tls/shared-sessions.ts'
import { TlsWrapper } from '../../src/tls/wrapper.ts'
import { type AdversarialCase, adversarialCases } from '../support/adversarial.ts'
import { describeWith, needsRoot, needsSharedData } from '../support/needs.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { startPeer } from '../tls/support/peer.ts'
import { startApplication, startDaemon } from '../tls/support/processes.ts'
import { certificateOf, tlsScene } from '../tls/support/scene.ts'

const scene = tlsScene()
const noMailhost = 9
const nobody = 65_534

/** A listener with two certificates: the name is read from the ClientHello before TLS. */
async function listener(name = 'mx.example.test'): Promise<number> {
  const sni = [{ names: ['mailhost.example.test'], ...certificateOf(scene.mailhost) }]
  const secret = join(scene.authority.folder, 'secret')
  writeFileSync(secret, 'what all listeners of these tests have')
  const settings = { ...certificateOf(scene.service), sni, ticket_secret: secret }
  return (await scene.proxyBefore(noMailhost, { tls: settings, name })).port
}

/** TLS on a connection that has heard the 220. */
async function secure(client: SmtpClient, session?: Buffer, servername = 'mx.example.test') {
  client.socket.removeAllListeners('data')
  const known = session === undefined ? {} : { session }
  const options = { socket: client.socket, ca: scene.authority.ca, servername, ...known }
  const socket = tls.connect(options)
  let ticket: Buffer | undefined
  socket.on('session', (given) => {
    ticket = given
  })
  await once(socket, 'secureConnect')
  return { socket, inside: new SmtpClient(socket), ticket: () => ticket }
}

async function startTls(port: number, session?: Buffer, servername?: string) {
  const client = await SmtpClient.open(port)
  await client.says('EHLO c')
  expect(await client.says('STARTTLS')).toMatch(/^220 /)
  return secure(client, session, servername)
}

async function expectHonestService(port: number): Promise<void> {
  const { inside } = await startTls(port)
  expect(await inside.says('EHLO c')).toMatch(/^250/)
  inside.leave()
}

/** Says all octets of the case at once, and hears everything until the end. */
async function heardOf(port: number, octets: Uint8Array): Promise<string> {
  const client = await SmtpClient.open(port)
  const before = client.heard.length
  client.send(octets)
  while (!client.isClosed) await client.reply()
  return client.heard.slice(before)
}

/** Octets behind STARTTLS: refused, closed, and none of them answered. */
async function runInjection({ input }: AdversarialCase): Promise<void> {
  const port = await listener()
  const heard = await heardOf(port, input)
  // The reply to EHLO, then one refusal.
  expect(heard.replace(/(250-[^\n]*\n)*250 [^\n]*\n/, '')).toMatch(/^554 5\.5\.1 [^\n]*\n$/)
  await expectHonestService(port)
}

async function runParameter({ input }: AdversarialCase): Promise<void> {
  const port = await listener()
  const client = await SmtpClient.open(port)
  client.send(input)
  expect(await client.reply()).toMatch(/^250/)
  expect(await client.reply()).toMatch(/^501 5\.5\.4 /)
  expect(await client.says('NOOP')).toMatch(/^250 /)
  await expectHonestService(port)
}

async function runBareLf({ input }: AdversarialCase): Promise<void> {
  const port = await listener()
  const client = await SmtpClient.open(port)
  client.send(input)
  expect(await client.reply()).toMatch(/^250/)
  expect(await client.reply()).toMatch(/^5\d\d /)
  expect(client.heard.slice(3)).not.toMatch(/^220 /m)
  await expectHonestService(port)
}

async function runInsideAgain({ input }: AdversarialCase): Promise<void> {
  const port = await listener()
  const { inside } = await startTls(port)
  inside.send(Buffer.from(Buffer.from(input).toString().replace('<TLS>', '')))
  expect(await inside.reply()).not.toContain('STARTTLS')
  expect(await inside.reply()).toMatch(/^50[23] /)
  expect(await inside.says('NOOP')).toMatch(/^250 /)
}

async function runPlainText({ input }: AdversarialCase): Promise<void> {
  const port = await listener()
  const [before = '', after = ''] = Buffer.from(input).toString().split('<after 220>')
  const client = await SmtpClient.open(port)
  client.send(before)
  expect(await client.reply()).toMatch(/^250/)
  expect(await client.reply()).toMatch(/^220 /)
  const heard = client.heard.length
  client.send(after)
  while (!client.isClosed) await client.reply()
  expect(client.heard.slice(heard)).not.toMatch(/\d{3}[ -]/)
  await expectHonestService(port)
}

/** As a client: octets behind the 220 end the session, whoever holds it. */
async function runResponse({ input }: AdversarialCase): Promise<void> {
  const server = net.createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.write('220 x\r\n')
    socket.on('data', (line) => {
      socket.write(line.toString().startsWith('EHLO') ? '250-x\r\n250 STARTTLS\r\n' : input)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  scene.atEnd(() => server.close())
  const { port } = server.address() as net.AddressInfo
  const daemon = await scene.daemon()
  const wrapper = new TlsWrapper({ daemon: daemon.socket })
  scene.atEnd(() => wrapper.close())
  const to = { host: '127.0.0.1', port, starttls: 'smtp', insecure: true } as const
  for (const shared of [false, 'injected'] as const) {
    const session = await wrapper.new({ shared, ...to })
    expect(await session.connect()).toMatchObject({ code: 'ssl' })
    expect((await session.lease()).greeting).toBe('')
  }
}

async function runGarbage(): Promise<void> {
  const daemon = await scene.daemon()
  const peer = await startPeer(scene.mailhost)
  scene.atEnd(() => peer.close())
  const wrapper = new TlsWrapper({ daemon: daemon.socket })
  scene.atEnd(() => wrapper.close())
  const to = { host: '127.0.0.1', port: peer.port, insecure: true }
  const other = await wrapper.new({ shared: 'other', ...to })
  await other.connect()
  for (let round = 0; round < 3; round++) {
    const socket = net.connect({ path: daemon.socket })
    socket.on('error', () => socket.destroy())
    socket.resume()
    socket.write(Buffer.alloc(65_536, 0x80 + round))
    await new Promise((resolve) => socket.once('close', resolve))
  }
  await other.write('still one session')
  expect(Buffer.from((await other.read(100)).data).toString()).toBe('still one session')
  expect(peer.handshakes()).toBe(1)
}

async function runOtherUser(): Promise<void> {
  const daemon = await scene.daemon()
  const app = startApplication(daemon.socket, { uid: nobody, gid: nobody })
  scene.atEnd(() => app.end('SIGKILL'))
  const made = await app.ask({ do: 'new', session: 's', options: { shared: 'theirs' } })
  expect(made).toMatchObject({ code: 'daemonGone' })
}

/** At another listener (of another service, with the same secret), and for another name. */
async function runCrossContext(): Promise<void> {
  const one = await listener()
  const first = await startTls(one)
  await first.inside.says('NOOP')
  const ticket = first.ticket()
  expect(ticket).toBeDefined()
  const other = await listener('else.example.test')
  const wants = [
    { port: one, servername: 'mx.example.test', isResumed: true },
    { port: one, servername: 'mailhost.example.test', isResumed: false },
    { port: other, servername: 'mx.example.test', isResumed: false },
  ]
  for (const { port, servername, isResumed } of wants) {
    const { socket, inside } = await startTls(port, ticket, servername)
    expect(socket.isSessionReused()).toBe(isResumed)
    inside.leave()
  }
}

/** More names than the daemon holds: the longest idle one makes room, a held one does not. */
async function runFlood(): Promise<void> {
  const sessions = new SharedSessions({ kind: 'fifo' }, 40)
  const holder = { userId: 1 }
  const make = (at: number) =>
    sessions.make({ shared: `s${at}`, host: '127.0.0.1', port: 1 + (at >> 4) }, holder)
  const held = await make(0)
  let second = ''
  for (let at = 1; at < tlsSessionsMax + 300; at++) {
    const handle = await make(at)
    expect(handle.fault).toBeUndefined()
    if (at === 1) second = handle.token
    sessions.free(handle, holder)
    expect(sessions.size).toBeLessThanOrEqual(tlsSessionsMax)
  }
  expect(sessions.entryOf(held.token, 1)).toBeDefined()
  expect(sessions.entryOf(second, 1)).toBeUndefined()
  await sessions.close()
}

/** A crash leaves no core, and what the daemon said holds no octet and no token of a session. */
async function runCrash(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'activemx-core-'))
  scene.atEnd(() => rmSync(folder, { recursive: true, force: true }))
  const daemon = await startDaemon([], { folder })
  const limits = readFileSync(`/proc/${daemon.pid}/limits`, 'utf8')
  expect(limits).toMatch(/^Max core file size +0 +0 /m)
  const peer = await startPeer(scene.mailhost)
  scene.atEnd(() => peer.close())
  const wrapper = new TlsWrapper({ daemon: daemon.socket })
  scene.atEnd(() => wrapper.close())
  const session = await wrapper.new({
    shared: 'crash',
    host: '127.0.0.1',
    port: peer.port,
    insecure: true,
  })
  await session.connect()
  await session.write('a secret of nobody else')
  await session.read(100)
  let said = ''
  daemon.child.stdout?.on('data', (chunk) => {
    said += String(chunk)
  })
  await daemon.end('SIGSEGV')
  expect(daemon.child.signalCode).toBe('SIGSEGV')
  expect(readdirSync(folder).filter((name) => name.startsWith('core'))).toEqual([])
  expect(said).not.toContain('secret')
  expect(said).not.toContain(session.token)
}

const runs: Readonly<Record<string, (found: AdversarialCase) => Promise<void>>> = {
  'starttls-047': runInjection,
  'starttls-048': runInjection,
  'starttls-049': runParameter,
  'starttls-050': runBareLf,
  'starttls-051': runInsideAgain,
  'starttls-055': runPlainText,
  'starttls-058': runResponse,
  'tls-session-daemon-324': runGarbage,
  'tls-session-daemon-326': runOtherUser,
  'tls-session-daemon-327': runCrossContext,
  'tls-session-daemon-331': runFlood,
  'tls-session-daemon-332': runCrash,
}

describeWith([needsSharedData(), needsRoot()], 'hostile cases', () => {
  for (const area of ['starttls', 'tls-session-daemon']) {
    for (const found of adversarialCases(area)) {
      test(`${found.id} ${found.name}`, async () => {
        const run = runs[found.id]
        expect(run, 'a case without a run').toBeDefined()
        await run?.(found)
      })
    }
  }
})
