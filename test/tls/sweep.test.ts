/**
 * The sweeper of the daemon's sessions, in the test's own process, with the test's own clock.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { SessionHandle } from '../../src/tls/api.ts'
import { GroupCalls } from '../../src/tls/calls.ts'
import { type Client, SharedSessions } from '../../src/tls/shared-sessions.ts'
import { type Authority, makeAuthority } from './support/certificates.ts'
import { startPeer, type TlsPeer } from './support/peer.ts'

let authority: Authority
let peer: TlsPeer
let sessions: SharedSessions
let calls: GroupCalls
let session: SessionHandle

const client: Client = { userId: 1 }
const sweepNow = (): void => sessions.sweep(performance.now())
const waiting = { timeout: 60_000 }

beforeAll(() => {
  authority = makeAuthority()
})
beforeEach(async () => {
  peer = await startPeer(authority.issue('peer.test'))
  sessions = new SharedSessions({ kind: 'fifo' }, 40)
  calls = new GroupCalls(sessions, client)
  const to = { host: '127.0.0.1', port: peer.port, ca: authority.ca, servername: 'peer.test' }
  session = await calls.new({ shared: 'swept', ...to })
  expect(await calls.connect(session)).toMatchObject({ code: 'none' })
})
afterEach(async () => {
  await sessions.close()
  await peer.close()
})
afterAll(() => authority.remove())

/** The peer closes, and the session has seen it. */
async function peerCloses(): Promise<void> {
  const group = sessions.entryOf(session.token, client.userId)?.group
  const connection = await peer.connection(0)
  connection.end()
  await expect.poll(() => group?.first.isOpen, waiting).toBe(false)
}

test('A15: a session that nobody holds goes with the next sweep once its peer has closed', async () => {
  await calls.free(session)
  sweepNow()
  expect(sessions.size).toBe(1)
  await peerCloses()
  sweepNow()
  expect(sessions.size).toBe(0)
})

test('a session whose peer has closed stays for its holder, who may connect again', async () => {
  await peerCloses()
  sweepNow()
  expect(sessions.size).toBe(1)
  expect(await calls.connect(session)).toMatchObject({ code: 'none' })
  await peer.connection(1)
})

test('octets that came before the peer closed stay for the next holder, until idle time', async () => {
  await calls.write(session, Buffer.from('last words'))
  await peer.receives('last words'.length)
  await calls.free(session)
  await peerCloses()
  sweepNow()
  const heir = await calls.new({ shared: 'heir', token: session.token })
  expect(Buffer.from((await calls.read(heir, 100)).data).toString()).toBe('last words')
  await calls.free(heir)
  sweepNow()
  expect(sessions.size).toBe(0)
})
