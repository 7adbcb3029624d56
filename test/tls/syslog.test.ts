import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openSyslogOverTls } from '../../src/edge/tls-syslog.ts'
import { openSystemLog } from '../../src/log/system-log.ts'
import { DaemonStub } from '../../src/tls/daemon-stub.ts'
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
