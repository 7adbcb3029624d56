/**
 * LocalStream: the native stream and its twin over net.Socket answer alike.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { packageRoot } from '../../src/addon/package-root.ts'
import type { LocalStream, LocalStreamEvents } from '../../src/tls/local-stream.ts'
import { NativeLocalStream, nativeStreams } from '../../src/tls/native-local-stream.ts'
import { SocketLocalStream } from '../../src/tls/socket-local-stream.ts'
import { newFolder } from './support/processes.ts'

let folder: string
let server: net.Server
const accepted: net.Socket[] = []

beforeAll(async () => {
  folder = newFolder()
  server = net.createServer({ pauseOnConnect: true }, (socket) => accepted.push(socket))
  server.listen(join(folder, 'sock'))
  await once(server, 'listening')
})
afterAll(() => {
  server.close()
  rmSync(folder, { recursive: true, force: true })
})

interface Pair {
  readonly stream: LocalStream
  readonly far: net.Socket
  readonly octets: () => Buffer
  readonly events: string[]
  /** Resolves when an event of this kind has come since the call, or before for `close`. */
  until(event: 'data' | 'drain' | 'close'): Promise<void>
}

type Open = (socket: net.Socket, events: LocalStreamEvents) => LocalStream

async function pairOf(open: Open): Promise<Pair> {
  const connection = once(server, 'connection')
  const far = net.connect(join(folder, 'sock')).on('error', () => far.destroy())
  await Promise.all([connection, once(far, 'connect')])
  const socket = accepted.at(-1)
  if (socket === undefined) throw new Error('no connection')
  const chunks: Buffer[] = []
  const events: string[] = []
  const watchers: { event: string; resolve: () => void }[] = []
  const tell = (event: string): void => {
    events.push(event)
    for (const watcher of watchers.splice(0)) {
      if (watcher.event === event) watcher.resolve()
      else watchers.push(watcher)
    }
  }
  const stream = open(socket, {
    onData: (chunk, start, end) => {
      chunks.push(Buffer.from(chunk.subarray(start, end)))
      tell('data')
    },
    onDrain: () => tell('drain'),
    onClose: () => tell('close'),
  })
  const until = (event: string): Promise<void> =>
    event === 'close' && events.includes('close')
      ? Promise.resolve()
      : new Promise((resolve) => watchers.push({ event, resolve }))
  return { stream, far, octets: () => Buffer.concat(chunks), events, until }
}

const native = nativeStreams()
if (native === undefined) throw new Error('the addon did not load; run npm run build')
const streams = [
  { name: 'native', open: (socket, events) => new NativeLocalStream(native, socket, events) },
  { name: 'net.Socket', open: (socket, events) => new SocketLocalStream(socket, events) },
] satisfies { name: string; open: Open }[]

describe.each(streams)('$name', ({ open }) => {
  test('octets arrive both ways, and the sent buffer may change at once', async () => {
    const { stream, far, octets, until } = await pairOf(open)
    const data = until('data')
    far.write('to the stream')
    await data
    expect(octets().toString()).toBe('to the stream')
    const sent = Buffer.from('xxto the socketxx')
    expect(stream.send(sent, 2, 15)).toBeGreaterThanOrEqual(0)
    sent.fill('!')
    const [heard] = await once(far, 'data')
    expect(heard.toString()).toBe('to the socket')
    far.destroy()
    await until('close')
  })

  test('what the peer does not take waits, in order, and its end is told by drain', async () => {
    const { stream, far, until, events } = await pairOf(open)
    const pieces = Array.from({ length: 40 }, () => randomBytes(50_000))
    far.pause()
    let waits = 0
    for (const piece of pieces) waits = stream.send(piece, 0, piece.length)
    expect(waits).toBeGreaterThan(0)
    expect(events).toEqual([])
    const drained = until('drain')
    const heard: Buffer[] = []
    let count = 0
    far.on('data', (chunk: Buffer) => {
      heard.push(chunk)
      count += chunk.length
      if (count === 2_000_000) far.emit('whole')
    })
    const isWhole = once(far, 'whole')
    far.resume()
    await Promise.all([isWhole, drained])
    expect(Buffer.concat(heard).equals(Buffer.concat(pieces))).toBe(true)
    stream.close()
    await until('close')
  })

  test('while it does not read nothing comes; then all of it', async () => {
    const { stream, far, octets, events, until } = await pairOf(open)
    stream.read(false)
    const data = randomBytes(60_000)
    far.write(data)
    // The other way round shows that turns of the loop have passed.
    stream.send(Buffer.from('x'), 0, 1)
    await once(far, 'data')
    expect(events).toEqual([])
    stream.read(true)
    while (octets().length < data.length) await until('data')
    expect(octets().equals(data)).toBe(true)
    far.destroy()
    await until('close')
  })

  for (const way of ['end', 'destroy'] as const) {
    test(`the peer's ${way}: what it sent, then close, once`, async () => {
      const { far, octets, events, until } = await pairOf(open)
      far.write('last words')
      far[way]()
      await until('close')
      await new Promise((resolve) => setImmediate(resolve))
      expect(octets().toString()).toBe('last words')
      expect(events.filter((event) => event === 'close').length).toBe(1)
      expect(events.at(-1)).toBe('close')
    })
  }

  test('what the peer sent before its close comes, though octets for it lay unread', async () => {
    const { stream, far, octets, events, until } = await pairOf(open)
    const words = randomBytes(60_000)
    far.pause()
    stream.send(Buffer.from('unread'), 0, 6)
    far.write(words)
    far.destroy()
    await until('close')
    expect(octets().equals(words)).toBe(true)
    expect(events.at(-1)).toBe('close')
  })

  test('an end is told before what came to another stream behind it', async () => {
    const ending = await pairOf(open)
    const other = await pairOf(open)
    const order: string[] = []
    const ended = ending.until('close').then(() => order.push('close'))
    const heard = other.until('data').then(() => order.push('data'))
    ending.far.destroy()
    other.far.write('behind it')
    await Promise.all([ended, heard])
    expect(order).toEqual(['close', 'data'])
    expect(ending.events).toEqual(['close'])
    other.far.destroy()
    await other.until('close')
  })

  test('close: never from inside the method, once, and nothing comes behind it', async () => {
    const { stream, far, events, until } = await pairOf(open)
    far.write('too late')
    stream.close()
    stream.close()
    expect(events).toEqual([])
    await until('close')
    expect(events).toEqual(['close'])
    expect(stream.send(Buffer.from('x'), 0, 1)).toBe(0)
    stream.read(false)
    stream.hold(false)
  })

  test('a peer that is gone while octets wait for it: close', async () => {
    const { stream, far, until } = await pairOf(open)
    far.pause()
    const data = Buffer.alloc(1_000_000)
    stream.send(data, 0, data.length)
    stream.read(false)
    far.destroy()
    await until('close')
  })
})

test('octets that were handed over are never written over', async () => {
  const connection = once(server, 'connection')
  const far = net.connect(join(folder, 'sock'))
  await connection
  const kept: Uint8Array[] = []
  let count = 0
  const whole = new Promise<void>((resolve) => {
    new NativeLocalStream(native, accepted.at(-1) as net.Socket, {
      onData: (chunk, start, end) => {
        kept.push(chunk.subarray(start, end))
        count += end - start
        if (count === 1_000_000) resolve()
      },
      onDrain: () => undefined,
      onClose: () => undefined,
    })
  })
  const data = randomBytes(1_000_000)
  far.write(data)
  await whole
  expect(Buffer.concat(kept).equals(data)).toBe(true)
  far.destroy()
})

test('a thread that ends with open streams ends cleanly', async () => {
  const module = join(packageRoot(), 'dist/src/tls/native-local-stream.js')
  const path = join(folder, 'sock')
  for (let round = 0; round < 3; round++) {
    const connection = once(server, 'connection')
    const worker = new Worker(workerCode(module, path), { eval: true })
    await connection
    const far = accepted.at(-1) as net.Socket
    const [told] = await once(worker, 'message')
    expect(told).toBe('open')
    const closed = once(far.resume(), 'close')
    await worker.terminate()
    await closed
  }
})

function workerCode(module: string, path: string): string {
  return `
    const { parentPort } = require('node:worker_threads')
    import(${JSON.stringify(module)}).then(({ NativeLocalStream, nativeStreams }) => {
      const socket = require('node:net').connect(${JSON.stringify(path)}).pause()
      socket.on('connect', () => {
        const events = { onData() {}, onDrain() {}, onClose() {} }
        const stream = new NativeLocalStream(nativeStreams(), socket, events)
        stream.send(Buffer.alloc(1_000_000), 0, 1_000_000)
        parentPort.postMessage('open')
      })
    })`
}
