/**
 * A server session and the clients that come when nobody has called `accept`.
 */
import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { describe, expect, test, vi } from 'vitest'
import { tlsWaitingClientsMax } from '../../src/base/limits.ts'
import { pinOf } from './support/certificates.ts'
import { sessionScene } from './support/session-scene.ts'

const scene = sessionScene()

/** A server session; what connects a client to it. */
async function serverSession(shared: string | false) {
  const wrapper = scene.wrapper(
    shared === false ? '/nonexistent/tls.sock' : (await scene.daemon()).socket,
  )
  const { certificate, key } = scene.identity
  const listen = { host: '127.0.0.1', port: 0 }
  const session = await wrapper.new({ shared, listen, certificate, key })
  expect(session.fault).toBeUndefined()
  const port = session.listeningPort ?? 0
  const connect = (): Promise<tls.TLSSocket> =>
    new Promise((resolve, reject) => {
      const to = { host: '127.0.0.1', port, ca: scene.authority.ca, servername: 'peer.test' }
      const socket = tls.connect(to, () => resolve(socket))
      socket.on('error', reject)
      scene.atEnd(() => socket.destroy())
    })
  return { session, port, connect }
}

const textOf = (data: Uint8Array): string => Buffer.from(data).toString()

describe.each([false, 'server'] as const)('accept, shared: %s', (shared) => {
  test('A18: a client that came before the call is taken by it, with what it has said', async () => {
    const { session, connect } = await serverSession(shared)
    const client = await connect()
    client.write('early')
    expect(await session.accept()).toMatchObject({ code: 'none' })
    expect(textOf((await session.read(100)).data)).toBe('early')
    client.end()
    expect(await session.read(100)).toMatchObject({ code: 'zeroReturn' })
  })

  test('A18: one client after the other, in the order in which they came', async () => {
    const { session, connect } = await serverSession(shared)
    for (const name of ['one', 'two', 'three']) (await connect()).end(name)
    for (const name of ['one', 'two', 'three']) {
      expect(await session.accept()).toMatchObject({ code: 'none' })
      expect(textOf((await session.read(100)).data)).toBe(name)
      expect(await session.read(100)).toMatchObject({ code: 'zeroReturn' })
    }
  })

  test('clients whose handshake fails end no call: it takes the first whose does not', async () => {
    const { session, port, connect } = await serverSession(shared)
    const accepting = session.accept()
    const strangers = ['GET / HTTP/1.0\r\n\r\n', ''].map((said) => {
      const stranger = net.connect({ host: '127.0.0.1', port })
      stranger.on('error', () => undefined).resume()
      stranger.end(said)
      return once(stranger, 'close')
    })
    await Promise.all(strangers)
    const client = await connect()
    client.write('a friend')
    expect(await accepting).toMatchObject({ code: 'none' })
    expect(textOf((await session.read(100)).data)).toBe('a friend')
    expect(session.getError()).toMatchObject({ code: 'none' })
  })
})

test('clients that connect and say nothing lose their places: the next one is taken', async () => {
  const wrapper = scene.wrapper('/nonexistent/tls.sock')
  const { certificate, key } = scene.identity
  const own = { listen: { host: '127.0.0.1', port: 0 }, certificate, key, connectTimeoutMs: 300 }
  const session = await wrapper.new({ shared: false, ...own })
  const to = { host: '127.0.0.1', port: session.listeningPort ?? 0 }
  const mute = Array.from({ length: 2 * tlsWaitingClientsMax }, () => net.connect(to))
  const gone = mute.map((socket) => once(socket.on('error', () => undefined).resume(), 'close'))
  const accepting = session.accept()
  await Promise.all(gone)
  const client = tls.connect({ ...to, ca: scene.authority.ca, servername: 'peer.test' })
  scene.atEnd(() => client.destroy())
  client.write('a friend')
  expect(await accepting).toMatchObject({ code: 'none' })
  expect(textOf((await session.read(100)).data)).toBe('a friend')
})

test('a client that does not show the key of the pin is not taken: the next one is', async () => {
  const [right, wrong] = [scene.authority.selfSigned('right'), scene.authority.selfSigned('wrong')]
  const wrapper = scene.wrapper('/nonexistent/tls.sock')
  const { certificate, key } = scene.identity
  const listen = { host: '127.0.0.1', port: 0 }
  const trust = { insecure: true, pin: pinOf(right) }
  const session = await wrapper.new({ shared: false, listen, certificate, key, ...trust })
  const accepting = session.accept()
  const port = session.listeningPort ?? 0
  for (const shown of [undefined, wrong]) {
    const own = shown === undefined ? {} : { cert: shown.certificate, key: shown.key }
    const socket = tls.connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...own })
    scene.atEnd(() => socket.destroy())
    socket.on('error', () => undefined).write('wrong')
    await once(socket.resume(), 'close')
  }
  const own = { cert: right.certificate, key: right.key }
  const socket = tls.connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...own })
  scene.atEnd(() => socket.destroy())
  socket.write('right')
  expect(await accepting).toMatchObject({ code: 'none' })
  expect(textOf((await session.read(100)).data)).toBe('right')
})

test('a client that is taken behind a shutdown ends as it ends, not as shut down by then', async () => {
  const { session, connect } = await serverSession(false)
  const accepting = session.accept()
  expect(await session.shutdown()).toMatchObject({ code: 'none' })
  const client = await connect()
  expect(await accepting).toMatchObject({ code: 'none' })
  client.end()
  expect(await session.read(100)).toMatchObject({ message: 'the peer has closed' })
})

test('clients that nobody takes are bounded, and closed with the session', async () => {
  const { session, connect } = await serverSession(false)
  const clients = await Promise.all(
    Array.from({ length: tlsWaitingClientsMax + 4 }, () => connect()),
  )
  for (const client of clients) client.resume()
  const ended = () => clients.filter(({ closed }) => closed).length
  await expect.poll(ended, { timeout: 20_000 }).toBe(4)
  await session.free()
  await expect.poll(ended, { timeout: 20_000 }).toBe(clients.length)
})

test('a client that has just gone is not taken: the next one is', async () => {
  const making = vi.spyOn(tls, 'createServer')
  const { session, connect } = await serverSession(false)
  const server = making.mock.results[0]?.value as tls.Server
  making.mockRestore()
  const came = once(server, 'secureConnection')
  await connect()
  const [gone] = (await came) as [tls.TLSSocket]
  // As when its reset is read before the call in one round of events: `close` comes behind both.
  gone.destroy()
  const accepting = session.accept()
  const client = await connect()
  client.write('next')
  expect(await accepting).toMatchObject({ code: 'none' })
  expect(textOf((await session.read(100)).data)).toBe('next')
})
