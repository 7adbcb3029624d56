/**
 * Session tickets of clients: good at every instance, renewed, rotated, and for nobody else's
 * service or certificate; and the name in a ClientHello, on which that rests.
 */
import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { tlsHelloOctetsMax, tlsHelloRecordsMax } from '../../src/base/limits.ts'
import { HelloReader } from '../../src/tls/client-hello.ts'
import { type Certificate, InboundTls, type InboundTlsPolicy } from '../../src/tls/inbound.ts'
import { ticketPeriodMs } from '../../src/tls/ticket-keys.ts'
import { type Authority, makeAuthority } from './support/certificates.ts'

const versions = ['TLSv1.2', 'TLSv1.3'] as const
type Version = (typeof versions)[number]

let authority: Authority
let certificates: readonly Certificate[]
let nowMs = 0
const ends: (() => unknown)[] = []

beforeAll(() => {
  authority = makeAuthority()
  const named = (names: readonly string[]): Certificate => ({
    ...authority.issue(names[0] ?? 'mx.example.test'),
    names,
  })
  certificates = [named([]), named(['other.example.test'])]
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})
afterAll(() => authority.remove())

/** The name in what came in one chunk. */
function serverNameIn(octets: Buffer): string | undefined {
  return new HelloReader().take(octets)
}

/** A listener with TLS from the first octet, as a thread of a service has it. @returns its port. */
async function listener(changes: Partial<InboundTlsPolicy> = {}): Promise<number> {
  const policy: InboundTlsPolicy = {
    certificates: certificates.slice(0, 1),
    versionMin: '1.2',
    ticketSecret: Buffer.alloc(32, 7),
    service: 'mx.example.test',
    ...changes,
  }
  const inbound = new InboundTls(policy, () => nowMs)
  const server = net.createServer((raw) => {
    raw.once('data', (hello) => {
      raw.pause()
      raw.unshift(hello)
      const name = inbound.wantsName ? (serverNameIn(hello) ?? '') : ''
      const socket = inbound.put(raw, name)
      socket.on('error', () => socket.destroy())
      socket.on('data', (octets) => socket.end(octets))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  ends.push(() => new Promise((resolve) => server.close(resolve)))
  return (server.address() as net.AddressInfo).port
}

interface Visit {
  readonly isResumed: boolean
  /** The last ticket that the server gave, or the one that was shown. */
  readonly ticket: Buffer
  readonly name: string
}

/** One connection: a word there and back, and the end. */
async function visit(
  port: number,
  version: Version,
  session?: Buffer,
  servername = 'mx.example.test',
): Promise<Visit> {
  const only = { minVersion: version, maxVersion: version, ca: authority.ca, servername }
  const known = session === undefined ? {} : { session }
  const socket = tls.connect({ host: '127.0.0.1', port, ...only, ...known })
  let ticket = session ?? Buffer.alloc(0)
  socket.on('session', (given) => {
    ticket = given
  })
  await once(socket, 'secureConnect')
  const name = String(socket.getPeerCertificate().subject?.CN)
  const isResumed = socket.isSessionReused()
  if (version === 'TLSv1.2') ticket = socket.getSession() ?? ticket
  socket.write('x')
  socket.resume()
  await once(socket, 'close')
  return { isResumed, ticket, name }
}

describe.each(versions)('tickets, %s', (version) => {
  test('a ticket is taken by every instance; of the period before, too; then refused', async () => {
    nowMs = 100 * ticketPeriodMs + 1
    const instances = [await listener(), await listener(), await listener()]
    const [one = 0, two = 0, three = 0] = instances
    const first = await visit(one, version)
    expect(first.isResumed).toBe(false)
    for (const port of instances) {
      expect((await visit(port, version, first.ticket)).isResumed).toBe(true)
    }
    // Three periods: what was given in one is good in it and in the next.
    let { ticket } = first
    for (let period = 101; period < 104; period++) {
      nowMs = period * ticketPeriodMs + 1
      const renewed = await visit(two, version, ticket)
      expect(renewed.isResumed).toBe(true)
      ticket = renewed.ticket
      expect((await visit(three, version, ticket)).isResumed).toBe(true)
    }
    expect((await visit(one, version, first.ticket)).isResumed).toBe(false)
  })

  test('a ticket of the period before is renewed under the new key', async () => {
    nowMs = 200 * ticketPeriodMs
    const port = await listener()
    const { ticket: old } = await visit(port, version)
    nowMs += ticketPeriodMs
    const { ticket: renewed } = await visit(port, version, old)
    nowMs += ticketPeriodMs
    expect((await visit(port, version, old)).isResumed).toBe(false)
    expect((await visit(port, version, renewed)).isResumed).toBe(true)
    nowMs += ticketPeriodMs
    expect((await visit(port, version, renewed)).isResumed).toBe(false)
  })

  test('a clock that is a period ahead or behind costs a full handshake, not the connection', async () => {
    nowMs = 300 * ticketPeriodMs
    const port = await listener()
    const { ticket } = await visit(port, version)
    nowMs -= ticketPeriodMs
    const { isResumed } = await visit(port, version, ticket)
    expect(isResumed).toBe(false)
  })

  test('a certificate of a hundred names: its tickets are its own, at every instance', async () => {
    nowMs = 350 * ticketPeriodMs
    const names = Array.from({ length: 100 }, (_, at) => `mx${at}.${'long'.repeat(10)}.test`)
    const [first] = certificates
    if (first === undefined) throw new Error('no certificate')
    const port = await listener({ certificates: [{ ...first, names }] })
    const { ticket } = await visit(port, version)
    const again = await listener({ certificates: [{ ...first, names }] })
    expect((await visit(again, version, ticket)).isResumed).toBe(true)
    const fewer = await listener({ certificates: [{ ...first, names: names.slice(1) }] })
    expect((await visit(fewer, version, ticket)).isResumed).toBe(false)
  })

  test('another service, secret or certificate: a full handshake', async () => {
    nowMs = 400 * ticketPeriodMs
    const port = await listener({ certificates })
    const { ticket, name } = await visit(port, version)
    expect(name).toBe('mx.example.test')
    expect((await visit(port, version, ticket)).isResumed).toBe(true)
    const others = [
      await listener({ certificates, service: 'else.example.test' }),
      await listener({ certificates, ticketSecret: Buffer.alloc(32, 8) }),
    ]
    for (const other of others) {
      expect((await visit(other, version, ticket)).isResumed).toBe(false)
    }
    const elsewhere = await visit(port, version, ticket, 'other.example.test')
    expect(elsewhere).toMatchObject({ isResumed: false, name: 'other.example.test' })
    expect((await visit(port, version, elsewhere.ticket)).isResumed).toBe(false)
  })
})

describe('the name in a ClientHello', () => {
  /** What a client of this name says first. */
  async function helloOf(servername: string): Promise<Buffer> {
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    ends.push(() => new Promise((resolve) => server.close(resolve)))
    const { port } = server.address() as net.AddressInfo
    const client = tls.connect({ host: '127.0.0.1', port, servername })
    client.on('error', () => undefined)
    const [socket] = (await once(server, 'connection')) as [net.Socket]
    const [hello] = (await once(socket, 'data')) as [Buffer]
    client.destroy()
    socket.destroy()
    return hello
  }

  /** The same hello in records of so many octets. */
  function inRecords(hello: Buffer, partOctets: number): Buffer {
    const message = hello.subarray(5)
    const parts: Buffer[] = []
    for (let at = 0; at < message.length; at += partOctets) {
      const part = message.subarray(at, at + partOctets)
      parts.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part)
    }
    return Buffer.concat(parts)
  }

  test('cut at every octet: unknown until it is whole', async () => {
    const hello = await helloOf('MX2.example.test')
    for (let end = 0; end < hello.length; end++) {
      expect(serverNameIn(hello.subarray(0, end))).toBeUndefined()
    }
    expect(serverNameIn(hello)).toBe('mx2.example.test')
  })

  test('octet by octet: told with the last one, and all are there for TLS', async () => {
    const whole = await helloOf('mx2.example.test')
    for (const records of [1, 2, 12]) {
      const hello = inRecords(whole, Math.ceil(whole.length / records))
      const reader = new HelloReader()
      const told = Array.from(hello, (octet) => reader.take(Buffer.from([octet])))
      expect(told.at(-1)).toBe('mx2.example.test')
      expect(told.slice(0, -1).every((name) => name === undefined)).toBe(true)
      expect(reader.octets).toEqual(hello)
    }
  })

  test('in several records', async () => {
    const hello = await helloOf('mx2.example.test')
    expect(serverNameIn(inRecords(hello, 200))).toBe('mx2.example.test')
    const least = Math.ceil((hello.length - 5) / tlsHelloRecordsMax)
    expect(serverNameIn(inRecords(hello, least))).toBe('mx2.example.test')
    expect(serverNameIn(inRecords(hello, Math.floor(least / 2)))).toBe('')
  })

  test('an empty record: none, TLS refuses it', async () => {
    const empty = Buffer.from([22, 3, 1, 0, 0])
    expect(serverNameIn(empty)).toBe('')
    const hello = inRecords(await helloOf('mx2.example.test'), 100)
    expect(serverNameIn(Buffer.concat([hello.subarray(0, 105), empty]))).toBe('')
  })

  test.each([1, tlsHelloRecordsMax])(
    'octet by octet, %d records: work grows with octets',
    (records) => {
      const bodyOctets = Math.floor(tlsHelloOctetsMax / records) - 5
      const message = Buffer.alloc(records * bodyOctets)
      message.writeUInt32BE(0x01_ff_ff_ff)
      const octets = inRecords(Buffer.concat([Buffer.alloc(5), message]), bodyOctets)
      const look = vi.spyOn(Buffer.prototype, 'readUInt16BE')
      const join = vi.spyOn(Buffer, 'concat')
      const grow = vi.spyOn(Buffer, 'allocUnsafe')
      ends.push(() => vi.restoreAllMocks())
      const reader = new HelloReader()
      for (const octet of octets.subarray(0, -1))
        expect(reader.take(Buffer.from([octet]))).toBeUndefined()
      expect(look.mock.calls.length).toBeLessThanOrEqual(2 * records)
      expect(join.mock.calls.length).toBeLessThanOrEqual(2)
      const copied = grow.mock.calls.reduce((sum, [size]) => sum + size, 0)
      expect(copied).toBeLessThan(5 * tlsHelloOctetsMax)
    },
  )

  test('none asked for: none', async () => {
    expect(serverNameIn(await helloOf(''))).toBe('')
  })

  test('any octets: a text, or more are needed; never an exception, never for ever', async () => {
    const hello = await helloOf('mx2.example.test')
    const damaged = fc.tuple(fc.nat(hello.length - 1), fc.nat(255)).map(([at, octet]) => {
      const copy = Buffer.from(hello)
      copy[at] = octet
      return copy
    })
    const any = fc.uint8Array({ maxLength: 300 }).map((octets) => Buffer.from(octets))
    fc.assert(
      fc.property(fc.oneof(damaged, any), (octets) => {
        expect(['string', 'undefined']).toContain(typeof serverNameIn(octets))
      }),
      { numRuns: 2000 },
    )
    const long = Buffer.concat([Buffer.from([22, 3, 1, 255, 255]), Buffer.alloc(tlsHelloOctetsMax)])
    expect(serverNameIn(long)).toBe('')
  })
})
