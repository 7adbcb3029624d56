/**
 * The commands as an operator types them: the raw form of the wrapper, the daemon's caps, its end
 * of idle sessions and what it shows of them.
 */
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { DaemonStub } from '../../src/tls/daemon-stub.ts'
import { TlsWrapper } from '../../src/tls/wrapper.ts'
import { projectRoot } from '../support/needs.ts'
import { runProgram } from '../support/programs.ts'
import { type Authority, type Identity, makeAuthority } from './support/certificates.ts'
import { startPeer, type TlsPeer } from './support/peer.ts'
import { newFolder, type RunningDaemon, run, startDaemon, startWrap } from './support/processes.ts'

let authority: Authority
let identity: Identity
const ends: (() => unknown)[] = []

beforeAll(() => {
  authority = makeAuthority()
  identity = authority.issue('localhost')
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})
afterAll(() => authority.remove())

async function peerWith(behaviour: 'echo' | 'silent'): Promise<TlsPeer> {
  const peer = await startPeer(identity, behaviour)
  ends.push(() => peer.close())
  return peer
}

async function daemonWith(...words: readonly string[]): Promise<RunningDaemon> {
  const daemon = await startDaemon(words)
  ends.push(() => daemon.end('SIGKILL'))
  return daemon
}

function wrapperOf(daemon: RunningDaemon): TlsWrapper {
  const wrapper = new TlsWrapper({ daemon: daemon.socket })
  ends.push(() => wrapper.close())
  return wrapper
}

const to = (peer: TlsPeer) => ({ host: 'localhost', port: peer.port, ca: authority.ca })

describe('tls wrap --listen PATH', () => {
  const nobody = '/nonexistent/tls.sock'

  /** The wrapper on a path; answers what a conversation hears until it ends. */
  async function converse(peer: TlsPeer, ...words: readonly string[]) {
    const folder = newFolder()
    const path = join(folder, 'raw.sock')
    const target = ['--to', `localhost:${peer.port}`, '--ca', authority.caFile]
    const wrap = await startWrap('--listen', path, ...target, ...words)
    ends.push(
      () => rmSync(folder, { recursive: true, force: true }),
      () => wrap.end('SIGKILL'),
    )
    return (text: string): Promise<string> =>
      new Promise((resolve) => {
        let heard = ''
        const client = net.connect({ path })
        client.setEncoding('latin1').on('error', () => undefined)
        client.on('data', (chunk) => {
          heard += chunk
          if (heard.length >= text.length) client.end()
        })
        client.on('close', () => resolve(heard))
        client.write(text)
      })
  }

  test('without --shared each connection has a session of its own, and needs no daemon', async () => {
    const peer = await peerWith('echo')
    const say = await converse(peer, '--daemon', nobody)
    expect(await say('one')).toBe('one')
    expect(await say('two')).toBe('two')
    expect(peer.handshakes()).toBe(2)
  })

  test('with --shared the connections have one session between them', async () => {
    const peer = await peerWith('echo')
    const daemon = await daemonWith()
    const say = await converse(peer, '--daemon', daemon.socket, '--shared', 'raw')
    expect(await Promise.all(['one', 'two', 'three'].map(say))).toEqual(['one', 'two', 'three'])
    expect(peer.handshakes()).toBe(1)
  })

  test('the daemon is away: the connection is closed, or with --fallback served alone', async () => {
    const peer = await peerWith('echo')
    const without = await converse(peer, '--daemon', nobody, '--shared', 'raw')
    expect(await without('lost')).toBe('')
    const fallback = await converse(peer, '--daemon', nobody, '--shared', 'raw', '--fallback')
    expect(await fallback('saved')).toBe('saved')
  })
})

test('--target-sessions-max: connections to one peer above it are refused, another peer is served', async () => {
  const [peer, other] = [await peerWith('echo'), await peerWith('echo')]
  const wrapper = wrapperOf(await daemonWith('--target-sessions-max', '2'))
  const codeOf = async (shared: string, at: TlsPeer): Promise<string> =>
    (await (await wrapper.new({ shared, ...to(at) })).connect()).code
  expect(await codeOf('a', peer)).toBe('none')
  expect(await codeOf('b', peer)).toBe('none')
  expect(await codeOf('c', peer)).toBe('refused')
  expect(await codeOf('a', peer)).toBe('none')
  expect(await codeOf('d', other)).toBe('none')
})

test('an idle SMTP session is ended with QUIT and close-notify, even while it is held', async () => {
  const peer = await peerWith('silent')
  const wrapper = wrapperOf(await daemonWith())
  const options = { ...to(peer), conversation: 'smtp', idleMs: 50 } as const
  const session = await wrapper.new({ shared: 'smtp', ...options })
  const connected = session.connect()
  const socket = await peer.connection(0)
  const lines: string[] = []
  socket.on('data', (chunk: Buffer) => {
    lines.push(chunk.toString('latin1').trim())
    socket.write(lines.at(-1) === 'QUIT' ? '221 bye\r\n' : '250 mailhost\r\n')
  })
  socket.write('220 mailhost ESMTP\r\n')
  expect(await connected).toMatchObject({ code: 'none' })
  await peer.ended(0)
  expect(lines).toEqual([expect.stringMatching(/^EHLO /), 'QUIT'])
})

test('tls sessions shows peer, holders and handshakes, and neither token nor octets', async () => {
  const peer = await peerWith('echo')
  const daemon = await daemonWith()
  const wrapper = wrapperOf(daemon)
  const session = await wrapper.new({ shared: 'shown', ...to(peer) })
  await session.connect()
  await session.write('secret octets')
  const program = join(projectRoot, 'dist/src/cli/activemx.js')
  for (const words of [[], ['--json']]) {
    const all = [program, 'tls', 'sessions', '--socket', daemon.socket, ...words]
    const { status, output } = await runProgram(process.execPath, all)
    expect(status).toBe(0)
    expect(output).toContain('shown')
    expect(output).toContain(`localhost:${peer.port}`)
    expect(output).not.toContain('secret')
    expect(output).not.toContain(session.token.slice(16))
  }
})

test('tls daemon --config: every setting of [tls_daemon] is in force; options go before them', async () => {
  const peer = await peerWith('echo')
  const folder = newFolder()
  ends.push(() => rmSync(folder, { recursive: true, force: true }))
  const [socket, file, seen] = ['own.sock', 'activemx.toml', 'seen'].map((name) =>
    join(folder, name),
  )
  writeFileSync(
    file ?? '',
    [
      'name = "mx.example.test"',
      '[mailhost]',
      'addresses = ["127.0.0.1:2525"]',
      '[recipients]',
      'domains = ["example.test"]',
      '[tls_daemon]',
      `socket = "${socket}"`,
      'queue = "priority"',
      'ageing = true',
      `programs = ["touch=/usr/bin/touch ${seen}"]`,
      'target_sessions_max = 2',
    ].join('\n'),
  )
  const daemon = run('src/cli/activemx.js', ['tls', 'daemon', '--config', file ?? '', '--json'])
  ends.push(() => daemon.end('SIGKILL'))
  expect(JSON.parse(await daemon.line())).toMatchObject({ socket, queue: 'priority' })
  const wrapper = new TlsWrapper({ daemon: socket ?? '' })
  ends.push(() => wrapper.close())
  const session = await wrapper.new({ shared: 'a', ...to(peer) })
  expect(await session.connect()).toMatchObject({ code: 'none' })
  expect((await wrapper.new({ shared: 'b', ...to(peer) })).fault).toBeUndefined()
  expect((await wrapper.new({ shared: 'c', ...to(peer) })).fault).toMatchObject({ code: 'refused' })
  expect(await session.activate('other')).toMatchObject({ code: 'refused' })
  expect(await session.activate('touch')).toMatchObject({ code: 'none' })
  await session.write('octets that nobody reads')
  await expect.poll(() => existsSync(seen ?? ''), { timeout: 20_000 }).toBe(true)
  const stub = new DaemonStub(socket ?? '')
  expect(await stub.statistics()).toMatchObject({ queue: { kind: 'priority', ageingMs: 1000 } })
  stub.close()

  const words = ['--config', file ?? '', '--socket', join(folder, 'other.sock'), '--queue', 'fifo']
  const other = run('src/cli/activemx.js', ['tls', 'daemon', ...words, '--json'])
  ends.push(() => other.end('SIGKILL'))
  const ready = { socket: join(folder, 'other.sock'), queue: 'fifo' }
  expect(JSON.parse(await other.line())).toMatchObject(ready)
})

test('tls daemon --config: a setting that is wrong is named, and nothing starts', async () => {
  const folder = newFolder()
  ends.push(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'activemx.toml')
  writeFileSync(file, '[tls_daemon]\nqueue = "random"\n')
  const program = join(projectRoot, 'dist/src/cli/activemx.js')
  const words = [program, 'tls', 'daemon', '--config', file]
  const { status, output } = await runProgram(process.execPath, words)
  expect(status).toBe(2)
  expect(output).toMatch(/tls_daemon\.queue.*random/)
})
