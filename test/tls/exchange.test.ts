/**
 * A write and the read of its answer in one frame each way.
 */
import tls from 'node:tls'
import { beforeEach, expect, test } from 'vitest'
import type { NewOptions } from '../../src/tls/api.ts'
import { DaemonChannel, plain } from '../../src/tls/channel.ts'
import { encodeHandle } from '../../src/tls/handle.ts'
import { callKinds, frameFlags } from '../../src/tls/wire.ts'
import type { TlsWrapper } from '../../src/tls/wrapper.ts'
import type { TlsPeer } from './support/peer.ts'
import type { RunningDaemon } from './support/processes.ts'
import { sessionScene } from './support/session-scene.ts'

const scene = sessionScene()
let peer: TlsPeer
let daemon: RunningDaemon
let wrapper: TlsWrapper

beforeEach(async () => {
  ;({ peer, daemon, wrapper } = await scene.echo())
})

async function opened(shared: string, more: Partial<NewOptions> = {}) {
  const session = await wrapper.new(scene.optionsOf(peer.port, shared, more))
  expect(await session.connect()).toMatchObject({ code: 'none' })
  return session
}

const textOf = (data: Uint8Array): string => Buffer.from(data).toString()

test('under a lease: the answer is its holder’s, and the lease is good for the next', async () => {
  const session = await opened('leased')
  const lease = await session.lease()
  for (const word of ['one', 'two']) {
    expect(textOf((await session.exchange(word, 100, { lease: lease.id })).data)).toBe(word)
  }
  await lease.release()
  const late = await session.exchange('late', 100, { lease: lease.id })
  expect(late).toMatchObject({ code: 'refused', message: 'no such lease' })
  expect(session.getError()).toMatchObject({ code: 'refused' })
  expect(textOf((await session.exchange('common', 100)).data)).toBe('common')
  expect(peer.received().toString()).toBe('onetwocommon')
})

test.each([false, 'last-words'] as const)(
  'one whose write fails takes nothing of what there is to read, shared: %s',
  async (shared) => {
    const session = await wrapper.new({ ...scene.optionsOf(peer.port, ''), shared })
    expect(await session.connect()).toMatchObject({ code: 'none' })
    const connection = await peer.connection(0)
    connection.end('last words')
    // Nothing is read: an empty write says when the end has come.
    const end = async () => (await session.write('')).code
    await expect.poll(end, { timeout: 20_000 }).toBe('zeroReturn')
    expect(await session.exchange('x', 100)).toMatchObject({ code: 'zeroReturn' })
    expect(await session.exchange('x', 100, { wait: false })).toMatchObject({ code: 'zeroReturn' })
    expect(textOf((await session.read(100)).data)).toBe('last words')
    expect(await session.read(100)).toMatchObject({ code: 'zeroReturn' })
  },
)

test.each([false, 'not-waiting'] as const)(
  'one that is told not to wait says that there is no answer yet, shared: %s',
  async (shared) => {
    const silent = await scene.peer('silent')
    const session = await wrapper.new({ ...scene.optionsOf(silent.port, ''), shared })
    expect(await session.connect()).toMatchObject({ code: 'none' })
    expect(await session.exchange('x', 100, { wait: false })).toMatchObject({ code: 'wantRead' })
    await silent.receives(1)
  },
)

test('a write that fails ends the exchange with its fault, and its credit comes back', async () => {
  const opening = { signal: new AbortController().signal, onSilent: () => undefined }
  const channel = await DaemonChannel.open(daemon.socket, opening)
  if (!(channel instanceof DaemonChannel)) throw new Error(channel.message)
  scene.atEnd(() => channel.close())
  const session = await opened('failing')
  const options = { shared: 'failing', token: session.token }
  const head = Buffer.from(JSON.stringify(options))
  await channel.call({ ...plain, kind: callKinds.new, head })
  const handle = encodeHandle(session)
  if (handle === undefined) throw new Error('no token')
  const call = { ...plain, head: handle, priority: 0 }
  // A lease that is not there: the write is answered itself, before the read that stands for both.
  const writing = { ...call, kind: callKinds.write, flags: frameFlags.quiet, lease: 7 }
  const data = Buffer.alloc(60_000)
  // Twice what the credit would bear, one behind the other.
  for (let round = 0; round < 80; round++) {
    const ends: string[] = []
    await new Promise<void>((resolve) => {
      const reading = { ...call, kind: callKinds.read, readOctets: 10_000, lease: 7 }
      channel.exchange({ ...writing, data }, reading, ({ outcome }) => {
        ends.push(outcome.code)
        resolve()
      })
    })
    expect(ends).toEqual(['refused'])
  }
  expect(peer.received().length).toBe(0)
})

test('without credit it waits for its turn, whole and in order', async () => {
  const session = await opened('no-credit')
  const listening = await wrapper.new({
    ...{ shared: 'nobody-comes', listen: { host: '127.0.0.1', port: 0 } },
    ...{ certificate: scene.identity.certificate, key: scene.identity.key },
  })
  // All of them wait for one client.
  const waiting = Array.from({ length: 1200 }, () => listening.accept())
  const words = ['first', 'second', 'third']
  const answers = words.map((word) => session.exchange(word, word.length))
  const port = listening.listeningPort ?? 0
  const client = tls.connect({ host: '127.0.0.1', port, rejectUnauthorized: false })
  scene.atEnd(() => client.destroy())
  expect((await Promise.all(answers)).map(({ data }) => textOf(data))).toEqual(words)
  expect(peer.received().toString()).toBe(words.join(''))
  const accepted = await Promise.all(waiting)
  expect(accepted.filter(({ code }) => code !== 'none')).toEqual([])
})
