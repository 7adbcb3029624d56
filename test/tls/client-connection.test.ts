/**
 * How long a client of the daemon may owe what it has begun to say. The daemon's sessions and its
 * side of the socket in the test's own process.
 */
import { rmSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { tlsClientTurnMsMax, tlsDataOctetsMax } from '../../src/base/limits.ts'
import { GroupCalls } from '../../src/tls/calls.ts'
import { ClientConnection } from '../../src/tls/client-connection.ts'
import { encodeHandle } from '../../src/tls/handle.ts'
import { SharedSessions } from '../../src/tls/shared-sessions.ts'
import {
  answerBit,
  callKinds,
  encodeFrame,
  FrameReader,
  frameFlags,
  helloMagic,
  wireVersion,
} from '../../src/tls/wire.ts'
import { newFolder } from './support/processes.ts'
import { sessionScene } from './support/session-scene.ts'

const scene = sessionScene()
afterEach(() => void vi.useRealTimers())

const tooLateMs = tlsClientTurnMsMax + 1

/** A client that has said hello and holds a connected session, as does another one. */
async function clientWithSession() {
  vi.useFakeTimers({ toFake: ['performance'] })
  const sessions = new SharedSessions({ kind: 'fifo' }, 40)
  const client = { userId: 1 }
  const calls = new GroupCalls(sessions, client)
  const other = new GroupCalls(sessions, { userId: 1 })
  const options = scene.optionsOf((await scene.peer('silent')).port, 'shared')
  const session = await calls.new(options)
  expect(await calls.connect(session)).toMatchObject({ code: 'none' })
  const sessionOfOther = await other.new(options)
  const { socket, far } = await socketPair()
  let isGone = false
  const connection = new ClientConnection(socket, calls, {
    daemonId: '0'.repeat(16),
    extra: () => undefined,
    onGone: () => {
      isGone = true
      sessions.forget(client)
    },
  })
  scene.atEnd(() => connection.close())
  const answered: number[] = []
  const reader = new FrameReader()
  far.on('data', (chunk: Buffer) => reader.read(chunk, ({ request }) => answered.push(request)))
  const handle = encodeHandle(session) ?? new Uint8Array(0)
  const send = (kind: number, request: number, flags = 0, data = ''): void => {
    const header = { kind, flags, priority: 0, code: 0, request, lease: 0 }
    const head = kind === callKinds.hello ? new Uint8Array(0) : handle
    far.write(encodeFrame(header, Buffer.concat([head, Buffer.from(data)])))
  }
  const isAnswered = (request: number) => expect.poll(() => answered).toContain(request)
  send(callKinds.hello, 1, 0, `${helloMagic}${String.fromCharCode(wireVersion)}\0`)
  await isAnswered(0)
  return { connection, other, sessionOfOther, handle, far, send, isAnswered, isGone: () => isGone }
}

async function socketPair() {
  const folder = newFolder()
  scene.atEnd(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'tls.sock')
  const server = net.createServer({ pauseOnConnect: true })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  const accepted = new Promise<net.Socket>((resolve) => {
    server.once('connection', (socket) => {
      server.close()
      resolve(socket)
    })
  })
  const far = net.connect(path).on('error', () => far.destroy())
  scene.atEnd(() => far.destroy())
  return { far, socket: await accepted }
}

test('a client whose part of a write waits for the session owes no further one; then it does', async () => {
  const { connection, other, sessionOfOther, send, isAnswered, isGone } = await clientWithSession()
  const lease = await other.lease(sessionOfOther)
  send(callKinds.write, 1, frameFlags.more, 'the first part')
  send(callKinds.pending, 2)
  await isAnswered(2)
  vi.advanceTimersByTime(tooLateMs)
  connection.checkTime(performance.now())
  await lease.release()
  await isAnswered(1)
  connection.checkTime(performance.now())
  send(callKinds.write, 3, frameFlags.more | frameFlags.continues, ', the second part')
  await isAnswered(3)
  vi.advanceTimersByTime(tooLateMs)
  connection.checkTime(performance.now())
  await expect.poll(isGone).toBe(true)
})

test('a client that owes a part of a write is late, whatever else it calls', async () => {
  const { connection, send, isAnswered, isGone } = await clientWithSession()
  send(callKinds.write, 1, frameFlags.more, 'the first part')
  await isAnswered(1)
  vi.advanceTimersByTime(tooLateMs - 1000)
  send(callKinds.pending, 2)
  await isAnswered(2)
  connection.checkTime(performance.now())
  send(callKinds.pending, 3)
  await isAnswered(3)
  vi.advanceTimersByTime(1000)
  connection.checkTime(performance.now())
  await expect.poll(isGone).toBe(true)
})

test('a client that begins a second write before the end of the first is closed', async () => {
  const { other, sessionOfOther, send, isAnswered, isGone } = await clientWithSession()
  send(callKinds.write, 1, frameFlags.more, 'the first part')
  await isAnswered(1)
  const waiting = other.write(sessionOfOther, Buffer.from('behind it'))
  send(callKinds.write, 2, frameFlags.more, 'another first part')
  await expect.poll(isGone).toBe(true)
  expect(await waiting).toMatchObject({ code: 'zeroReturn' })
})

test('a client that is not read owes no rest of a frame; it has its time when it is read again', async () => {
  const { connection, far, handle, isAnswered } = await clientWithSession()
  const header = { kind: callKinds.pending, flags: 0, priority: 0, code: 0, lease: 0 }
  const frameOf = (request: number) => encodeFrame({ ...header, request }, handle)
  far.write(Buffer.concat([frameOf(2), frameOf(3).subarray(0, 20)]))
  await isAnswered(2)
  far.pause()
  const answer = { ...header, kind: callKinds.read | answerBit, request: 4 }
  for (let at = 0; at < 8; at++) connection.put(answer, Buffer.alloc(tlsDataOctetsMax))
  // It does not take its answers: nothing more is read from it.
  connection.checkTime(performance.now())
  vi.advanceTimersByTime(tooLateMs)
  connection.checkTime(performance.now())
  far.resume()
  await isAnswered(4)
  connection.checkTime(performance.now())
  far.write(frameOf(3).subarray(20))
  await isAnswered(3)
})
