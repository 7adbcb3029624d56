/**
 * Several processes and one session: what only real processes show.
 */
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { NewOptions } from '../../src/tls/api.ts'
import { DaemonStub } from '../../src/tls/daemon-stub.ts'
import { TlsWrapper } from '../../src/tls/wrapper.ts'
import { type Authority, type Identity, makeAuthority } from './support/certificates.ts'
import { layCable, startPeer, type TlsPeer } from './support/peer.ts'
import {
  type Application,
  newFolder,
  type RunningDaemon,
  startApplication,
  startDaemon,
  startWrap,
} from './support/processes.ts'

let authority: Authority
let good: Identity
const ends: (() => unknown)[] = []

beforeAll(() => {
  authority = makeAuthority()
  good = authority.issue('peer.test')
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})
afterAll(() => authority.remove())

async function daemonWith(...words: readonly string[]): Promise<RunningDaemon> {
  const daemon = await startDaemon(words)
  ends.push(() => daemon.end('SIGKILL'))
  return daemon
}

async function peerWith(behaviour: 'echo' | 'silent'): Promise<TlsPeer> {
  const peer = await startPeer(good, behaviour)
  ends.push(() => peer.close())
  return peer
}

function application(socket: string): Application {
  const started = startApplication(socket)
  ends.push(() => started.end('SIGKILL'))
  return started
}

function optionsOf(port: number, shared: string, more: Partial<NewOptions> = {}): NewOptions {
  return { shared, host: '127.0.0.1', port, ca: authority.ca, servername: 'peer.test', ...more }
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const textOf = (answer: Record<string, unknown>): string =>
  Buffer.from(String(answer['data']), 'base64').toString()

async function open(from: Application, options: NewOptions): Promise<string> {
  const made = await from.ask({ do: 'new', session: 's', options })
  expect(made['code']).toBe('none')
  expect(await from.ask({ do: 'connect', session: 's' })).toMatchObject({ code: 'none' })
  return String(made['token'])
}

test('A1: application, wrapper and daemon are three processes; the socket to the peer is the daemon’s', async () => {
  const daemon = await daemonWith()
  const peer = await peerWith('echo')
  const folder = newFolder()
  const api = join(folder, 'api.sock')
  const wrap = await startWrap('--api', api, '--daemon', daemon.socket)
  ends.push(
    () => rmSync(folder, { recursive: true }),
    () => wrap.end('SIGKILL'),
  )
  const app = application(api)
  await open(app, optionsOf(peer.port, 'three'))
  await app.ask({ do: 'write', session: 's', data: base64('through three') })
  expect(textOf(await app.ask({ do: 'read', session: 's' }))).toBe('through three')
  // The daemon's own descriptors cannot be read (it is not dumpable); it is the one that is left.
  const owners = [app, wrap].filter(({ pid }) => ownsConnectionTo(pid, peer.port))
  expect(owners).toEqual([])
  expect(connectionsTo(peer.port).length).toBe(1)
  expect(new Set([app.pid, wrap.pid, daemon.pid]).size).toBe(3)
})

test('A1: the wrapper process routes by the first parameter: unshared without a daemon, shared codes', async () => {
  const peer = await peerWith('echo')
  const folder = newFolder()
  const api = join(folder, 'api.sock')
  const nowhere = join(folder, 'nobody.sock')
  const wrap = await startWrap('--api', api, '--daemon', nowhere)
  ends.push(
    () => rmSync(folder, { recursive: true }),
    () => wrap.end('SIGKILL'),
  )
  // The stub speaks the frames to the wrapper's process for both routes.
  const stub = new DaemonStub(api)
  const own = await stub.new({ ...optionsOf(peer.port, 'x'), shared: false })
  expect(own.route).toBe('unshared')
  expect(await stub.connect(own)).toMatchObject({ code: 'none' })
  expect(ownsConnectionTo(wrap.pid, peer.port)).toBe(true)
  const data = randomBytes(200_000)
  const written = stub.write(own, data)
  const parts: Uint8Array[] = []
  for (let left = data.length; left > 0; ) {
    const { data: part } = await stub.read(own, left)
    parts.push(part)
    left -= part.length
  }
  expect((await written).written).toBe(data.length)
  expect(Buffer.concat(parts).equals(data)).toBe(true)
  const shared = await stub.new(optionsOf(peer.port, 'x'))
  expect(shared.fault?.code).toBe('daemonGone')
  stub.close()
})

test('A9, A6: one handshake, octets of two processes; one reads while the other writes', async () => {
  const daemon = await daemonWith()
  const peer = await peerWith('echo')
  const [one, other] = [application(daemon.socket), application(daemon.socket)]
  await Promise.all([one, other].map((app) => open(app, optionsOf(peer.port, 'one'))))
  const reading = one.ask({ do: 'read', session: 's' })
  await other.ask({ do: 'write', session: 's', data: base64('from the other') })
  expect(textOf(await reading)).toBe('from the other')
  await one.ask({ do: 'write', session: 's', data: base64('from the one') })
  expect(textOf(await other.ask({ do: 'read', session: 's' }))).toBe('from the one')
  expect(one.pid).not.toBe(other.pid)
  expect(peer.handshakes()).toBe(1)
})

test('A5: a shared write shows no plain text on the wire', async () => {
  const daemon = await daemonWith()
  const peer = await peerWith('echo')
  const cable = await layCable(peer.port)
  ends.push(() => cable.close())
  const app = application(daemon.socket)
  await open(app, optionsOf(cable.port, 'wire'))
  const secret = 'a very secret text that must not be seen '.repeat(100)
  await app.ask({ do: 'write', session: 's', data: base64(secret) })
  await peer.receives(secret.length)
  expect(peer.received().toString()).toBe(secret)
  expect(cable.toPeer().length).toBeGreaterThan(secret.length)
  expect(cable.toPeer().includes('secret')).toBe(false)
  expect(cable.toPeer().includes('very')).toBe(false)
})

test('A8: the daemon is killed: every call that waits and every later one says daemonGone', async () => {
  const daemon = await daemonWith()
  const peer = await peerWith('silent')
  const wrapper = new TlsWrapper({ daemon: daemon.socket })
  const session = await wrapper.new(optionsOf(peer.port, 'killed'))
  await session.connect()
  const waiting = [session.read(10), session.read(10)]
  await daemon.end('SIGKILL')
  expect((await Promise.all(waiting)).map((end) => end.code)).toEqual(['daemonGone', 'daemonGone'])
  expect(await session.write('x')).toMatchObject({ code: 'daemonGone', written: 0 })
  const fallen = await wrapper.new(optionsOf(peer.port, 'killed', { fallback: true }))
  expect(fallen.route).toBe('unshared')
  expect(await fallen.connect()).toMatchObject({ code: 'none' })
  await wrapper.close()
})

test('a daemon that starts again on the same socket serves; the old handle is a bad token', async () => {
  const folder = newFolder()
  ends.push(() => rmSync(folder, { recursive: true }))
  const first = await startDaemon([], { folder })
  const peer = await peerWith('echo')
  const wrapper = new TlsWrapper({ daemon: first.socket })
  const old = await wrapper.new(optionsOf(peer.port, 'again'))
  await old.connect()
  await first.end('SIGKILL')
  const second = await startDaemon([], { folder })
  ends.push(() => second.end('SIGKILL'))
  expect(await old.write('x')).toMatchObject({ code: 'daemonGone' })
  const fresh = await wrapper.new(optionsOf(peer.port, 'again'))
  expect(await fresh.connect()).toMatchObject({ code: 'none' })
  expect(await old.write('x')).toMatchObject({ code: 'badToken' })
  await wrapper.close()
})

/**
 * Queues labelled writes of several processes behind a lease, in order; then gives the lease back.
 */
async function queueBehindLease(
  daemon: RunningDaemon,
  peer: TlsPeer,
  calls: readonly { readonly label: string; readonly priority: number }[],
): Promise<string> {
  const holder = application(daemon.socket)
  await open(holder, optionsOf(peer.port, 'queue'))
  await holder.ask({ do: 'lease', session: 's', lease: 'l' })
  const watch = new TlsWrapper({ daemon: daemon.socket })
  const session = await watch.new(optionsOf(peer.port, 'queue'))
  // One process makes the calls, so that their order of arrival is the order here.
  const writes = calls.map(({ label, priority }) => session.write(label, { priority }))
  await session.read(1, { wait: false })
  await holder.ask({ do: 'release', lease: 'l' })
  await Promise.all(writes)
  await peer.receives(calls.length)
  await watch.close()
  return peer.received().toString()
}

test('A10: calls that wait are served first in, first out, whatever their priority', async () => {
  const daemon = await daemonWith('--queue', 'fifo')
  const peer = await peerWith('silent')
  const calls = [...'abcdefgh'].map((label, at) => ({ label, priority: at }))
  expect(await queueBehindLease(daemon, peer, calls)).toBe('abcdefgh')
})

test('A11: with priority a late high call overtakes the low ones; equals stay in order', async () => {
  const daemon = await daemonWith('--queue', 'priority')
  const peer = await peerWith('silent')
  const low = [...'abcd'].map((label) => ({ label, priority: 0 }))
  const calls = [...low, { label: 'H', priority: 9 }, { label: 'I', priority: 9 }]
  expect(await queueBehindLease(daemon, peer, calls)).toBe('HIabcd')
})

test('A12: a session that waits for its peer stops no other session', async () => {
  const daemon = await daemonWith()
  const stuck = await peerWith('silent')
  const echo = await peerWith('echo')
  const wrapper = new TlsWrapper({ daemon: daemon.socket })
  ends.push(() => wrapper.close())
  const blocked = await wrapper.new(optionsOf(stuck.port, 'stuck'))
  await blocked.connect()
  ;(await stuck.connection(0)).pause()
  const reading = blocked.read(1)
  let isWritten = false
  const writing = blocked.write(Buffer.alloc(20_000_000)).then(() => {
    isWritten = true
  })
  const other = new TlsWrapper({ daemon: daemon.socket })
  ends.push(() => other.close())
  const free = await other.new(optionsOf(echo.port, 'free'))
  await free.connect()
  await free.write('still served')
  expect(Buffer.from((await free.read(100)).data).toString()).toBe('still served')
  expect(isWritten).toBe(false)
  await daemon.end('SIGKILL')
  expect((await reading).code).toBe('daemonGone')
  await writing
})

test('A15: a session outlives its application; the sweeper frees it when it was idle', async () => {
  const daemon = await daemonWith()
  const peer = await peerWith('echo')
  const first = application(daemon.socket)
  await open(first, optionsOf(peer.port, 'lasting'))
  await first.end('SIGKILL')
  const second = application(daemon.socket)
  await open(second, optionsOf(peer.port, 'lasting'))
  await second.ask({ do: 'write', session: 's', data: base64('hello') })
  expect(textOf(await second.ask({ do: 'read', session: 's' }))).toBe('hello')
  expect(peer.handshakes()).toBe(1)
  const third = application(daemon.socket)
  await open(third, optionsOf(peer.port, 'brief', { idleMs: 50 }))
  await third.end('SIGKILL')
  await peer.ended(1)
  expect(await second.ask({ do: 'write', session: 's', data: base64('x') })).toMatchObject({
    code: 'none',
  })
})

test('A16: a token opens the session for another process; it names its daemon and is random', async () => {
  const daemon = await daemonWith()
  const peer = await peerWith('echo')
  const wrapper = new TlsWrapper({ daemon: daemon.socket })
  ends.push(() => wrapper.close())
  const made = await wrapper.new(optionsOf(peer.port, 'token'))
  await made.connect()
  const other = await wrapper.new(optionsOf(peer.port, 'token two'.replace(' ', '-')))
  expect(made.token).toMatch(/^[0-9a-f]{48}$/)
  expect(made.token.slice(0, 16)).toBe(other.token.slice(0, 16))
  expect(made.token.slice(16)).not.toBe(other.token.slice(16))
  const app = application(daemon.socket)
  const options = { shared: 'whatever', token: made.token }
  expect(await app.ask({ do: 'new', session: 's', options })).toMatchObject({ code: 'none' })
  await app.ask({ do: 'write', session: 's', data: base64('by token') })
  expect(Buffer.from((await made.read(100)).data).toString()).toBe('by token')
})

test('A16: forged, stale and foreign tokens are refused, and name nothing', async () => {
  const [daemon, foreign] = [await daemonWith(), await daemonWith()]
  const peer = await peerWith('echo')
  const wrapper = new TlsWrapper({ daemon: daemon.socket })
  const elsewhere = new TlsWrapper({ daemon: foreign.socket })
  ends.push(
    () => wrapper.close(),
    () => elsewhere.close(),
  )
  const mine = await wrapper.new(optionsOf(peer.port, 'mine'))
  const theirs = await elsewhere.new(optionsOf(peer.port, 'theirs'))
  const stale = await wrapper.new(optionsOf(peer.port, 'stale', { idleMs: 1 }))
  await stale.free()
  const flipped = mine.token.slice(0, -1) + (mine.token.endsWith('0') ? '1' : '0')
  const forged = mine.token.slice(0, 16) + randomBytes(16).toString('hex')
  await untilFreed(daemon.socket, 'stale')
  for (const token of [flipped, forged, theirs.token, stale.token]) {
    const made = await wrapper.new({ shared: 'x', token })
    expect(made.fault?.code).toBe('badToken')
    expect((await made.read(1)).code).toBe('badToken')
    const direct = { route: 'shared', token } as const
    expect((await wrapper.write(direct, 'x')).code).toBe('badToken')
    expect((await wrapper.lease(direct)).code).toBe('badToken')
    expect((await wrapper.shutdown(direct)).code).toBe('badToken')
  }
})

/** Waits until the daemon's figures no longer show a session. */
async function untilFreed(socket: string, name: string): Promise<void> {
  const stub = new DaemonStub(socket)
  for (;;) {
    const statistics = await stub.statistics()
    if ('code' in statistics) throw new Error(statistics.message)
    if (statistics.sessions.every((session) => session.name !== name)) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  stub.close()
}

test('A17: octets for a session that nobody reads start its program once; it reads them', async () => {
  const folder = newFolder()
  ends.push(() => rmSync(folder, { recursive: true }))
  const program = join(folder, 'on-receipt.mjs')
  const output = join(folder, 'output')
  const library = new URL('../../dist/src/index.js', import.meta.url).pathname
  writeFileSync(program, receiver(library, output))
  chmodSync(program, 0o755)
  const daemon = await daemonWith('--program', `receiver=${process.execPath} ${program}`)
  const peer = await peerWith('silent')
  const app = application(daemon.socket)
  await open(app, optionsOf(peer.port, 'activated'))
  const refused = await app.ask({ do: 'activate', session: 's', program: '/bin/sh' })
  expect(refused).toMatchObject({ code: 'refused' })
  expect(await app.ask({ do: 'activate', session: 's', program: 'receiver' })).toMatchObject({
    code: 'none',
  })
  await app.end('SIGKILL')
  const socket = await peer.connection(0)
  socket.write('wake up')
  await peer.receives('read: wake up'.length)
  expect(peer.received().toString()).toBe('read: wake up')
  socket.write('nobody is registered any more')
  const second = application(daemon.socket)
  await open(second, optionsOf(peer.port, 'activated'))
  expect(textOf(await second.ask({ do: 'read', session: 's' }))).toBe(
    'nobody is registered any more',
  )
  expect(readFileSync(output, 'utf8')).toBe('started\n')
})

function receiver(library: string, output: string): string {
  return `
import { appendFileSync } from 'node:fs'
import { TlsWrapper } from ${JSON.stringify(library)}
appendFileSync(${JSON.stringify(output)}, 'started\\n')
const wrapper = new TlsWrapper({ daemon: process.env.ACTIVEMX_TLS_SOCKET })
const session = await wrapper.new({ shared: 'me', token: process.env.ACTIVEMX_TLS_TOKEN })
const { data } = await session.read(100)
await session.write('read: ' + Buffer.from(data).toString())
await wrapper.close()
`
}

test('A19: the socket is the user’s alone from its first moment', async () => {
  const daemon = await daemonWith()
  expect(statSync(daemon.socket).mode & 0o777).toBe(0o600)
})

describe('A20: leases', () => {
  test('a conversation is nobody else’s: other tenants and common calls wait for its end', async () => {
    const daemon = await daemonWith()
    const peer = await peerWith('silent')
    const [one, two, common] = [1, 2, 3].map(() => application(daemon.socket)) as [
      Application,
      Application,
      Application,
    ]
    for (const app of [one, two, common]) await open(app, optionsOf(peer.port, 'leased'))
    await one.ask({ do: 'lease', session: 's', lease: 'l' })
    const second = two.ask({ do: 'lease', session: 's', lease: 'l' })
    await two.ask({ do: 'pid' })
    const third = common.ask({ do: 'write', session: 's', data: base64('C') })
    await common.ask({ do: 'pid' })
    await one.ask({ do: 'write', session: 's', lease: 'l', data: base64('A') })
    await one.ask({ do: 'write', session: 's', lease: 'l', data: base64('A') })
    await one.ask({ do: 'release', lease: 'l' })
    await second
    await two.ask({ do: 'write', session: 's', lease: 'l', data: base64('B') })
    await two.ask({ do: 'release', lease: 'l' })
    await third
    await peer.receives(4)
    expect(peer.received().toString()).toBe('AABC')
    expect(peer.handshakes()).toBe(1)
  })

  test('a holder that dies gives its lease back to the one who waits', async () => {
    const daemon = await daemonWith()
    const peer = await peerWith('echo')
    const [dying, heir] = [application(daemon.socket), application(daemon.socket)]
    await open(dying, optionsOf(peer.port, 'heritage'))
    await open(heir, optionsOf(peer.port, 'heritage'))
    await dying.ask({ do: 'lease', session: 's', lease: 'l' })
    const waiting = heir.ask({ do: 'lease', session: 's', lease: 'l' })
    await heir.ask({ do: 'pid' })
    await dying.end('SIGKILL')
    expect(await waiting).toMatchObject({ code: 'none' })
    await heir.ask({ do: 'write', session: 's', lease: 'l', data: base64('mine now') })
    expect(textOf(await heir.ask({ do: 'read', session: 's', lease: 'l' }))).toBe('mine now')
  })

  test('a lease held too long is taken back; its calls answer refused', async () => {
    const daemon = await daemonWith()
    const peer = await peerWith('echo')
    const wrapper = new TlsWrapper({ daemon: daemon.socket })
    ends.push(() => wrapper.close())
    const session = await wrapper.new(optionsOf(peer.port, 'slow', { leaseMs: 100 }))
    await session.connect()
    const lease = await session.lease()
    expect(await session.read(10, { lease: lease.id })).toMatchObject({ code: 'refused' })
    expect((await session.lease()).code).toBe('none')
  })
})

/**
 * Does a process own a TCP connection to a port? By /proc: its descriptors and the table of
 * sockets.
 */
function ownsConnectionTo(pid: number, port: number): boolean {
  return connectionsTo(port).some((inode) => holdsSocket(pid, inode))
}

/** The inodes of the established connections to a port. */
function connectionsTo(port: number): readonly string[] {
  const remote = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1)
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter((fields) => fields[2]?.endsWith(remote) === true && fields[3] === '01')
    .map((fields) => fields[9] ?? '')
}

function holdsSocket(pid: number, inode: string): boolean {
  return readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`
    } catch {
      return false // Closed meanwhile.
    }
  })
}
