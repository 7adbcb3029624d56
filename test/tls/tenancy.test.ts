/**
 * Tenants of a session that end badly or mix: taken back, cut off, of another session, activated.
 * The daemon's sessions in the test's own process, two clients of one user.
 */
import type tls from 'node:tls'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { tlsCreditCalls, tlsProbeAfterIdleMs } from '../../src/base/limits.ts'
import type { NewOptions, SessionHandle } from '../../src/tls/api.ts'
import { GroupCalls } from '../../src/tls/calls.ts'
import { type Client, SharedSessions } from '../../src/tls/shared-sessions.ts'
import { type Authority, makeAuthority } from './support/certificates.ts'
import { startPeer, type TlsPeer } from './support/peer.ts'

let authority: Authority
let peer: TlsPeer
let sessions: SharedSessions
let one: GroupCalls
let two: GroupCalls

const [clientOne, clientTwo]: readonly Client[] = [{ userId: 1 }, { userId: 1 }]
const waiting = { timeout: 60_000 }
const words = Buffer.from('words')

beforeAll(() => {
  authority = makeAuthority()
})
beforeEach(async () => {
  peer = await startPeer(authority.issue('peer.test'))
  sessions = new SharedSessions({ kind: 'fifo' }, 40)
  one = new GroupCalls(sessions, clientOne as Client)
  two = new GroupCalls(sessions, clientTwo as Client)
})
afterEach(async () => {
  vi.useRealTimers()
  await sessions.close()
  await peer.close()
})
afterAll(() => authority.remove())

const optionsOf = (shared: string, more: Partial<NewOptions> = {}): NewOptions => ({
  ...{ shared, host: '127.0.0.1', port: peer.port, ca: authority.ca, servername: 'peer.test' },
  ...more,
})

/** A connected session, as the first client has it. */
async function opened(shared: string, more: Partial<NewOptions> = {}): Promise<SessionHandle> {
  const session = await one.new(optionsOf(shared, more))
  expect(await one.connect(session)).toMatchObject({ code: 'none' })
  return session
}

const sessionOf = (handle: SessionHandle) => sessions.entryOf(handle.token, 1)?.group.first

/** The peer ends its first connection, and the session has seen it. */
async function peerCloses(handle: SessionHandle): Promise<void> {
  const connection = await peer.connection(0)
  connection.end()
  await expect.poll(() => sessionOf(handle)?.isOpen, waiting).toBe(false)
}

test('A20, A8: calls made after a lease was taken back answer refused', async () => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
  const session = await opened('overheld', { leaseMs: 1_000 })
  const lease = await one.lease(session)
  const call = { lease: lease.id }
  const refused = { code: 'refused' }
  const reading = one.read(session, 10, call)
  vi.advanceTimersByTime(1_001)
  expect(await reading).toMatchObject(refused)
  expect(await one.write(session, words, call)).toMatchObject(refused)
  expect(await one.read(session, 10, call)).toMatchObject(refused)
  const next = await two.new({ shared: 'x', token: session.token })
  const leaseOfTwo = await two.lease(next)
  expect(leaseOfTwo).toMatchObject({ code: 'none' })
  expect(await one.write(session, words, call)).toMatchObject(refused)
  expect(await one.read(session, 10, call)).toMatchObject(refused)
  await lease.release()
  expect(await one.write(session, words, call)).toMatchObject(refused)
  const own = { lease: leaseOfTwo.id }
  expect(await two.write(next, words, own)).toMatchObject({ code: 'none' })
  expect((await two.read(next, 10, own)).data).toEqual(words)
})

test('A20: a conversation whose connection ended does not go on on the next one', async () => {
  const session = await opened('cut off')
  const lease = await one.lease(session)
  const call = { lease: lease.id }
  await one.write(session, words, call)
  expect((await one.read(session, 10, call)).data).toEqual(words)
  await peerCloses(session)
  const again = await two.new({ shared: 'x', token: session.token })
  const connecting = two.connect(again)
  const over = { code: 'zeroReturn', message: 'the connection of this lease has ended' }
  expect(await one.write(session, Buffer.from('while it opens'), call)).toMatchObject(over)
  expect(await connecting).toMatchObject({ code: 'none' })
  expect(await one.write(session, Buffer.from('stray'), call)).toMatchObject(over)
  expect(await one.read(session, 10, call)).toMatchObject(over)
  await lease.release()
  expect(await two.write(again, Buffer.from('whole'))).toMatchObject({ code: 'none' })
  expect(Buffer.from((await two.read(again, 10)).data).toString()).toBe('whole')
  expect(peer.received().toString()).toBe('wordswhole')
})

test('A20: a write in parts whose connection ended does not go on on the next one', async () => {
  const session = await opened('in parts')
  const part = (isFirst: boolean, isLast: boolean) =>
    one.writePart(session, words, { isFirst, isLast })
  expect(await part(true, false)).toMatchObject({ code: 'none' })
  await peer.receives(words.length)
  await peerCloses(session)
  const again = await two.new({ shared: 'x', token: session.token })
  expect(await two.connect(again)).toMatchObject({ code: 'none' })
  expect(await part(false, false)).toMatchObject({ code: 'zeroReturn' })
  expect(await part(false, true)).toMatchObject({ code: 'refused' })
  expect(await two.write(again, Buffer.from('whole'))).toMatchObject({ code: 'none' })
  expect(Buffer.from((await two.read(again, 10)).data).toString()).toBe('whole')
})

test('A20: a write in parts ends with its broken lease: its client owes no further part', async () => {
  const session = await opened('given up')
  const lease = await one.lease(session)
  const call = { lease: lease.id, isFirst: true, isLast: false }
  expect(await one.writePart(session, words, call)).toMatchObject({ code: 'none' })
  expect(one.owesPart(performance.now())).toBe(true)
  expect(await lease.release('broken')).toMatchObject({ code: 'none' })
  expect(one.owesPart(performance.now())).toBe(false)
})

test('A20: a lease given back in the midst of a write in parts ends as broken, at once', async () => {
  const session = await opened('half a write')
  const lease = await one.lease(session)
  const call = { lease: lease.id, isFirst: true, isLast: false }
  expect(await one.writePart(session, words, call)).toMatchObject({ code: 'none' })
  const attached = await two.new({ shared: 'x', token: session.token })
  const next = two.lease(attached)
  expect(await lease.release()).toMatchObject({ code: 'none' })
  const rest = { ...call, isFirst: false, isLast: true }
  expect(await one.writePart(session, words, rest)).toMatchObject({ code: 'refused' })
  expect(await next).toMatchObject({ code: 'none' })
  await peer.ended(0)
  expect(peer.received().toString()).toBe('words')
})

test('a write in parts goes with its handle: another may begin when the session is taken up again', async () => {
  const session = await opened('given up')
  expect((await two.new(optionsOf('given up'))).fault).toBeUndefined()
  const call = { isFirst: true, isLast: false }
  expect(await one.writePart(session, words, call)).toMatchObject({ code: 'none' })
  // As when a client says all three in one go.
  void one.free(session)
  const again = one.new({ shared: 'x', token: session.token })
  expect(one.hasBegun(session, 0)).toBe(false)
  expect((await again).fault).toBeUndefined()
})

test('nothing is kept of tokens that nobody gave out, nor of handles that were given up', async () => {
  const forged = { route: 'shared', token: '0'.repeat(48) } as const
  expect(await one.shutdown(forged)).toMatchObject({ code: 'badToken' })
  expect(one.getError(forged)).toMatchObject({ code: 'none' })
  const session = await one.new(optionsOf('gone', { port: 1 }))
  const connecting = one.connect(session)
  expect(await one.free(session)).toMatchObject({ code: 'none' })
  expect(await connecting).toMatchObject({ code: 'syscall' })
  expect(one.getError(session)).toMatchObject({ code: 'none' })
})

test('a client owes no part of a write whose connection has ended', async () => {
  const session = await opened('ended')
  const call = { isFirst: true, isLast: false }
  expect(await one.writePart(session, words, call)).toMatchObject({ code: 'none' })
  await peer.receives(words.length)
  await peerCloses(session)
  expect(one.owesPart(performance.now())).toBe(false)
  expect(await one.connect(session)).toMatchObject({ code: 'none' })
  expect(await one.writePart(session, words, call)).toMatchObject({ code: 'none' })
})

test('A20: a call that is told not to wait does not wait for its lease to be granted', async () => {
  const session = await opened('no waiting')
  const held = await one.lease(session)
  const asked = await one.lease(session, { eager: true })
  const options = { lease: asked.id, wait: false }
  expect(await one.write(session, words, options)).toMatchObject({ code: 'wantWrite', written: 0 })
  expect(await one.read(session, 10, options)).toMatchObject({ code: 'wantRead' })
  await held.release()
  expect(await one.write(session, words, options)).toMatchObject({ code: 'none' })
  await peer.receives(words.length)
  expect(peer.received().toString()).toBe('words')
})

test('A3, A14: a lease is good for the session that it is of, and for no other', async () => {
  const [session, other] = [await opened('a'), await opened('b')]
  const lease = await one.lease(session)
  const call = { lease: lease.id }
  expect(await one.write(other, words, call)).toMatchObject({ code: 'refused' })
  expect(await one.read(other, 10, call)).toMatchObject({ code: 'refused' })
  const parts = { isFirst: true, isLast: true, ...call }
  expect(await one.writePart(other, words, parts)).toMatchObject({ code: 'refused' })
  expect(one.releaseNow(other, lease.id, 'finished')).toMatchObject({ code: 'refused' })
  expect(await one.write(session, words, call)).toMatchObject({ code: 'none' })
  expect((await one.read(session, 10, call)).data).toEqual(words)
  expect(one.pending(other, lease.id)).toBe(0)
  expect(peer.received()).toEqual(words)
  expect(await lease.release()).toMatchObject({ code: 'none' })
})

test('A8: a peer’s last words are there up to its end, and never answer on the next connection', async () => {
  const session = await opened('last words')
  for (const isRead of [true, false]) {
    const connection = await peer.connection(isRead ? 0 : 1)
    connection.end('last words')
    await expect.poll(() => sessionOf(session)?.isOpen, waiting).toBe(false)
    if (isRead) {
      expect(Buffer.from((await one.read(session, 99)).data).toString()).toBe('last words')
      expect(await one.read(session, 99)).toMatchObject({ code: 'zeroReturn' })
    }
    expect(await one.connect(session)).toMatchObject({ code: 'none' })
    expect(one.pending(session)).toBe(0)
    expect(await one.write(session, words)).toMatchObject({ code: 'none' })
    expect(Buffer.from((await one.read(session, 99)).data).toString()).toBe('words')
  }
})

test('A8: a common read behind a lease whose connection has ended learns of it', async () => {
  const session = await opened('dead')
  const lease = await one.lease(session)
  await peerCloses(session)
  const other = await two.new({ shared: 'x', token: session.token })
  const reading = two.read(other, 10)
  await lease.release()
  expect(await reading).toMatchObject({ code: 'zeroReturn' })
})

test('A8: calls that wait when their handle is freed are answered', async () => {
  const session = await opened('freed')
  const other = await two.new(optionsOf('freed'))
  const lease = await two.lease(other)
  const ends = Promise.all([
    one.read(session, 10),
    one.write(session, words),
    one.lease(session).then(({ code }) => ({ code })),
  ])
  expect(await one.free(session)).toMatchObject({ code: 'none' })
  const [read, write, leased] = await ends
  expect([read.code, write.code, leased.code]).toEqual(['badToken', 'badToken', 'refused'])
  expect(await two.write(other, words, { lease: lease.id })).toMatchObject({ code: 'none' })
})

test('tens of thousands of writes that waited for a lease are served one behind the other', async () => {
  const session = await opened('row')
  const lease = await one.lease(session)
  const writes = Array.from({ length: 30_000 }, (_, at) =>
    one.write(session, Buffer.alloc(at % 2, 'x')),
  )
  await lease.release()
  const ends = await Promise.all(writes)
  expect(ends.filter(({ code }) => code !== 'none')).toEqual([])
  await peer.receives(15_000)
})

test('leases that went with their handle are not counted against their client', async () => {
  const first = await opened('counted', { sessions: 2 })
  for (let at = 0; at < tlsCreditCalls; at++) {
    const session = await two.new(optionsOf('counted', { sessions: 2 }))
    expect(await two.lease(session)).toMatchObject({ code: 'none' })
    await two.free(session)
  }
  const session = await two.new(optionsOf('counted', { sessions: 2 }))
  expect(await two.lease(session)).toMatchObject({ code: 'none' })
  expect(await one.lease(first)).toMatchObject({ code: 'none' })
})

test('A17: octets of a leased conversation are its holder’s and start no program', async () => {
  const session = await opened('held')
  let started = 0
  sessions.onUnclaimed = () => started++
  const group = sessions.entryOf(session.token, 1)?.group
  const lease = await one.lease(session)
  await one.write(session, words, { lease: lease.id })
  await expect.poll(() => sessionOf(session)?.pending, waiting).toBe(words.length)
  expect(started).toBe(0)
  expect(group?.hasUnclaimed).toBe(false)
  // Left behind they are nobody's.
  await lease.release()
  expect(started).toBeGreaterThan(0)
  expect(group?.hasUnclaimed).toBe(true)
})

test('A17, A20: octets of a broken conversation end with it: no program, no reader gets them', async () => {
  const session = await opened('broken')
  let started = 0
  const lease = await one.lease(session)
  const call = { lease: lease.id }
  expect(
    await one.writePart(session, words, { isFirst: true, isLast: false, ...call }),
  ).toMatchObject({
    code: 'none',
  })
  await expect.poll(() => sessionOf(session)?.pending, waiting).toBe(words.length)
  sessions.onUnclaimed = () => started++
  await lease.release('broken')
  await peer.ended(0)
  expect(started).toBe(0)
  expect(sessionOf(session)?.pending).toBe(0)
})

describe('an SMTP session', () => {
  const smtp = { conversation: 'smtp' } as const

  /** A session whose peer has greeted and had its EHLO, and answers nothing else. */
  async function greeted(shared: string): Promise<[SessionHandle, tls.TLSSocket]> {
    await peer.close()
    peer = await startPeer(authority.issue('peer.test'), 'silent')
    const opening = opened(shared, smtp)
    const socket = await peer.connection(0)
    socket.write('220 peer.test ESMTP\r\n')
    await peer.receives('EHLO '.length)
    socket.write('250 peer.test\r\n')
    return [await opening, socket]
  }

  test('A14: what its peer says between two tenants answers no command of the next', async () => {
    const [session, socket] = await greeted('unasked')
    socket.write('250 an answer that comes late\r\n')
    await expect.poll(() => sessionOf(session)?.pending, waiting).toBeGreaterThan(0)
    const leasing = one.lease(session)
    const again = peer.connection(1)
    const firsts = [again.then(() => 'opened anew'), leasing.then(() => 'granted')]
    expect(await Promise.race(firsts)).toBe('opened anew')
    ;(await again).write('220 peer.test ESMTP\r\n')
    await expect.poll(() => peer.received().toString().match(/EHLO/g)?.length, waiting).toBe(2)
    ;(await again).write('250 peer.test\r\n')
    expect(await leasing).toMatchObject({ code: 'none' })
    expect(sessionOf(session)?.pending).toBe(0)
    expect(peer.received().includes('RSET')).toBe(false)
  })

  test('that is ended in the midst of a write: no QUIT gets into the message, nor what waits behind it', async () => {
    const [session, socket] = await greeted('amid')
    const lease = await one.lease(session)
    const call = { lease: lease.id }
    socket.pause()
    const ends = Promise.all([
      one.write(session, Buffer.alloc(32 * 1024 * 1024, 'x'), call),
      one.write(session, Buffer.from('\r\n.\r\n'), call),
    ])
    await expect.poll(() => sessionOf(session)?.isWriting, waiting).toBe(true)
    const group = sessions.entryOf(session.token, 1)?.group
    const closing = group?.close()
    socket.resume()
    expect((await ends).map(({ code }) => code)).toEqual(['zeroReturn', 'zeroReturn'])
    await closing
    await expect.poll(() => socket.destroyed || socket.readableEnded, waiting).toBe(true)
    expect(peer.received().includes('QUIT')).toBe(false)
    expect(peer.received().includes('\r\n.\r\n')).toBe(false)
  })

  test('that is ended while it is asked for the next tenant: it is not opened again', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const [session, socket] = await greeted('asked')
    vi.advanceTimersByTime(tlsProbeAfterIdleMs + 1)
    const leasing = one.lease(session)
    await expect.poll(() => peer.received().includes('RSET\r\n'), waiting).toBe(true)
    const closing = sessions.entryOf(session.token, 1)?.group.close()
    await expect.poll(() => peer.received().includes('QUIT\r\n'), waiting).toBe(true)
    socket.write('221 2.0.0 bye\r\n')
    await closing
    expect(await leasing).toMatchObject({ code: 'refused' })
    expect(peer.handshakes()).toBe(1)
  })
})

describe('caps', () => {
  const codeOf = async (name: string, more: Partial<NewOptions> = {}): Promise<string> =>
    (await one.new(optionsOf(name, more))).fault?.code ?? 'none'

  test('the cap of one peer holds for sessions that are made at the same time', async () => {
    const names = Array.from({ length: 60 }, (_, at) => `at-once-${at}`)
    const codes = await Promise.all(names.map((name) => codeOf(name)))
    expect(codes.filter((code) => code === 'none')).toHaveLength(40)
    expect(codes.filter((code) => code === 'refused')).toHaveLength(20)
    expect(sessions.size).toBe(40)
  })

  test('it holds for sessions that listen, too', async () => {
    const listen = { host: '127.0.0.1', port: 0 }
    const names = Array.from({ length: 45 }, (_, at) => `listening-${at}`)
    const codes = await Promise.all(names.map((name) => codeOf(name, { listen })))
    expect(codes.filter((code) => code === 'none')).toHaveLength(40)
    expect(sessions.size).toBe(40)
  })

  test('a client that leaves while its session is made holds nothing', async () => {
    const listen = { host: '127.0.0.1', port: 0 }
    const making = one.new(optionsOf('late', { listen, idleMs: 1 }))
    sessions.forget(clientOne as Client)
    const made = await making
    expect(made.fault).toMatchObject({ code: 'refused' })
    expect([...sessions.all].filter(({ holders }) => holders.size > 0)).toEqual([])
  })
})
