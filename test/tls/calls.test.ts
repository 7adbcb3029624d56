/**
 * The calls through the wrapper: routing, data, codes, handshakes. The daemon is a process of its
 * own.
 */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { NewOptions } from '../../src/tls/api.ts'
import { DaemonStub } from '../../src/tls/daemon-stub.ts'
import { type TlsSession, TlsWrapper } from '../../src/tls/wrapper.ts'
import { type Authority, type Identity, makeAuthority, pinOf } from './support/certificates.ts'
import { layCable, startPeer, type TlsPeer } from './support/peer.ts'
import { type RunningDaemon, startDaemon } from './support/processes.ts'

let authority: Authority
let good: Identity
let echo: TlsPeer
let daemon: RunningDaemon
let wrapper: TlsWrapper

beforeAll(async () => {
  authority = makeAuthority()
  good = authority.issue('peer.test')
  echo = await startPeer(good)
  daemon = await startDaemon()
  wrapper = new TlsWrapper({ daemon: daemon.socket })
})

afterAll(async () => {
  await wrapper.close()
  await echo.close()
  await daemon.end()
  authority.remove()
})

let names = 0
const newName = (): string => `name-${names++}`
const routes = ['unshared', 'shared'] as const

function optionsOf(route: (typeof routes)[number], more: Partial<NewOptions> = {}): NewOptions {
  const shared = route === 'shared' ? newName() : false
  const peer = { host: '127.0.0.1', port: echo.port, ca: authority.ca, servername: 'peer.test' }
  return { shared, ...peer, ...more }
}

async function readExactly(session: TlsSession, octets: number): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for (let left = octets; left > 0; ) {
    const { code, data } = await session.read(left)
    expect(code).toBe('none')
    parts.push(data)
    left -= data.length
  }
  return Buffer.concat(parts)
}

describe.each(routes)('%s session', (route) => {
  test('A18: new, connect, write, pending, read, shutdown, free: a client session, closed cleanly', async () => {
    const peer = await startPeer(good)
    const session = await wrapper.new(optionsOf(route, { port: peer.port }))
    expect(session.route).toBe(route)
    expect(await session.connect()).toEqual({ code: 'none', message: '' })
    expect(await session.connect()).toEqual({ code: 'none', message: '' })
    expect(await wrapper.write(session, 'ten octets')).toMatchObject({ code: 'none', written: 10 })
    expect(Buffer.from((await wrapper.read(session, 4)).data).toString()).toBe('ten ')
    expect(session.pending()).toBe(6)
    expect(Buffer.from((await session.read(100)).data).toString()).toBe('octets')
    expect(session.pending()).toBe(0)
    expect(await session.read(1, { wait: false })).toMatchObject({ code: 'wantRead' })
    expect(session.getError()).toMatchObject({ code: 'wantRead' })
    expect(peer.handshakes()).toBe(1)
    const peerSide = peer.sockets.at(-1)
    const peerSawEnd = new Promise((resolve) => peerSide?.once('end', resolve))
    expect(await session.shutdown()).toMatchObject({ code: 'none' })
    await peerSawEnd
    expect(await session.write('x')).toMatchObject({ code: 'zeroReturn', written: 0 })
    expect(await session.read(1)).toMatchObject({ code: 'zeroReturn' })
    expect(session.getError().code).toBe('zeroReturn')
    expect(await session.free()).toMatchObject({ code: 'none' })
    expect(await session.write('x')).toMatchObject({ code: 'badToken' })
    await peer.close()
  })

  test('A18: accept: a server session shakes hands with a client session', async () => {
    const server = await wrapper.new({
      shared: route === 'shared' ? newName() : false,
      listen: { host: '127.0.0.1', port: 0 },
      certificate: good.certificate,
      key: good.key,
    })
    const accepting = server.accept()
    const client = await wrapper.new(optionsOf(route, { port: server.listeningPort ?? 0 }))
    expect(await client.connect()).toMatchObject({ code: 'none' })
    expect(await accepting).toMatchObject({ code: 'none' })
    await client.write('to the server')
    expect(Buffer.from((await server.read(100)).data).toString()).toBe('to the server')
    await server.write('to the client')
    expect(Buffer.from((await client.read(100)).data).toString()).toBe('to the client')
    await server.shutdown()
    expect(await client.read(1)).toMatchObject({ code: 'zeroReturn' })
    await Promise.all([client.free(), server.free()])
  })

  test('A4: random octets with NUL, 17 KiB and over 1 MiB, arrive identical', async () => {
    const session = await wrapper.new(optionsOf(route))
    await session.connect()
    for (const size of [1, 17 * 1024, 1_500_000]) {
      const data = randomBytes(size)
      data[0] = 0
      const [written, read] = await Promise.all([session.write(data), readExactly(session, size)])
      expect(written).toMatchObject({ code: 'none', written: size })
      expect(read.equals(data)).toBe(true)
    }
    await session.free()
  })

  test('A13: concurrent writers: every write whole, none interleaved', async () => {
    const peer = await startPeer(good, 'silent')
    const session = await wrapper.new(optionsOf(route, { port: peer.port }))
    await session.connect()
    const sizes = [5, 300_000, 70_000, 1, 200_000, 90_000, 16]
    const writes = sizes.map((size, at) => Buffer.alloc(size, 65 + at))
    const ends = await Promise.all(writes.map((data) => session.write(data)))
    expect(ends.map((end) => end.written)).toEqual(sizes)
    const total = sizes.reduce((sum, size) => sum + size, 0)
    await peer.receives(total)
    const runs = peer
      .received()
      .toString('latin1')
      .match(/(.)\1*/g)
    expect(runs?.map((run) => run.length)).toEqual(sizes)
    await session.free()
    await peer.close()
  })

  test('A12: a read that waits stops no write', async () => {
    const session = await wrapper.new(optionsOf(route))
    await session.connect()
    const reading = session.read(100)
    const alsoReading = session.read(100)
    expect(await session.write('one')).toMatchObject({ code: 'none' })
    expect(Buffer.from((await reading).data).toString()).toBe('one')
    await session.write('two')
    expect(Buffer.from((await alsoReading).data).toString()).toBe('two')
    await session.free()
  })

  test("A8: the peer's close gives what it had sent, then zeroReturn", async () => {
    const peer = await startPeer(good, 'silent')
    const session = await wrapper.new(optionsOf(route, { port: peer.port }))
    await session.connect()
    const reading = session.read(100)
    ;(await peer.connection(0)).end('last words')
    expect(Buffer.from((await reading).data).toString()).toBe('last words')
    expect(await session.read(100)).toMatchObject({ code: 'zeroReturn' })
    expect(await session.write('x')).toMatchObject({ code: 'zeroReturn' })
    await session.free()
    await peer.close()
  })

  const breaks = [
    { how: 'reset', want: 'syscall' },
    { how: 'garble', want: 'ssl' },
  ] as const
  for (const { how, want } of breaks) {
    test(`A8: a connection that is broken by ${how}: every waiting call answers ${want}`, async () => {
      const cable = await layCable(echo.port)
      const session = await wrapper.new(optionsOf(route, { port: cable.port }))
      await session.connect()
      await session.write('before')
      expect(Buffer.from((await session.read(100)).data).toString()).toBe('before')
      const reading = [session.read(100), session.read(100)]
      cable[how]()
      expect((await Promise.all(reading)).map((end) => end.code)).toEqual([want, want])
      expect(await session.write('x')).toMatchObject({ code: want, written: 0 })
      await session.free()
      await cable.close()
    })
  }

  const refusals = [
    { label: 'expired', identity: () => authority.issue('peer.test', 'expired'), says: /EXPIRED/ },
    {
      label: 'self-signed',
      identity: () => authority.selfSigned('peer.test'),
      says: /SELF_SIGNED/,
    },
    { label: 'of another name', identity: () => authority.issue('other.test'), says: /ALTNAME/ },
  ]
  for (const { label, identity, says } of refusals) {
    test(`a certificate that is ${label} ends the handshake with ssl`, async () => {
      const peer = await startPeer(identity())
      const session = await wrapper.new(optionsOf(route, { port: peer.port }))
      expect(await session.connect()).toMatchObject({ code: 'ssl', message: says })
      expect(await session.write('secret')).toMatchObject({ code: 'ssl', written: 0 })
      expect(peer.received().length).toBe(0)
      await session.free()
      await peer.close()
    })
  }

  test('a pin is checked besides the chain, and alone with insecure', async () => {
    const pin = pinOf(good)
    const wrongPin = pinOf(authority.issue('peer.test'))
    const cases = [
      { more: { pin }, want: 'none' },
      { more: { pin: wrongPin }, want: 'ssl' },
      { more: { pin, insecure: true, servername: 'whatever.test' }, want: 'none' },
      { more: { pin: wrongPin, insecure: true }, want: 'ssl' },
    ]
    for (const { more, want } of cases) {
      const session = await wrapper.new(optionsOf(route, more))
      expect(await session.connect()).toMatchObject({ code: want })
      await session.free()
    }
  })

  test('a client certificate is shown to a peer that asks for one', async () => {
    const peer = await startPeer(good, 'echo', { requestCert: true, ca: authority.ca })
    const mine = authority.issue('client.test')
    const asked = optionsOf(route, {
      port: peer.port,
      certificate: mine.certificate,
      key: mine.key,
    })
    const session = await wrapper.new(asked)
    expect(await session.connect()).toMatchObject({ code: 'none' })
    await session.write('hello')
    expect(Buffer.from((await session.read(100)).data).toString()).toBe('hello')
    const subject = (await peer.connection(0)).getPeerCertificate().subject.CN
    expect(subject).toBe('client.test')
    await session.free()
    await peer.close()
  })

  test('a peer that is not there, and one that never shakes hands: syscall within the time-out', async () => {
    const gone = await startPeer(good)
    await gone.close()
    const refused = await wrapper.new(optionsOf(route, { port: gone.port }))
    expect(await refused.connect()).toMatchObject({ code: 'syscall', message: /ECONNREFUSED/ })
    const { createServer } = await import('node:net')
    const mute = createServer(() => undefined)
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
    const { port } = mute.address() as { port: number }
    const waiting = await wrapper.new(optionsOf(route, { port, connectTimeoutMs: 300 }))
    expect(await waiting.connect()).toMatchObject({ code: 'syscall', message: /ETIMEDOUT/ })
    mute.close()
    await Promise.all([refused.free(), waiting.free()])
  })
})

test('A3: one application mixes shared and unshared: the daemon sees the shared calls only', async () => {
  const stub = new DaemonStub(daemon.socket)
  const octetsOut = async (): Promise<number> => {
    const statistics = await stub.statistics()
    if ('code' in statistics) throw new Error(statistics.message)
    return statistics.sessions.reduce((sum, session) => sum + session.octetsOut, 0)
  }
  const before = await octetsOut()
  const shared = await wrapper.new(optionsOf('shared'))
  const own = await wrapper.new(optionsOf('unshared'))
  await Promise.all([shared.connect(), own.connect()])
  await shared.write('12345')
  await own.write('1234567890')
  await Promise.all([shared.read(100), own.read(100)])
  expect((await octetsOut()) - before).toBe(5)
  stub.close()
  await Promise.all([shared.free(), own.free()])
})

test('A14: sixteen sessions at once, shared and unshared: no crosstalk', async () => {
  const sessions = await Promise.all(
    Array.from({ length: 16 }, (_, at) => wrapper.new(optionsOf(routes[at % 2] ?? 'shared'))),
  )
  await Promise.all(
    sessions.map(async (session) => {
      await session.connect()
      for (let round = 0; round < 20; round++) {
        const data = randomBytes(3000)
        const [, back] = await Promise.all([session.write(data), readExactly(session, data.length)])
        expect(back.equals(data)).toBe(true)
      }
      await session.free()
    }),
  )
})

test('A7: unshared sessions work with no daemon at all; shared ones say daemonGone', async () => {
  const alone = new TlsWrapper({ daemon: '/nonexistent/tls.sock' })
  const own = await alone.new(optionsOf('unshared'))
  expect(await own.connect()).toMatchObject({ code: 'none' })
  expect(await own.write('hello')).toMatchObject({ code: 'none', written: 5 })
  const shared = await alone.new(optionsOf('shared'))
  const ends = [shared.connect(), shared.write('x'), shared.read(1), shared.lease(), shared.free()]
  expect((await Promise.all(ends)).map((end) => end.code)).toEqual(Array(5).fill('daemonGone'))
  const asked = optionsOf('shared', { fallback: true })
  const fallen = await alone.new(asked)
  expect(fallen.route).toBe('unshared')
  expect(await fallen.connect()).toMatchObject({ code: 'none' })
  await alone.close()
})

test('A8: what cannot even be tried answers a code, again and again', async () => {
  const wrapper = new TlsWrapper()
  const session = await wrapper.new({ shared: false, host: 'localhost', port: 70_000 })
  for (let time = 0; time < 2; time++) {
    expect(await session.connect()).toMatchObject({
      message: expect.stringContaining('ERR_SOCKET_BAD_PORT'),
    })
  }
  await wrapper.close()
})
