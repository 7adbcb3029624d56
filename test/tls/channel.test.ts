/**
 * The end of an application's connection to the daemon: no call is left without its own.
 */
import { rmSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { tlsQueueCallsMax } from '../../src/base/limits.ts'
import { DaemonChannel, plain } from '../../src/tls/channel.ts'
import { Lane } from '../../src/tls/credit.ts'
import {
  answerBit,
  callKinds,
  encodeFrame,
  FrameReader,
  frameFlags,
  handleOctets,
  helloMagic,
  wireVersion,
  writeU32,
} from '../../src/tls/wire.ts'
import { ApiWrap } from '../../src/tls/wrap-api.ts'
import { newFolder } from './support/processes.ts'
import { sessionScene } from './support/session-scene.ts'

const scene = sessionScene()

interface Heard {
  readonly kind: number
  readonly flags: number
  readonly bodyOctets: number
}

/** A daemon that gives credit for so many calls and answers nothing but hello. */
async function silentDaemon(calls: number) {
  const folder = newFolder()
  scene.atEnd(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'tls.sock')
  const heard: Heard[] = []
  let onLeft = (): void => undefined
  const left = new Promise<void>((resolve) => {
    onLeft = resolve
  })
  const hello = new Uint8Array(18)
  hello[0] = wireVersion
  writeU32(hello, 10, 1_000_000)
  writeU32(hello, 14, calls)
  const header = { flags: 0, priority: 0, code: 0, request: 0, lease: 0 }
  const server = net.createServer((socket) => {
    const reader = new FrameReader()
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      reader.read(chunk, ({ kind, flags, bodyOctets }) => {
        heard.push({ kind, flags, bodyOctets })
        if (kind === callKinds.hello) {
          socket.write(encodeFrame({ ...header, kind: kind | answerBit }, hello))
        }
      })
    })
    socket.on('close', onLeft)
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  scene.atEnd(() => server.close())
  return { path, heard, left }
}

async function channelOfTwoCalls() {
  const { path, heard, left } = await silentDaemon(2)
  const opening = { signal: new AbortController().signal, onSilent: () => undefined }
  const channel = await DaemonChannel.open(path, opening)
  if (!(channel instanceof DaemonChannel)) throw new Error(channel.message)
  return { channel, heard, left }
}

const handle = new Uint8Array(handleOctets)

test('the end of a lease that waits for credit is still said when the channel closes, and ends', async () => {
  const { channel, heard, left } = await channelOfTwoCalls()
  const call = { ...plain, head: handle, lease: 1, lane: new Lane() }
  const writing = channel.call({ ...call, kind: callKinds.write, data: Buffer.from('x') })
  const releasing = channel.call({ ...call, kind: callKinds.release })
  channel.close()
  const ends = await Promise.all([writing, releasing])
  expect(ends.map(({ outcome }) => outcome.code)).toEqual(['daemonGone', 'daemonGone'])
  await left
  expect(heard.slice(1)).toEqual([
    { kind: callKinds.write, flags: 0, bodyOctets: handleOctets + 1 },
    { kind: callKinds.release, flags: frameFlags.quiet, bodyOctets: handleOctets },
  ])
})

test.each([
  { kind: callKinds.read, code: 'wantRead' },
  { kind: callKinds.write, code: 'wantWrite' },
])('a call that is told not to wait does not wait for credit, but says $code', async (told) => {
  const { channel, heard } = await channelOfTwoCalls()
  const call = { ...plain, head: handle, lane: new Lane() }
  const first = channel.call({ ...call, kind: callKinds.write, data: Buffer.from('x') })
  const second = channel.call({ ...call, kind: told.kind, flags: frameFlags.noWait })
  expect((await second).outcome).toMatchObject({ code: told.code })
  channel.close()
  expect((await first).outcome).toMatchObject({ code: 'daemonGone' })
  expect(heard.map(({ kind }) => kind)).not.toContain(callKinds.read)
})

test('a channel on which too many leases wait says so, over all its sessions, and not silence', async () => {
  const { channel } = await channelOfTwoCalls()
  const lanes = [new Lane(), new Lane()]
  const call = { ...plain, head: handle, lease: 1 }
  const waiting = lanes.map((lane) => channel.call({ ...call, kind: callKinds.connect, lane }))
  for (let at = 0; channel.isOpen && at <= tlsQueueCallsMax + 1; at++) {
    channel.tell({ ...call, kind: callKinds.lease, flags: frameFlags.quiet, lane: lanes[at % 2] })
  }
  expect(channel.isOpen).toBe(false)
  expect(channel.wasSilent).toBe(false)
  for (const { outcome } of await Promise.all(waiting)) {
    expect(outcome).toEqual({
      code: 'daemonGone',
      message: 'too many calls wait for the TLS daemon',
    })
  }
})

test('tls wrap --api keeps the handle of a quiet lease that waits, not what else came in its frame', async () => {
  const { path, heard } = await silentDaemon(100)
  const wrapPath = join(path, '..', 'api.sock')
  const wrap = await ApiWrap.start(wrapPath, path)
  scene.atEnd(() => wrap.stop())
  const socket = net.connect({ path: wrapPath })
  scene.atEnd(() => socket.destroy())
  const header = { flags: 0, priority: 0, code: 0, request: 0, lease: 0 }
  const hello = Buffer.from(`${helloMagic}${String.fromCharCode(wireVersion)}\0`)
  const long = Buffer.alloc(200_000)
  long[0] = 1
  const lease = { ...header, kind: callKinds.lease, flags: frameFlags.quiet, lease: 5 }
  socket.write(encodeFrame({ ...header, kind: callKinds.hello }, hello))
  socket.write(encodeFrame(lease, long))
  const told = { kind: callKinds.lease, flags: frameFlags.quiet, bodyOctets: handleOctets }
  await expect.poll(() => heard.slice(1), { timeout: 20_000 }).toEqual([told])
})

test('tls wrap --api keeps the order of a session’s writes when one of two handles is freed', async () => {
  const { path, heard } = await silentDaemon(20)
  const wrapPath = join(path, '..', 'api.sock')
  const wrap = await ApiWrap.start(wrapPath, path)
  scene.atEnd(() => wrap.stop())
  const socket = net.connect({ path: wrapPath })
  scene.atEnd(() => socket.destroy())
  const send = (kind: number, request: number, body: Uint8Array, flags = 0): void => {
    const header = { kind, flags, priority: 0, code: 0, request, lease: 0 }
    socket.write(encodeFrame(header, body))
  }
  const [one, other] = [Buffer.alloc(handleOctets, 1), Buffer.alloc(handleOctets, 1)]
  other[handleOctets - 1] = 2
  const { more, continues } = frameFlags
  send(callKinds.hello, 0, Buffer.from(`${helloMagic}${String.fromCharCode(wireVersion)}\0`))
  // The silent daemon answers none of them: those behind the first wait for credit.
  for (let part = 1; part <= 8; part++) {
    const flags = more | (part === 1 ? 0 : continues)
    send(callKinds.write, part, Buffer.concat([one, Buffer.alloc(part)]), flags)
  }
  send(callKinds.free, 9, one)
  send(callKinds.write, 10, Buffer.concat([one, Buffer.alloc(10)]), continues)
  send(callKinds.pending, 11, other)
  const isHeard = () => heard.some(({ kind }) => kind === callKinds.pending)
  await expect.poll(isHeard, { timeout: 20_000 }).toBe(true)
  const writes = heard.filter(({ kind }) => kind === callKinds.write)
  const parts = writes.map(({ bodyOctets }) => bodyOctets - handleOctets)
  expect(parts.length).toBeLessThan(8)
  expect(parts).toEqual(parts.map((_, at) => at + 1))
})
