/**
 * A2: wrapper, wrapper process, daemon and both kinds of session speak one interface: the same
 * function holds the same conversation with each of them and sees the same answers.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { NewOptions, TlsCalls } from '../../src/tls/api.ts'
import { GroupCalls } from '../../src/tls/calls.ts'
import { DaemonStub } from '../../src/tls/daemon-stub.ts'
import { OwnSessions } from '../../src/tls/own-sessions.ts'
import { type Client, SharedSessions } from '../../src/tls/shared-sessions.ts'
import { ApiWrap } from '../../src/tls/wrap-api.ts'
import { TlsWrapper } from '../../src/tls/wrapper.ts'
import { type Authority, makeAuthority } from './support/certificates.ts'
import { startPeer, type TlsPeer } from './support/peer.ts'
import { newFolder, type RunningDaemon, startDaemon } from './support/processes.ts'

let authority: Authority
let peer: TlsPeer
let daemon: RunningDaemon
let folder: string
let wrapProcess: ApiWrap

beforeAll(async () => {
  authority = makeAuthority()
  peer = await startPeer(authority.issue('peer.test'))
  daemon = await startDaemon()
  folder = newFolder()
  wrapProcess = await ApiWrap.start(join(folder, 'api.sock'), daemon.socket)
})
afterAll(async () => {
  await wrapProcess.stop()
  await daemon.end()
  await peer.close()
  authority.remove()
  rmSync(folder, { recursive: true, force: true })
})

/** Every call of the interface, once, and what each answered. */
async function converse(calls: TlsCalls, shared: string | false): Promise<readonly unknown[]> {
  const to = { host: '127.0.0.1', port: peer.port, ca: authority.ca, servername: 'peer.test' }
  const options: NewOptions = { shared, ...to }
  const session = await calls.new(options)
  const seen: unknown[] = [session.fault, (await calls.connect(session)).code]
  seen.push((await calls.accept(session)).code)
  const lease = await calls.lease(session)
  seen.push(lease.code)
  seen.push(await calls.write(session, Buffer.from('ten octets'), { lease: lease.id }))
  const read = await calls.read(session, 100, { lease: lease.id })
  seen.push(read.code, Buffer.from(read.data).toString(), calls.pending(session))
  seen.push((await lease.release()).code, (await lease.release()).code)
  seen.push((await calls.read(session, 1, { wait: false })).code, calls.getError(session).code)
  seen.push((await calls.shutdown(session)).code, (await calls.free(session)).code)
  seen.push((await calls.write(session, Buffer.from('x'))).code)
  return seen
}

const written = { code: 'none', message: '', written: 10 }
const data = ['none', 'ten octets', 0]
const want = [
  // `accept` without `listen` is a fault of the call.
  ...[undefined, 'none', 'syscall', 'none', written, ...data],
  ...['none', 'refused', 'wantRead', 'wantRead', 'none', 'none', 'badToken'],
]

const hops: readonly {
  readonly hop: string
  readonly shared: string | false
  readonly calls: () => TlsCalls
}[] = [
  {
    hop: 'application → wrapper, unshared',
    shared: false,
    calls: () => new TlsWrapper({ daemon: daemon.socket }),
  },
  {
    hop: 'application → wrapper, shared',
    shared: 'hop-wrapper',
    calls: () => new TlsWrapper({ daemon: daemon.socket }),
  },
  { hop: 'wrapper → unshared session', shared: false, calls: () => new OwnSessions() },
  { hop: 'wrapper → daemon', shared: 'hop-daemon', calls: () => new DaemonStub(daemon.socket) },
  {
    hop: 'application → wrapper process, unshared',
    shared: false,
    calls: () => new DaemonStub(join(folder, 'api.sock')),
  },
  {
    hop: 'application → wrapper process, shared',
    shared: 'hop-process',
    calls: () => new DaemonStub(join(folder, 'api.sock')),
  },
  {
    hop: 'daemon → shared session',
    shared: 'hop-session',
    calls: () => {
      const holder: Client = { userId: process.getuid?.() ?? 0 }
      return new GroupCalls(new SharedSessions({ kind: 'fifo' }, 40), holder)
    },
  },
]

for (const { hop, shared, calls } of hops) {
  test(`A2: ${hop}: the one interface, the same answers`, async () => {
    expect(await converse(calls(), shared)).toEqual(want)
  })
}

test('A9: a name asked for many times at once, by two applications, is one session', async () => {
  const before = peer.handshakes()
  const applications = [new DaemonStub(daemon.socket), new DaemonStub(daemon.socket)]
  const to = { host: '127.0.0.1', port: peer.port, ca: authority.ca, servername: 'peer.test' }
  const sessions = await Promise.all(
    [...applications, ...applications, ...applications].map(async (calls) => {
      const session = await calls.new({ shared: 'at-once', ...to })
      const { code } = await calls.connect(session)
      await calls.write(session, Buffer.from('x'))
      return { token: session.token, code, read: (await calls.read(session, 1)).code }
    }),
  )
  expect(new Set(sessions.map(({ token }) => token)).size).toBe(1)
  expect(sessions.filter(({ code, read }) => code !== 'none' || read !== 'none')).toEqual([])
  expect(peer.handshakes() - before).toBe(1)
  for (const calls of applications) calls.close()
})
