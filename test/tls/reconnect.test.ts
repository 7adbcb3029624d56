/**
 * Sessions whose connection cannot be made, or ends: when it is made again, and who is told what.
 * The daemon's sessions in the test's own process, two clients of one user.
 */
import net from 'node:net'
import type { TLSSocket } from 'node:tls'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { tlsReconnectPauseMs } from '../../src/base/limits.ts'
import type { NewOptions, SessionHandle } from '../../src/tls/api.ts'
import { GroupCalls } from '../../src/tls/calls.ts'
import { type Client, SharedSessions } from '../../src/tls/shared-sessions.ts'
import type { TlsPeer } from './support/peer.ts'
import { sessionScene } from './support/session-scene.ts'

const scene = sessionScene()
let peer: TlsPeer
let sessions: SharedSessions
let one: GroupCalls
let two: GroupCalls

beforeEach(async () => {
  peer = await scene.peer('silent')
  sessions = new SharedSessions({ kind: 'fifo' }, 40)
  scene.atEnd(() => sessions.close())
  const clients: readonly [Client, Client] = [{ userId: 1 }, { userId: 1 }]
  one = new GroupCalls(sessions, clients[0])
  two = new GroupCalls(sessions, clients[1])
})

afterEach(() => void vi.useRealTimers())

/** Both clients' handles of one name. */
async function shared(name: string, more: Partial<NewOptions> = {}) {
  const options = scene.optionsOf(peer.port, name, more)
  return [await one.new(options), await two.new(options)] as const
}

/** Speaks SMTP on connection `index`; RSET is answered with `rset`. @returns what it hears. */
async function smtpOn(index: number, rset = '250 flushed'): Promise<readonly string[]> {
  const socket: TLSSocket = await peer.connection(index)
  const heard: string[] = []
  socket.on('data', (chunk: Buffer) => {
    heard.push(chunk.toString('latin1').trim())
    socket.write(`${heard.at(-1) === 'RSET' ? rset : '250 mailhost'}\r\n`)
  })
  socket.write('220 mailhost ESMTP\r\n')
  return heard
}

test('a peer that cannot be reached is not tried again for half a second; then it is', async () => {
  let attempts = 0
  const server = net.createServer((socket) => {
    attempts++
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  scene.atEnd(() => server.close())
  const { port } = server.address() as net.AddressInfo
  const [session] = await shared('away', { port })
  vi.useFakeTimers({ toFake: ['performance'] })
  const first = await one.connect(session)
  expect(first.code).not.toBe('none')
  vi.advanceTimersByTime(tlsReconnectPauseMs - 1)
  expect(await one.connect(session)).toEqual(first)
  expect(await one.lease(session)).toMatchObject({ code: first.code, message: first.message })
  expect(attempts).toBe(1)
  vi.advanceTimersByTime(1)
  expect((await one.connect(session)).code).not.toBe('none')
  expect(attempts).toBe(2)
})

test.each(['421 closing', '500 what', '450 later'])(
  'RSET answered %s: the connection ends, the next tenant has a new one',
  async (reply) => {
    const [session, other] = await shared('reset', { conversation: 'smtp' })
    const granted = one.lease(session)
    const heard = await smtpOn(0, reply)
    const lease = await granted
    expect(lease).toMatchObject({ code: 'none', greeting: 'mailhost\r\n' })
    const call = { lease: lease.id }
    await one.write(session, Buffer.from('NOOP\r\n'), call)
    expect((await one.read(session, 100, call)).code).toBe('none')
    await lease.release()
    const next = two.lease(other)
    const heardNext = await smtpOn(1)
    expect(await next).toMatchObject({ code: 'none' })
    expect(heard).toEqual([expect.stringMatching(/^EHLO /), 'NOOP', 'RSET'])
    expect(heardNext).toEqual([expect.stringMatching(/^EHLO /)])
  },
)

test('a peer that closes the session while it is leased: its holder is told, the next connects', async () => {
  const [session, other] = await shared('idle', { conversation: 'smtp' })
  const granted = one.lease(session)
  await smtpOn(0)
  const lease = await granted
  const waiting = two.lease(other)
  const reading = one.read(session, 100, { lease: lease.id })
  ;(await peer.connection(0)).end('421 4.4.2 idle too long\r\n')
  expect(Buffer.from((await reading).data).toString()).toBe('421 4.4.2 idle too long\r\n')
  const call = { lease: lease.id }
  expect(await one.read(session, 100, call)).toMatchObject({ code: 'zeroReturn' })
  expect(await one.write(session, Buffer.from('NOOP\r\n'), call)).toMatchObject({
    code: 'zeroReturn',
  })
  await lease.release()
  await smtpOn(1)
  expect(await waiting).toMatchObject({ code: 'none' })
})

test('a lease ends in its own time, though another was granted at the end of a third', async () => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
  const leaseMs = 60_000
  const [session, other] = await shared('overheld', { sessions: 2, leaseMs })
  await one.connect(session)
  const first = await one.lease(session)
  const endOf = async (lease: number): Promise<string> =>
    (await one.read(session, 1, { lease })).code
  const firstEnds = endOf(first.id)
  vi.advanceTimersByTime(leaseMs / 2)
  const second = await one.lease(session)
  const secondEnds = endOf(second.id)
  const third = two.lease(other)
  vi.advanceTimersByTime(leaseMs / 2)
  expect(await firstEnds).toBe('refused')
  // Granted when the first ends, with its whole time before it when the second does.
  expect((await third).code).toBe('none')
  vi.advanceTimersByTime(leaseMs / 2 + 1)
  expect(await secondEnds).toBe('refused')
  const call = { lease: (await third).id }
  expect(await two.write(other, Buffer.from('still mine'), call)).toMatchObject({ code: 'none' })
  vi.advanceTimersByTime(leaseMs / 2)
  const last = await two.write(other, Buffer.from('no more'), call)
  expect(last).toMatchObject({ code: 'refused' })
})

test('who wants more connections behind a name gets them, also after a reload', async () => {
  const [session] = await shared('raised', { sessions: 1 })
  await one.connect(session)
  expect(await one.lease(session)).toMatchObject({ code: 'none' })
  const later = await two.new(scene.optionsOf(peer.port, 'raised', { sessions: 2 }))
  expect(later.token).toBe(session.token)
  expect(await two.lease(later)).toMatchObject({ code: 'none' })
  await peer.connection(1)
})

test('a daemon that stops makes no session more', async () => {
  const listen = { host: '127.0.0.1', port: 0 }
  const { certificate, key } = scene.identity
  const making = one.new({ shared: 'being made', listen, certificate, key })
  await sessions.close()
  const made: SessionHandle[] = [await making, await one.new(scene.optionsOf(peer.port, 'late'))]
  for (const { fault } of made) expect(fault).toMatchObject({ code: 'refused' })
  expect(sessions.size).toBe(0)
})

test('a lease that is refused behind its return takes no later one of its id along', async () => {
  const clients: net.Socket[] = []
  const server = net.createServer((socket) => {
    clients.push(socket.on('error', () => undefined))
    if (clients.length > 1) return
    const onward = net.connect({ host: '127.0.0.1', port: peer.port })
    onward.on('error', () => undefined)
    socket.pipe(onward).pipe(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  scene.atEnd(() => {
    server.close()
    for (const client of clients) client.destroy()
  })
  const { port } = server.address() as net.AddressInfo
  const [session, other] = await shared('again', { port, sessions: 2 })
  await one.connect(session)
  const holding = await two.lease(other)
  const id = 5
  const first = await one.lease(session, { id, eager: true })
  const lost = one.write(session, Buffer.from('lost'), { lease: id })
  await first.release()
  // It waits until the first session is free; the other is still being connected for the first.
  await one.lease(session, { id, eager: true })
  await holding.release()
  await expect.poll(() => clients.length, { timeout: 20_000 }).toBe(2)
  clients[1]?.destroy()
  expect((await lost).code).not.toBe('none')
  const mine = await one.write(session, Buffer.from('mine'), { lease: id })
  expect(mine).toMatchObject({ code: 'none' })
})
