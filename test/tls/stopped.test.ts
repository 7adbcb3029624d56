/**
 * A daemon that is stopped (SIGSTOP): it keeps its sockets, and answers nothing. Nobody waits for
 * it longer than the stated limit, and when it goes on it is used again.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { tlsDaemonSilentMsMax } from '../../src/base/limits.ts'
import type { NewOptions } from '../../src/tls/api.ts'
import { DaemonStub } from '../../src/tls/daemon-stub.ts'
import { type TlsSession, TlsWrapper } from '../../src/tls/wrapper.ts'
import type { TlsPeer } from './support/peer.ts'
import { newFolder, type RunningDaemon, run, startDaemon, startWrap } from './support/processes.ts'
import { sessionScene } from './support/session-scene.ts'

const scene = sessionScene()
let peer: TlsPeer
let daemon: RunningDaemon
let wrapper: TlsWrapper
const gone = { code: 'daemonGone', message: expect.stringContaining('silent') }

beforeEach(async () => {
  peer = await scene.peer('echo')
})

/** A daemon and a wrapper. */
async function start(): Promise<void> {
  daemon = await scene.daemon()
  wrapper = scene.wrapper(daemon.socket)
}

function optionsOf(shared: string, more: Partial<NewOptions> = {}): NewOptions {
  return scene.optionsOf(peer.port, shared, more)
}

async function echoes(session: TlsSession, text: string): Promise<void> {
  expect(await session.connect()).toMatchObject({ code: 'none' })
  expect(await session.write(text)).toMatchObject({ code: 'none' })
  expect(Buffer.from((await session.read(1000)).data).toString()).toBe(text)
}

/** The daemon serves this wrapper again: the first session that is shared. */
async function sharedAgain(name: string): Promise<TlsSession> {
  for (;;) {
    const session = await wrapper.new(optionsOf(name, { fallback: true }))
    if (session.route === 'shared') return session
    await session.free()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

test('A8: every call that waits for a stopped daemon says daemonGone', async () => {
  await start()
  const session = await wrapper.new(optionsOf('waits'))
  await echoes(session, 'before')
  process.kill(daemon.pid, 'SIGSTOP')
  const ended = await Promise.all([
    session.read(10),
    session.write('x'),
    session.exchange('x', 10),
    session.write(Buffer.alloc(3 * 1024 * 1024)),
    session.lease(),
    session.connect(),
    session.shutdown(),
    session.activate('program'),
    wrapper.new(optionsOf('another')).then(({ fault }) => fault),
  ])
  for (const end of ended) expect(end).toMatchObject(gone)
  expect(session.getError()).toMatchObject(gone)
})

test('fallback: the session is made here; whoever comes later does not wait at all', async () => {
  await start()
  process.kill(daemon.pid, 'SIGSTOP')
  await echoes(await wrapper.new(optionsOf('here', { fallback: true })), 'first')
  const order: string[] = []
  const later = wrapper.new(optionsOf('here', { fallback: true })).then((session) => {
    order.push('session')
    return session
  })
  setImmediate(() => order.push('turn of the loop'))
  await echoes(await later, 'second')
  expect(order[0]).toBe('session')
  expect((await wrapper.new(optionsOf('here'))).fault).toMatchObject(gone)
})

test('a daemon that goes on is used again, and keeps nothing of those who left it', async () => {
  await start()
  const left = await wrapper.new(optionsOf('left', { sessions: 1 }))
  await left.connect()
  expect(await left.lease()).toMatchObject({ code: 'none' })
  process.kill(daemon.pid, 'SIGSTOP')
  expect((await wrapper.new(optionsOf('left', { fallback: true }))).route).toBe('unshared')
  process.kill(daemon.pid, 'SIGCONT')
  const session = await sharedAgain('left')
  const lease = await session.lease()
  expect(lease).toMatchObject({ code: 'none' })
  const stub = new DaemonStub(daemon.socket)
  const shown = { sessions: [{ name: 'left', holders: 1, leased: 1, waiting: 0 }] }
  await expect.poll(() => stub.statistics(), { timeout: 20_000 }).toMatchObject(shown)
  stub.close()
})

test('A8: stopped before its hello, then used, then stopped again: daemonGone again', async () => {
  await start()
  process.kill(daemon.pid, 'SIGSTOP')
  expect((await wrapper.new(optionsOf('twice', { fallback: true }))).route).toBe('unshared')
  process.kill(daemon.pid, 'SIGCONT')
  const session = await sharedAgain('twice')
  await echoes(session, 'in between')
  process.kill(daemon.pid, 'SIGSTOP')
  expect(await session.read(10)).toMatchObject(gone)
})

test('a daemon that starts in the place of a stopped one is used by the next who asks', async () => {
  const folder = newFolder()
  scene.atEnd(() => rmSync(folder, { recursive: true, force: true }))
  const stopped = await startDaemon([], { folder })
  wrapper = new TlsWrapper({ daemon: stopped.socket })
  scene.atEnd(() => wrapper.close())
  process.kill(stopped.pid, 'SIGSTOP')
  expect((await wrapper.new(optionsOf('next', { fallback: true }))).route).toBe('unshared')
  await stopped.end('SIGKILL')
  const fresh = await startDaemon([], { folder })
  scene.atEnd(() => fresh.end('SIGKILL'))
  await echoes(await sharedAgain('next'), 'from the new one')
})

test('how each attempt to reach the daemon ended is told, also by one who missed its death', async () => {
  const folder = newFolder()
  scene.atEnd(() => rmSync(folder, { recursive: true, force: true }))
  const told: string[] = []
  const socket = join(folder, 'tls.sock')
  wrapper = new TlsWrapper({ daemon: socket, onDaemon: ({ code }) => told.push(code) })
  scene.atEnd(() => wrapper.close())
  const attempt = async () => (await wrapper.new(optionsOf('told', { fallback: true }))).route
  for (let time = 0; time < 2; time++) expect(await attempt()).toBe('unshared')
  for (let life = 0; life < 2; life++) {
    const one = await startDaemon([], { folder })
    await expect.poll(attempt, { timeout: 20_000 }).toBe('shared')
    await one.end('SIGKILL')
  }
  expect(told).toEqual(['daemonGone', 'daemonGone', 'none', 'none'])
})

test('a read may wait for its peer longer than the daemon may be silent', async () => {
  await start()
  const session = await wrapper.new(optionsOf('patient'))
  await session.connect()
  const reading = session.read(100)
  await new Promise((resolve) => setTimeout(resolve, 1.5 * tlsDaemonSilentMsMax))
  peer.sockets.at(-1)?.write('at last')
  expect(Buffer.from((await reading).data).toString()).toBe('at last')
})

test('tls sessions of a stopped daemon ends with status 1', async () => {
  await start()
  process.kill(daemon.pid, 'SIGSTOP')
  const command = run('src/cli/activemx.js', ['tls', 'sessions', '--socket', daemon.socket])
  await command.gone
  expect(command.child.exitCode).toBe(1)
})

test('tls wrap --api before a stopped daemon: daemonGone for shared, unshared goes on', async () => {
  await start()
  const folder = newFolder()
  scene.atEnd(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'api.sock')
  const wrap = await startWrap('--api', path, '--daemon', daemon.socket)
  scene.atEnd(() => wrap.end('SIGKILL'))
  const stub = new DaemonStub(path)
  scene.atEnd(() => stub.close())
  const own = await stub.new({ ...optionsOf('own'), shared: false })
  expect(await stub.connect(own)).toMatchObject({ code: 'none' })
  const shared = await stub.new(optionsOf('by-wrap'))
  process.kill(daemon.pid, 'SIGSTOP')
  expect(await stub.connect(shared)).toMatchObject(gone)
  expect((await stub.new(optionsOf('by-wrap'))).fault).toMatchObject(gone)
  expect(await stub.write(own, Buffer.from('still here'))).toMatchObject({ code: 'none' })
  expect(Buffer.from((await stub.read(own, 100)).data).toString()).toBe('still here')
})
