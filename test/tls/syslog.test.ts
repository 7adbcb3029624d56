import { mkdtempSync, rmSync } from 'node:fs'
import type net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openSyslogOverTls } from '../../src/edge/tls-syslog.ts'
import { hasRoom } from '../../src/log/sink.ts'
import { openSystemLog } from '../../src/log/system-log.ts'
import { DaemonStub } from '../../src/tls/daemon-stub.ts'
import { openTlsSyslog } from '../../src/tls/syslog-sink.ts'
import { TlsWrapper } from '../../src/tls/wrapper.ts'
import { testConfig } from '../support/running-proxy.ts'
import { type Authority, makeAuthority } from './support/certificates.ts'
import { startPeer, type TlsPeer } from './support/peer.ts'
import { newFolder, startDaemon } from './support/processes.ts'

let authority: Authority
let server: TlsPeer
let folder: string

beforeAll(async () => {
  authority = makeAuthority()
  server = await startPeer(authority.issue('log.test'), 'silent')
  folder = mkdtempSync(join(tmpdir(), 'activemx-syslog-'))
})
afterAll(async () => {
  await server.close()
  authority.remove()
  rmSync(folder, { recursive: true })
})

/** The messages of frames with octet counting. RFC 5425 §4.3: MSG-LEN SP SYSLOG-MSG. */
function messagesOf(octets: Buffer): readonly string[] {
  const messages: string[] = []
  for (let at = 0; at < octets.length; ) {
    const space = octets.indexOf(' ', at)
    const length = Number(octets.subarray(at, space).toString())
    expect(length).toBeGreaterThan(0)
    messages.push(octets.subarray(space + 1, space + 1 + length).toString('latin1'))
    at = space + 1 + length
  }
  return messages
}

test.each([
  ['gone', 'SIGKILL'],
  ['stopped', 'SIGSTOP'],
] as const)(
  'two logs share one session to the syslog server; with the daemon %s they go on by themselves',
  async (_state, signal) => {
    const before = server.handshakes()
    const daemon = await startDaemon()
    const log = {
      to: `syslog+tls://127.0.0.1:${server.port}`,
      ca: authority.caFile,
      servername: 'log.test',
    }
    const config = testConfig([9], { log, tls_daemon: { socket: daemon.socket } }, folder)
    const logs = await Promise.all([1, 2].map(() => openSystemLog(config, openSyslogOverTls)))
    const tell = (detail: string): void => {
      for (const one of logs) {
        one.log.record({ event: 'service', time: Date.now(), what: 'test', detail })
        one.log.flush()
      }
    }
    const arrived = (detail: string): number =>
      messagesOf(server.received()).filter((message) => message.includes(detail)).length
    tell(`over the daemon, ${signal}`)
    await expect.poll(() => arrived(`over the daemon, ${signal}`), { timeout: 20_000 }).toBe(2)
    expect(server.handshakes() - before).toBe(1)
    const [first] = messagesOf(server.received())
    expect(first).toMatch(/^<22>1 \d{4}-\d\d-\d\dT[\d:.]+Z mx\.example\.test activemx \d+ - - \{/)
    process.kill(daemon.pid, signal)
    tell(`by themselves, ${signal}`)
    await expect
      .poll(() => arrived(`by themselves, ${signal}`), { timeout: 20_000 })
      .toBeGreaterThanOrEqual(2)
    expect(server.handshakes() - before).toBe(3)
    await daemon.end('SIGKILL')
    await Promise.all(logs.map((one) => one.close()))
  },
)

/** A syslog server whose first connections, so many, are never read. */
async function startDeafServer(deaf: number) {
  const heard: Buffer[][] = []
  const identity = authority.issue('log.test')
  const taking = tls.createServer({ cert: identity.certificate, key: identity.key }, (socket) => {
    const chunks: Buffer[] = []
    heard.push(chunks)
    socket.on('error', () => undefined)
    if (heard.length > deaf) socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  })
  const sockets: net.Socket[] = []
  taking.on('connection', (socket) => sockets.push(socket))
  await new Promise<void>((resolve) => taking.listen(0, '127.0.0.1', resolve))
  const { port } = taking.address() as net.AddressInfo
  return {
    port,
    connections: () => heard.length,
    /** The numbers of the lines that have come on the others; a batch may come twice. */
    lines: () => {
      const messages = heard.slice(deaf).flatMap((chunks) => messagesOf(Buffer.concat(chunks)))
      const numbers = messages.map((text) => Number(text.split(' ').at(-2)))
      return [...new Set(numbers)].sort((one, other) => one - other)
    },
    close: () => {
      taking.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

test.each(['by itself', 'over the daemon'] as const)(
  'a syslog server that never reads, met %s: what fits waits, and goes to the next connection',
  async (way) => {
    const deaf = await startDeafServer(1)
    const daemon = await startDaemon()
    const wrapper = new TlsWrapper({ daemon: daemon.socket })
    const shared = way === 'by itself' ? (false as const) : 'deaf'
    const to = { host: '127.0.0.1', port: deaf.port, ca: authority.ca, servername: 'log.test' }
    const faults: string[] = []
    let lost = 0
    const events = {
      onDrain: () => undefined,
      onLost: (records: number) => {
        lost += records
      },
      onFault: (fault: string) => faults.push(fault),
    }
    const settings = { priority: 22, host: 'mx', tag: 'activemx' }
    const sink = openTlsSyslog(wrapper, { shared, ...to, stallMs: 2_000 }, settings, events)
    const filling = 'x'.repeat(4000)
    let written = 0
    // As the log does: what finds no room is not written.
    while (deaf.connections() < 2) {
      if (hasRoom(sink, filling.length + 20)) sink.write(`${written++} ${filling}\n`)
      else await new Promise(setImmediate)
      if (written % 100 === 0) await new Promise(setImmediate)
    }
    sink.write(`${written++} ${filling}\n`)
    await expect.poll(() => sink.waiting(), { timeout: 20_000 }).toBe(0)
    await expect.poll(() => deaf.lines().at(-1), { timeout: 20_000 }).toBe(written - 1)
    const [first = 0] = deaf.lines()
    expect(deaf.lines()).toEqual(Array.from({ length: written - first }, (_, at) => first + at))
    expect(faults[0]).toBe('syslog over TLS: ETIMEDOUT: a write took longer than 2000 ms')
    await sink.close()
    expect(lost).toBe(0)
    await daemon.end('SIGKILL')
    deaf.close()
  },
)

test('with the daemon there again the logs go back to its one session', async () => {
  const folderOfDaemon = newFolder()
  const socket = join(folderOfDaemon, 'tls.sock')
  const to = `syslog+tls://127.0.0.1:${server.port}`
  const log = { to, ca: authority.caFile, servername: 'log.test' }
  const config = testConfig([9], { log, tls_daemon: { socket } }, folder)
  const one = await openSystemLog(config, openSyslogOverTls)
  const tell = (detail: string): void => {
    one.log.record({ event: 'service', time: Date.now(), what: 'test', detail })
    one.log.flush()
  }
  const has = (detail: string) => () =>
    messagesOf(server.received()).some((message) => message.includes(detail))
  const before = server.handshakes()
  tell('alone')
  await expect.poll(has('alone'), { timeout: 20_000 }).toBe(true)
  const own = await server.connection(before)
  const daemon = await startDaemon([], { folder: folderOfDaemon })
  const stub = new DaemonStub(socket)
  let lines = 0
  const octetsShared = async (): Promise<number> => {
    lines++
    tell(`line ${lines} back`)
    const figures = await stub.statistics()
    return 'code' in figures ? 0 : (figures.sessions[0]?.octetsOut ?? 0)
  }
  await expect.poll(octetsShared, { timeout: 30_000, interval: 200 }).toBeGreaterThan(0)
  await expect.poll(() => own.readableEnded, { timeout: 20_000 }).toBe(true)
  await expect.poll(has(`line ${lines} back`), { timeout: 20_000 }).toBe(true)
  for (let line = 1; line <= lines; line++) expect(has(`line ${line} back`)()).toBe(true)
  expect(server.handshakes() - before).toBe(2)
  stub.close()
  await one.close()
  await daemon.end('SIGKILL')
  rmSync(folderOfDaemon, { recursive: true, force: true })
})
