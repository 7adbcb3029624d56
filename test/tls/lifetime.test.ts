/**
 * Sessions outlive their applications: by name, by token, until a program is started for them.
 */
import { randomBytes } from 'node:crypto'
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { DaemonStub } from '../../src/tls/daemon-stub.ts'
import { TlsWrapper } from '../../src/tls/wrapper.ts'
import { newFolder } from './support/processes.ts'
import { base64, open, sessionScene, textOf } from './support/session-scene.ts'

const scene = sessionScene()

test('A15: a session outlives its application; the sweeper frees it when it was idle', async () => {
  const daemon = await scene.daemon()
  const peer = await scene.peer('echo')
  const first = scene.application(daemon.socket)
  await open(first, scene.optionsOf(peer.port, 'lasting'))
  await first.end('SIGKILL')
  const second = scene.application(daemon.socket)
  await open(second, scene.optionsOf(peer.port, 'lasting'))
  await second.ask({ do: 'write', session: 's', data: base64('hello') })
  expect(textOf(await second.ask({ do: 'read', session: 's' }))).toBe('hello')
  expect(peer.handshakes()).toBe(1)
  const third = scene.application(daemon.socket)
  await open(third, scene.optionsOf(peer.port, 'brief', { idleMs: 50 }))
  await third.end('SIGKILL')
  await peer.ended(1)
  expect(await second.ask({ do: 'write', session: 's', data: base64('x') })).toMatchObject({
    code: 'none',
  })
})

test('A16: a token opens the session for another process; it names its daemon and is random', async () => {
  const daemon = await scene.daemon()
  const peer = await scene.peer('echo')
  const wrapper = new TlsWrapper({ daemon: daemon.socket })
  scene.atEnd(() => wrapper.close())
  const made = await wrapper.new(scene.optionsOf(peer.port, 'token'))
  await made.connect()
  const other = await wrapper.new(scene.optionsOf(peer.port, 'token two'.replace(' ', '-')))
  expect(made.token).toMatch(/^[0-9a-f]{48}$/)
  expect(made.token.slice(0, 16)).toBe(other.token.slice(0, 16))
  expect(made.token.slice(16)).not.toBe(other.token.slice(16))
  const app = scene.application(daemon.socket)
  const options = { shared: 'whatever', token: made.token }
  expect(await app.ask({ do: 'new', session: 's', options })).toMatchObject({ code: 'none' })
  await app.ask({ do: 'write', session: 's', data: base64('by token') })
  expect(Buffer.from((await made.read(100)).data).toString()).toBe('by token')
})

test('A16: forged, stale and foreign tokens are refused, and name nothing', async () => {
  const [daemon, foreign] = [await scene.daemon(), await scene.daemon()]
  const peer = await scene.peer('echo')
  const wrapper = new TlsWrapper({ daemon: daemon.socket })
  const elsewhere = new TlsWrapper({ daemon: foreign.socket })
  scene.atEnd(() => wrapper.close())
  scene.atEnd(() => elsewhere.close())
  const mine = await wrapper.new(scene.optionsOf(peer.port, 'mine'))
  const theirs = await elsewhere.new(scene.optionsOf(peer.port, 'theirs'))
  const stale = await wrapper.new(scene.optionsOf(peer.port, 'stale', { idleMs: 1 }))
  await stale.free()
  const flipped = mine.token.slice(0, -1) + (mine.token.endsWith('0') ? '1' : '0')
  const forged = mine.token.slice(0, 16) + randomBytes(16).toString('hex')
  await untilFreed(daemon.socket, 'stale')
  for (const token of [flipped, forged, theirs.token, stale.token]) {
    const made = await wrapper.new({ shared: 'x', token })
    expect(made.fault?.code).toBe('badToken')
    expect((await made.read(1)).code).toBe('badToken')
    const direct = { route: 'shared', token } as const
    expect((await wrapper.write(direct, 'x')).code).toBe('badToken')
    expect((await wrapper.lease(direct)).code).toBe('badToken')
    expect((await wrapper.shutdown(direct)).code).toBe('badToken')
  }
})

/** Waits until the daemon's figures no longer show a session. */
async function untilFreed(socket: string, name: string): Promise<void> {
  const stub = new DaemonStub(socket)
  for (;;) {
    const statistics = await stub.statistics()
    if ('code' in statistics) throw new Error(statistics.message)
    if (statistics.sessions.every((session) => session.name !== name)) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  stub.close()
}

test('A17: octets for a session that nobody reads start its program once; it reads them', async () => {
  const folder = newFolder()
  scene.atEnd(() => rmSync(folder, { recursive: true }))
  const program = join(folder, 'on-receipt.mjs')
  const output = join(folder, 'output')
  const library = new URL('../../dist/src/index.js', import.meta.url).pathname
  writeFileSync(program, receiver(library, output))
  chmodSync(program, 0o755)
  const daemon = await scene.daemon('--program', `receiver=${process.execPath} ${program}`)
  const peer = await scene.peer('silent')
  const app = scene.application(daemon.socket)
  await open(app, scene.optionsOf(peer.port, 'activated'))
  const refused = await app.ask({ do: 'activate', session: 's', program: '/bin/sh' })
  expect(refused).toMatchObject({ code: 'refused' })
  expect(await app.ask({ do: 'activate', session: 's', program: 'receiver' })).toMatchObject({
    code: 'none',
  })
  await app.end('SIGKILL')
  const socket = await peer.connection(0)
  socket.write('wake up')
  await peer.receives('read: wake up'.length)
  expect(peer.received().toString()).toBe('read: wake up')
  socket.write('nobody is registered any more')
  const second = scene.application(daemon.socket)
  await open(second, scene.optionsOf(peer.port, 'activated'))
  expect(textOf(await second.ask({ do: 'read', session: 's' }))).toBe(
    'nobody is registered any more',
  )
  expect(readFileSync(output, 'utf8')).toBe('started\n')
})

function receiver(library: string, output: string): string {
  return `
import { appendFileSync } from 'node:fs'
import { TlsWrapper } from ${JSON.stringify(library)}
appendFileSync(${JSON.stringify(output)}, 'started\\n')
const wrapper = new TlsWrapper({ daemon: process.env.ACTIVEMX_TLS_SOCKET })
const session = await wrapper.new({ shared: 'me', token: process.env.ACTIVEMX_TLS_TOKEN })
const { data } = await session.read(100)
await session.write('read: ' + Buffer.from(data).toString())
await wrapper.close()
`
}
