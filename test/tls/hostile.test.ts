/**
 * Hostile and broken clients of the daemon, and hostile SMTP servers below a session: a defined end
 * each, never a hang, and nobody else notices. After every case an honest client is served.
 */
import { randomBytes } from 'node:crypto'
import { chmodSync, chownSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { tlsCreditCalls } from '../../src/base/limits.ts'
import { type NewOptions, tlsCodes } from '../../src/tls/api.ts'
import { DaemonStub } from '../../src/tls/daemon-stub.ts'
import {
  callKinds,
  encodeFrame,
  type FrameHeader,
  helloMagic,
  wireVersion,
} from '../../src/tls/wire.ts'
import { TlsWrapper } from '../../src/tls/wrapper.ts'
import { describeWith, needsRoot } from '../support/needs.ts'
import { type Authority, type Identity, makeAuthority } from './support/certificates.ts'
import { startPeer, type TlsPeer } from './support/peer.ts'
import {
  newFolder,
  type RunningDaemon,
  startApplication,
  startDaemon,
} from './support/processes.ts'

let authority: Authority
let good: Identity
let peer: TlsPeer
let daemon: RunningDaemon
const folders: string[] = []

function folderOfTest(): string {
  const folder = newFolder()
  folders.push(folder)
  return folder
}

beforeAll(async () => {
  authority = makeAuthority()
  good = authority.issue('peer.test')
  peer = await startPeer(good)
  daemon = await startDaemon()
})
afterAll(async () => {
  await peer.close()
  await daemon.end('SIGKILL')
  authority.remove()
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})
afterEach(() => honestClientIsServed(daemon.socket))

function optionsOf(shared: string | false, more: Partial<NewOptions> = {}): NewOptions {
  const target = { host: '127.0.0.1', port: peer.port }
  return { shared, ...target, ca: authority.ca, servername: 'peer.test', ...more }
}

async function honestClientIsServed(socket: string): Promise<void> {
  const wrapper = new TlsWrapper({ daemon: socket })
  const session = await wrapper.new(optionsOf('honest'))
  expect(await session.connect()).toMatchObject({ code: 'none' })
  await session.write('honest')
  expect(Buffer.from((await session.read(100)).data).toString()).toBe('honest')
  // So that the next one shakes hands anew, and the cap of sessions to the peer is never reached.
  expect(await session.shutdown()).toMatchObject({ code: 'none' })
  await session.free()
  await wrapper.close()
}

function frame(
  kind: number,
  body: Uint8Array | string,
  more: Partial<FrameHeader> = {},
): Uint8Array {
  const header = { kind, flags: 0, priority: 0, code: 0, request: 1, lease: 0, ...more }
  return encodeFrame(header, typeof body === 'string' ? Buffer.from(body) : body)
}

const hello = frame(callKinds.hello, `${helloMagic}${String.fromCharCode(wireVersion)}\0`)

/** Sends octets to the daemon; resolves with what it answered when it has closed. */
function untilClosed(...pieces: readonly Uint8Array[]): Promise<Buffer> {
  return new Promise((resolve) => {
    const answered: Buffer[] = []
    const socket = net.connect({ path: daemon.socket })
    socket.on('data', (chunk: Buffer) => answered.push(chunk))
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(Buffer.concat(answered)))
    for (const piece of pieces) socket.write(piece)
  })
}

test('64 KiB of random octets: the connection is dropped', async () => {
  for (let round = 0; round < 5; round++) {
    const octets = randomBytes(65_536)
    octets.writeUInt32LE(0xff_ff_ff_ff, 0)
    expect((await untilClosed(octets)).length).toBe(0)
  }
})

const closes = [
  { label: 'a call before hello', pieces: [frame(callKinds.stats, '')] },
  { label: 'hello with another magic', pieces: [frame(callKinds.hello, 'POSTFIX\0')] },
  { label: 'hello twice', pieces: [hello, hello] },
  { label: 'an unknown kind', pieces: [hello, frame(99, '')] },
  { label: 'an unknown flag', pieces: [hello, frame(callKinds.stats, '', { flags: 128 })] },
  { label: 'an answer in place of a call', pieces: [hello, frame(0x80 | callKinds.read, '')] },
  { label: 'a frame without its handle', pieces: [hello, frame(callKinds.write, 'short')] },
  {
    label: 'a frame that is too long',
    pieces: [hello, Buffer.from('ffffff7f05000000', 'hex'), Buffer.alloc(8)],
  },
]

for (const { label, pieces } of closes) {
  test(`${label}: the connection is closed`, async () => {
    await untilClosed(...pieces)
  })
}

test('more unanswered calls than the credit: the connection is closed', async () => {
  const wrapper = new TlsWrapper({ daemon: daemon.socket })
  const listen = { host: '127.0.0.1', port: 0 }
  const { certificate, key } = good
  const server = await wrapper.new({ shared: 'credit', listen, certificate, key })
  const attach = frame(callKinds.new, JSON.stringify({ shared: 'credit', token: server.token }))
  const handle = Buffer.concat([Uint8Array.of(1), Buffer.from(server.token, 'hex')])
  const accepts = Array.from({ length: tlsCreditCalls + 1 }, (_, request) =>
    frame(callKinds.accept, handle, { request }),
  )
  await untilClosed(hello, attach, ...accepts)
  await wrapper.close()
})

test('hello of another version is refused with a text, then closed', async () => {
  const newer = await untilClosed(frame(callKinds.hello, `${helloMagic}\x09\0`))
  expect(newer.toString('latin1')).toMatch(/frames of version 9; .*: restart the daemon$/)
  const older = await untilClosed(frame(callKinds.hello, `${helloMagic}\x01\0`))
  expect(older.toString('latin1')).toMatch(/frames of version 1; .*: restart the program$/)
})

test('a daemon of version 1 refuses the hello: its client is told to restart the daemon', async () => {
  const folder = folderOfTest()
  const path = join(folder, 'old.sock')
  const text = `frames of version ${wireVersion}; this daemon speaks 1`
  const refused = tlsCodes.indexOf('refused')
  const answer = frame(0x80 | callKinds.hello, text, { code: refused, request: 0 })
  const old = net.createServer((socket) => socket.resume().end(answer)).listen(path)
  const wrapper = new TlsWrapper({ daemon: path })
  const { fault } = await wrapper.new(optionsOf('old'))
  expect(fault).toEqual({ code: 'refused', message: `${text}: restart the daemon` })
  expect((await wrapper.new(optionsOf('old', { fallback: true }))).route).toBe('unshared')
  await wrapper.close()
  await new Promise((resolve) => old.close(resolve))
})

test('options that are wrong are refused with a code, and the client stays', async () => {
  const stub = new DaemonStub(daemon.socket)
  const wrong = [
    { shared: 'x', port: -1 },
    { shared: 'x', unknown: true },
    { shared: 'two words' },
    { shared: 'x', ca: 'x'.repeat(100_000) },
    { shared: '' },
  ]
  for (const options of wrong) {
    expect((await stub.new(options as NewOptions)).fault?.code).toBe('refused')
  }
  expect((await stub.new(optionsOf('right'))).fault).toBeUndefined()
  stub.close()
})

test('a name that stands for another peer or other checks is refused', async () => {
  const wrapper = new TlsWrapper({ daemon: daemon.socket })
  expect((await wrapper.new(optionsOf('taken'))).fault).toBeUndefined()
  for (const more of [
    { port: 1 },
    { insecure: true },
    { servername: 'other.test' },
    { pin: 'x' },
  ]) {
    expect((await wrapper.new(optionsOf('taken', more))).fault?.code).toBe('refused')
    const own = await wrapper.new(optionsOf('taken', { ...more, fallback: true }))
    expect(own).toMatchObject({ route: 'unshared', fault: undefined })
    await own.free()
  }
  await wrapper.close()
})

test('a flood of names is refused at the maximum; memory stays bounded', async () => {
  const wrapper = new TlsWrapper({ daemon: daemon.socket })
  const codes: string[] = []
  for (let at = 0; at < 60; at++) {
    codes.push((await wrapper.new(optionsOf(`flood-${at}`, { port: 9 }))).fault?.code ?? 'none')
  }
  expect(codes.filter((code) => code === 'none').length).toBe(40)
  expect(codes.at(-1)).toBe('refused')
  await wrapper.close()
})

test('a client that never reads its answers is not read any more, and nobody waits for it', async () => {
  const wrapper = new TlsWrapper({ daemon: daemon.socket })
  const made = await wrapper.new(optionsOf('never-read'))
  await made.connect()
  const socket = net.connect({ path: daemon.socket })
  socket.pause()
  socket.write(hello)
  const call = frame(callKinds.stats, '')
  let taken = 0
  const isFull = await new Promise<boolean>((resolve) => {
    const pour = (): void => {
      while (taken < 2_000_000) {
        taken++
        if (!socket.write(call)) break
      }
      if (taken >= 2_000_000) resolve(false)
    }
    socket.on('drain', pour)
    pour()
    // Nothing drains any more once the daemon has stopped to read.
    let last = 0
    const timer = setInterval(() => {
      if (taken !== last) {
        last = taken
        return
      }
      clearInterval(timer)
      resolve(true)
    }, 500)
  })
  expect(isFull).toBe(true)
  await made.write('others go on')
  expect(Buffer.from((await made.read(100)).data).toString()).toBe('others go on')
  socket.destroy()
  await wrapper.close()
})

test('a client that dies in the middle of a write ends that session, and no other', async () => {
  const silent = await startPeer(good, 'silent')
  const wrapper = new TlsWrapper({ daemon: daemon.socket })
  const session = await wrapper.new(optionsOf('half', { port: silent.port }))
  await session.connect()
  const handle = Buffer.concat([Uint8Array.of(1), Buffer.from(session.token, 'hex')])
  const socket = net.connect({ path: daemon.socket })
  const attach = JSON.stringify({ shared: 'half', token: session.token })
  socket.write(hello)
  socket.write(frame(callKinds.new, attach))
  const body = Buffer.concat([handle, Buffer.from('first half')])
  socket.write(frame(callKinds.write, body, { flags: 1, request: 2 }))
  await silent.receives('first half'.length)
  const waiting = session.write('whole')
  socket.destroy()
  expect((await waiting).code).not.toBe('none')
  expect(silent.received().toString()).toBe('first half')
  expect(await session.connect()).toMatchObject({ code: 'none' })
  expect(await session.write('afresh')).toMatchObject({ code: 'none' })
  await wrapper.close()
  await silent.close()
})

/** An SMTP server in plain text that says what a case tells it to. */
async function smtpServer(replies: readonly string[]): Promise<net.Server> {
  const server = net.createServer((socket) => {
    const left = [...replies]
    socket.on('error', () => socket.destroy())
    socket.write(left.shift() ?? '')
    socket.on('data', () => socket.write(left.shift() ?? ''))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

const offer = '250-x\r\n250 STARTTLS\r\n'
const injections = [
  {
    label: 'octets behind the 220',
    replies: ['220 x\r\n', offer, '220 go ahead\r\n250-x\r\n250 AUTH PLAIN\r\n'],
  },
  { label: 'no STARTTLS offered', replies: ['220 x\r\n', '250 x\r\n'] },
  { label: 'STARTTLS refused', replies: ['220 x\r\n', offer, '454 not now\r\n'] },
  { label: 'a greeting that refuses', replies: ['554 go away\r\n'], code: 'syscall' },
  { label: 'a greeting of a busy peer', replies: ['421 4.3.2 busy\r\n'], code: 'syscall' },
  { label: 'EHLO refused', replies: ['220 x\r\n', '502 no\r\n'], code: 'syscall' },
  { label: 'a greeting that is no SMTP', replies: ['HTTP/1.1 400\r\n'], code: 'syscall' },
  { label: 'an endless greeting', replies: [`220-${'x'.repeat(100_000)}`], code: 'syscall' },
  {
    label: 'plain text in place of ServerHello',
    replies: ['220 x\r\n', offer, '220 go\r\n', '250 no TLS\r\n'],
  },
]

for (const shared of [false, 'hostile'] as const) {
  for (const { label, replies, code = 'ssl' } of injections) {
    test(`STARTTLS, ${shared === false ? 'unshared' : 'shared'}: ${label}: the session fails with ${code}`, async () => {
      const server = await smtpServer(replies)
      const { port } = server.address() as net.AddressInfo
      const wrapper = new TlsWrapper({ daemon: daemon.socket })
      const name = shared === false ? false : `${shared}-${port}`
      const session = await wrapper.new(optionsOf(name, { port, starttls: 'smtp' }))
      expect(await session.connect()).toMatchObject({ code })
      expect(await session.lease()).toMatchObject({ code })
      await session.free()
      await wrapper.close()
      server.close()
    })
  }
}

describeWith([needsRoot()], 'other users', () => {
  const nobody = 65_534

  test('A19: another user cannot connect; with the mode widened the kernel’s word still refuses', async () => {
    const folder = folderOfTest()
    chmodSync(folder, 0o755)
    const own = await startDaemon([], { folder })
    const app = startApplication(own.socket, { uid: nobody, gid: nobody })
    const options = optionsOf('theirs')
    expect(await app.ask({ do: 'new', session: 's', options })).toMatchObject({
      code: 'daemonGone',
    })
    chmodSync(own.socket, 0o666)
    expect(await app.ask({ do: 'new', session: 's', options })).toMatchObject({ code: 'refused' })
    await app.end('SIGKILL')
    await own.end('SIGKILL')
  })

  test("A16: a token is its user's: root itself cannot use nobody's, and a name is not shared", async () => {
    const folder = folderOfTest()
    chownSync(folder, nobody, nobody)
    chmodSync(folder, 0o755)
    const theirs = await startDaemon([], { folder, uid: nobody, gid: nobody })
    const app = startApplication(theirs.socket, { uid: nobody, gid: nobody })
    const made = await app.ask({ do: 'new', session: 's', options: optionsOf('mine') })
    expect(made['code']).toBe('none')
    await app.ask({ do: 'connect', session: 's' })
    const wrapper = new TlsWrapper({ daemon: join(folder, 'tls.sock') })
    const foreign = await wrapper.new({ shared: 'mine', token: String(made['token']) })
    expect(foreign.fault?.code).toBe('badToken')
    const sameName = await wrapper.new(optionsOf('mine'))
    expect(sameName.token).not.toBe(made['token'])
    expect(await sameName.activate('anything')).toMatchObject({ code: 'refused' })
    await wrapper.close()
    await app.end('SIGKILL')
    await theirs.end('SIGKILL')
  })

  test('A17: the program runs as the user who registered it; root registers nothing at another’s daemon', async () => {
    const folder = folderOfTest()
    chownSync(folder, nobody, nobody)
    chmodSync(folder, 0o755)
    const output = join(folder, 'who')
    const program = join(folder, 'who.cjs')
    const who = '[process.getuid(), process.geteuid(), process.getgid(), process.cwd()]'
    writeFileSync(
      program,
      `const fs = require('node:fs')
fs.writeFileSync('${output}.new', JSON.stringify(${who}))
fs.renameSync('${output}.new', '${output}')`,
    )
    const words = ['--program', `who=${process.execPath} ${program}`]
    const theirs = await startDaemon(words, { folder, uid: nobody, gid: nobody })
    const app = startApplication(theirs.socket, { uid: nobody, gid: nobody })
    const made = await app.ask({ do: 'new', session: 's', options: optionsOf('who') })
    await app.ask({ do: 'connect', session: 's' })
    expect(made['code']).toBe('none')
    expect(await app.ask({ do: 'activate', session: 's', program: 'who' })).toMatchObject({
      code: 'none',
    })
    const wrapper = new TlsWrapper({ daemon: theirs.socket })
    const ofRoot = await wrapper.new(optionsOf('of-root'))
    expect(await ofRoot.activate('who')).toMatchObject({
      code: 'refused',
      message: expect.stringContaining('user of the daemon'),
    })
    // The peer answers what it hears: octets come, and nobody reads them.
    await app.ask({ do: 'write', session: 's', data: Buffer.from('wake').toString('base64') })
    await expect.poll(() => existsSync(output), { timeout: 30_000 }).toBe(true)
    expect(JSON.parse(readFileSync(output, 'utf8'))).toEqual([nobody, nobody, nobody, '/'])
    await wrapper.close()
    await app.end('SIGKILL')
    await theirs.end('SIGKILL')
  })
})

test('calls cut at every octet are answered as whole ones', async () => {
  const calls = Buffer.concat([hello, frame(callKinds.stats, '', { request: 2 })])
  // Ends in a frame that closes, so that the end can be awaited.
  const last = frame(99, '')
  for (let cut = 1; cut < calls.length; cut++) {
    const answered: Buffer[] = []
    const socket = net.connect({ path: daemon.socket })
    socket.on('data', (chunk: Buffer) => answered.push(chunk))
    await new Promise((resolve) => socket.write(calls.subarray(0, cut), resolve))
    socket.write(calls.subarray(cut))
    while (!Buffer.concat(answered).includes('"queue"')) {
      await new Promise((resolve) => socket.once('data', resolve))
    }
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.write(last)
    await closed
  }
})

describe('any octets behind hello', () => {
  test('frames with random fields and bodies: answers or a close, and the daemon lives', async () => {
    for (let round = 0; round < 40; round++) {
      const frames = Array.from({ length: 20 }, () => {
        const [kind = 0, flags = 0, priority = 0, size = 0] = randomBytes(4)
        const header = { flags: flags & 127, priority, request: round, lease: size & 3 }
        return frame(1 + (kind % 14), randomBytes(size), header)
      })
      // Ends in a frame that closes, so that the end can be awaited.
      await untilClosed(hello, ...frames, frame(99, ''))
    }
  })
})
