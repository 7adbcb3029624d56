/**
 * Several processes and one session: what only real processes show, up to the daemon's end.
 */
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { DaemonStub } from '../../src/tls/daemon-stub.ts'
import { TlsWrapper } from '../../src/tls/wrapper.ts'
import { describeWith, needsRoot } from '../support/needs.ts'
import { layCable } from './support/peer.ts'
import { newFolder, startDaemon, startWrap } from './support/processes.ts'
import { base64, open, sessionScene, textOf } from './support/session-scene.ts'

const scene = sessionScene()

/** A daemon, a wrapper before it as a process of its own, and a peer that says everything back. */
async function wrapped() {
  const daemon = await scene.daemon()
  const peer = await scene.peer('echo')
  const folder = newFolder()
  const api = join(folder, 'api.sock')
  const wrap = await startWrap('--api', api, '--daemon', daemon.socket)
  scene.atEnd(() => rmSync(folder, { recursive: true }))
  scene.atEnd(() => wrap.end('SIGKILL'))
  return { daemon, peer, api, wrap }
}

// Neither wrapper nor daemon has core dumps: whose sockets are whose, /proc tells root alone.
describeWith([needsRoot()], 'A1: whose socket it is', () => {
  test('A1: application, wrapper and daemon are three processes; the socket to the peer is the daemon’s', async () => {
    const { daemon, peer, api, wrap } = await wrapped()
    const app = scene.application(api)
    await open(app, scene.optionsOf(peer.port, 'three'))
    await app.ask({ do: 'write', session: 's', data: base64('through three') })
    expect(textOf(await app.ask({ do: 'read', session: 's' }))).toBe('through three')
    // The daemon's own descriptors cannot be read (it is not dumpable); it is the one that is left.
    const owners = [app, wrap].filter(({ pid }) => ownsConnectionTo(pid, peer.port))
    expect(owners).toEqual([])
    expect(connectionsTo(peer.port).length).toBe(1)
    expect(new Set([app.pid, wrap.pid, daemon.pid]).size).toBe(3)
  })

  test('A1: the wrapper process routes by the first parameter: unshared without a daemon, shared codes', async () => {
    const peer = await scene.peer('echo')
    const folder = newFolder()
    const api = join(folder, 'api.sock')
    const nowhere = join(folder, 'nobody.sock')
    const wrap = await startWrap('--api', api, '--daemon', nowhere)
    scene.atEnd(() => rmSync(folder, { recursive: true }))
    scene.atEnd(() => wrap.end('SIGKILL'))
    // The stub speaks the frames to the wrapper's process for both routes.
    const stub = new DaemonStub(api)
    const own = await stub.new({ ...scene.optionsOf(peer.port, 'x'), shared: false })
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
    const shared = await stub.new(scene.optionsOf(peer.port, 'x'))
    expect(shared.fault?.code).toBe('daemonGone')
    stub.close()
  })
})

test('A9, A6: one handshake, octets of two processes; one reads while the other writes', async () => {
  const daemon = await scene.daemon()
  const peer = await scene.peer('echo')
  const [one, other] = [scene.application(daemon.socket), scene.application(daemon.socket)]
  await Promise.all([one, other].map((app) => open(app, scene.optionsOf(peer.port, 'one'))))
  const reading = one.ask({ do: 'read', session: 's' })
  await other.ask({ do: 'write', session: 's', data: base64('from the other') })
  expect(textOf(await reading)).toBe('from the other')
  await one.ask({ do: 'write', session: 's', data: base64('from the one') })
  expect(textOf(await other.ask({ do: 'read', session: 's' }))).toBe('from the one')
  expect(one.pid).not.toBe(other.pid)
  expect(peer.handshakes()).toBe(1)
})

test('A5: a shared write shows no plain text on the wire', async () => {
  const daemon = await scene.daemon()
  const peer = await scene.peer('echo')
  const cable = await layCable(peer.port)
  scene.atEnd(() => cable.close())
  const app = scene.application(daemon.socket)
  await open(app, scene.optionsOf(cable.port, 'wire'))
  const secret = 'a very secret text that must not be seen '.repeat(100)
  await app.ask({ do: 'write', session: 's', data: base64(secret) })
  await peer.receives(secret.length)
  expect(peer.received().toString()).toBe(secret)
  expect(cable.toPeer().length).toBeGreaterThan(secret.length)
  expect(cable.toPeer().includes('secret')).toBe(false)
  expect(cable.toPeer().includes('very')).toBe(false)
})

test('A8: the daemon is killed: every call that waits and every later one says daemonGone', async () => {
  const daemon = await scene.daemon()
  const peer = await scene.peer('silent')
  const wrapper = new TlsWrapper({ daemon: daemon.socket })
  const session = await wrapper.new(scene.optionsOf(peer.port, 'killed'))
  await session.connect()
  const waiting = [session.read(10), session.read(10)]
  await daemon.end('SIGKILL')
  expect((await Promise.all(waiting)).map((end) => end.code)).toEqual(['daemonGone', 'daemonGone'])
  expect(await session.write('x')).toMatchObject({ code: 'daemonGone', written: 0 })
  const fallen = await wrapper.new(scene.optionsOf(peer.port, 'killed', { fallback: true }))
  expect(fallen.route).toBe('unshared')
  expect(await fallen.connect()).toMatchObject({ code: 'none' })
  await wrapper.close()
})

test('A17: activate on an unshared session is refused, and ends nobody’s connection', async () => {
  const { daemon, peer, api } = await wrapped()
  const shared = scene.optionsOf(peer.port, 'beside')
  const wrapper = scene.wrapper(daemon.socket)
  const beside = await wrapper.new(shared)
  await beside.connect()
  const own = await wrapper.new({ ...shared, shared: false })
  expect(await own.activate('any')).toMatchObject({ code: 'refused' })
  expect(Buffer.from((await beside.exchange('lives', 5)).data).toString()).toBe('lives')
  // The frames themselves, at the wrapper's process and at the daemon.
  for (const path of [api, daemon.socket]) {
    const stub = new DaemonStub(path)
    const handle = await stub.new(shared)
    const unshared = { route: 'unshared', token: handle.token } as const
    expect(await stub.activate(unshared, 'any')).toMatchObject({ code: 'refused' })
    const end = await stub.exchange(handle, Buffer.from('lives'), 5)
    expect(Buffer.from(end.data).toString()).toBe('lives')
    stub.close()
  }
})

test('a daemon that starts again on the same socket serves; the old handle is a bad token', async () => {
  const folder = newFolder()
  scene.atEnd(() => rmSync(folder, { recursive: true }))
  const first = await startDaemon([], { folder })
  const peer = await scene.peer('echo')
  const wrapper = new TlsWrapper({ daemon: first.socket })
  const old = await wrapper.new(scene.optionsOf(peer.port, 'again'))
  await old.connect()
  await first.end('SIGKILL')
  const second = await startDaemon([], { folder })
  scene.atEnd(() => second.end('SIGKILL'))
  expect(await old.write('x')).toMatchObject({ code: 'daemonGone' })
  const fresh = await wrapper.new(scene.optionsOf(peer.port, 'again'))
  expect(await fresh.connect()).toMatchObject({ code: 'none' })
  expect(await old.write('x')).toMatchObject({ code: 'badToken' })
  await wrapper.close()
})

test('A19: the socket is the user’s alone from its first moment', async () => {
  const daemon = await scene.daemon()
  expect(statSync(daemon.socket).mode & 0o777).toBe(0o600)
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
