/**
 * The daemon where the machine gives it nothing more: no descriptors, no room on the disk. One
 * client or one session ends, never the daemon.
 */
import { spawn } from 'node:child_process'
import { existsSync, openSync, rmSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { DaemonStub } from '../../src/tls/daemon-stub.ts'
import { callKinds, encodeFrame, helloMagic, wireVersion } from '../../src/tls/wire.ts'
import { TlsWrapper } from '../../src/tls/wrapper.ts'
import { projectRoot } from '../support/needs.ts'
import { runProgram } from '../support/programs.ts'
import { type Authority, makeAuthority } from './support/certificates.ts'
import { startPeer, type TlsPeer } from './support/peer.ts'
import { follow, newFolder, type Running } from './support/processes.ts'

let authority: Authority
let peer: TlsPeer
const ends: (() => unknown)[] = []

beforeAll(async () => {
  authority = makeAuthority()
  peer = await startPeer(authority.issue('peer.test'))
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})
afterAll(async () => {
  await peer.close()
  authority.remove()
})

/** Starts a daemon; its messages go to `faults`. */
async function daemonWith(
  words: readonly string[] = [],
  faults: 'inherit' | number = 'inherit',
): Promise<Running & { readonly socket: string }> {
  const folder = newFolder()
  const socket = join(folder, 'tls.sock')
  const program = join(projectRoot, 'dist/src/cli/activemx.js')
  const command = [program, 'tls', 'daemon', '--socket', socket, '--json', ...words]
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', faults] })
  const running = follow(child)
  ends.push(
    () => rmSync(folder, { recursive: true, force: true }),
    () => running.end('SIGKILL'),
  )
  await running.line()
  return { ...running, socket }
}

async function isServed(socket: string, shared: string): Promise<string> {
  const wrapper = new TlsWrapper({ daemon: socket })
  const to = { host: '127.0.0.1', port: peer.port, ca: authority.ca, servername: 'peer.test' }
  const session = await wrapper.new({ shared, ...to })
  const connected = await session.connect()
  await session.write('honest')
  const { data } = await session.read(100)
  await wrapper.close()
  return connected.code === 'none' ? Buffer.from(data).toString() : connected.code
}

const hello = encodeFrame(
  { kind: callKinds.hello, flags: 0, priority: 0, code: 0, request: 1, lease: 0 },
  Buffer.from(`${helloMagic}${String.fromCharCode(wireVersion)}\0`),
)

test('out of descriptors: new clients are turned away, old ones are served, and it recovers', async () => {
  const daemon = await daemonWith()
  // Afterwards: it needs more while it loads its modules.
  await runProgram('prlimit', ['--pid', String(daemon.pid), '--nofile=48:48'])
  const wrapper = new TlsWrapper({ daemon: daemon.socket })
  ends.push(() => wrapper.close())
  const to = { host: '127.0.0.1', port: peer.port, ca: authority.ca, servername: 'peer.test' }
  const session = await wrapper.new({ shared: 'first', ...to })
  expect(await session.connect()).toMatchObject({ code: 'none' })
  let greeted = 0
  let closed = 0
  const crowd = Array.from({ length: 100 }, () => net.connect({ path: daemon.socket }))
  await new Promise<void>((resolve) => {
    const told = (): void => {
      if (greeted + closed >= crowd.length) resolve()
    }
    for (const client of crowd) {
      client.on('error', () => undefined)
      client.once('data', () => {
        greeted++
        told()
      })
      let isGreeted = false
      client.once('data', () => {
        isGreeted = true
      })
      client.once('close', () => {
        if (!isGreeted) closed++
        told()
      })
      client.write(hello)
    }
  })
  expect(greeted).toBeGreaterThan(0)
  expect(closed).toBeGreaterThan(0)
  await session.write('still here')
  expect(Buffer.from((await session.read(100)).data).toString()).toBe('still here')
  // A session that gets no descriptor for its connection says so.
  const late = await wrapper.new({ shared: 'late', ...to })
  expect(late.fault).toBeUndefined()
  expect((await late.connect()).code).toMatch(/syscall|none/)
  const gone = crowd.map((client) =>
    client.closed ? undefined : new Promise((resolve) => client.once('close', resolve)),
  )
  for (const client of crowd) client.destroy()
  await Promise.all(gone)
  await expect.poll(() => isServed(daemon.socket, 'after'), { timeout: 30_000 }).toBe('honest')
})

test('a full disk below its messages, and a program that cannot start: the daemon lives', async () => {
  expect(existsSync('/dev/full')).toBe(true)
  const full = openSync('/dev/full', 'w')
  const daemon = await daemonWith(['--program', 'none=/nonexistent/program'], full)
  const silent = await startPeer(authority.issue('peer.test'), 'silent')
  ends.push(() => silent.close())
  const wrapper = new TlsWrapper({ daemon: daemon.socket })
  ends.push(() => wrapper.close())
  const to = { host: '127.0.0.1', port: silent.port, ca: authority.ca, servername: 'peer.test' }
  const session = await wrapper.new({ shared: 'full', ...to })
  await session.connect()
  for (let round = 0; round < 3; round++) {
    expect(await session.activate('none')).toMatchObject({ code: 'none' })
    ;(await silent.connection(0)).write('wake up')
    // The octets stay for whoever reads them.
    const read = await session.read(100)
    expect(`${round} ${read.code} ${read.message} ${Buffer.from(read.data)}`).toBe(
      `${round} none  wake up`,
    )
  }
  expect(await isServed(daemon.socket, 'after')).toBe('honest')
  const stub = new DaemonStub(daemon.socket)
  expect(await stub.statistics()).toMatchObject({ sessions: [{ name: 'full', handshakes: 1 }, {}] })
  stub.close()
})
