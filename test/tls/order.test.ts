/**
 * In which order calls of several processes are served, and whom a call that waits stops.
 */
import { expect, test } from 'vitest'
import { TlsWrapper } from '../../src/tls/wrapper.ts'
import type { TlsPeer } from './support/peer.ts'
import type { RunningDaemon } from './support/processes.ts'
import { open, sessionScene } from './support/session-scene.ts'

const scene = sessionScene()

/**
 * Queues labelled writes of several processes behind a lease, in order; then gives the lease back.
 */
async function queueBehindLease(
  daemon: RunningDaemon,
  peer: TlsPeer,
  calls: readonly { readonly label: string; readonly priority: number }[],
): Promise<string> {
  const holder = scene.application(daemon.socket)
  await open(holder, scene.optionsOf(peer.port, 'queue'))
  await holder.ask({ do: 'lease', session: 's', lease: 'l' })
  const watch = new TlsWrapper({ daemon: daemon.socket })
  const session = await watch.new(scene.optionsOf(peer.port, 'queue'))
  // One process makes the calls, so that their order of arrival is the order here.
  const writes = calls.map(({ label, priority }) => session.write(label, { priority }))
  await session.read(1, { wait: false })
  await holder.ask({ do: 'release', lease: 'l' })
  await Promise.all(writes)
  await peer.receives(calls.length)
  await watch.close()
  return peer.received().toString()
}

test('A10: calls that wait are served first in, first out, whatever their priority', async () => {
  const daemon = await scene.daemon('--queue', 'fifo')
  const peer = await scene.peer('silent')
  const calls = [...'abcdefgh'].map((label, at) => ({ label, priority: at }))
  expect(await queueBehindLease(daemon, peer, calls)).toBe('abcdefgh')
})

test('A11: with priority a late high call overtakes the low ones; equals stay in order', async () => {
  const daemon = await scene.daemon('--queue', 'priority')
  const peer = await scene.peer('silent')
  const low = [...'abcd'].map((label) => ({ label, priority: 0 }))
  const calls = [...low, { label: 'H', priority: 9 }, { label: 'I', priority: 9 }]
  expect(await queueBehindLease(daemon, peer, calls)).toBe('HIabcd')
})

/** A lease of somebody else on the session of a name; resolves with its end. */
async function leaseOfAnother(daemon: RunningDaemon, peer: TlsPeer, name: string) {
  const session = await scene.wrapper(daemon.socket).new(scene.optionsOf(peer.port, name))
  await session.connect()
  const lease = await session.lease()
  expect(lease.code).toBe('none')
  return lease
}

test('A11: reads, too, have the priority of their session where they name none', async () => {
  const daemon = await scene.daemon('--queue', 'priority')
  const peer = await scene.peer('silent')
  const lease = await leaseOfAnother(daemon, peer, 'reads')
  const wrapper = scene.wrapper(daemon.socket)
  const [low, high] = [
    await wrapper.new(scene.optionsOf(peer.port, 'reads')),
    await wrapper.new(scene.optionsOf(peer.port, 'reads', { priority: 9 })),
  ]
  const reading = [low.read(1), high.read(1), low.read(1, { priority: 50 })]
  // Answered behind them: they wait by then.
  await low.read(1, { wait: false })
  await lease.release()
  ;(await peer.connection(0)).write('123')
  const ends = await Promise.all(reading)
  expect(ends.map(({ data }) => Buffer.from(data).toString())).toEqual(['3', '2', '1'])
})

test.each([
  {
    ageing: 1,
    order: 'lH',
    how: 'a call that has waited for long goes before a later, higher one',
  },
  { ageing: 60_000, order: 'Hl', how: 'and not before its time' },
])('A11: with ageing $how', async ({ ageing, order }) => {
  const daemon = await scene.daemon('--queue', 'priority', '--ageing-ms', String(ageing))
  const peer = await scene.peer('silent')
  const lease = await leaseOfAnother(daemon, peer, 'ageing')
  const session = await scene.wrapper(daemon.socket).new(scene.optionsOf(peer.port, 'ageing'))
  const low = session.write('l', { priority: 0 })
  await session.read(1, { wait: false })
  // The time that the first has waited when the second comes: more than one step, or far less.
  await new Promise((resolve) => setTimeout(resolve, 20))
  const high = session.write('H', { priority: 1 })
  await session.read(1, { wait: false })
  await lease.release()
  await Promise.all([low, high])
  await peer.receives(2)
  expect(peer.received().toString()).toBe(order)
})

test('A12: a session that waits for its peer stops no other session', async () => {
  const daemon = await scene.daemon()
  const stuck = await scene.peer('silent')
  const echo = await scene.peer('echo')
  const wrapper = new TlsWrapper({ daemon: daemon.socket })
  scene.atEnd(() => wrapper.close())
  const blocked = await wrapper.new(scene.optionsOf(stuck.port, 'stuck'))
  await blocked.connect()
  ;(await stuck.connection(0)).pause()
  const reading = blocked.read(1)
  let isWritten = false
  const writing = blocked.write(Buffer.alloc(20_000_000)).then(() => {
    isWritten = true
  })
  const other = new TlsWrapper({ daemon: daemon.socket })
  scene.atEnd(() => other.close())
  const free = await other.new(scene.optionsOf(echo.port, 'free'))
  await free.connect()
  await free.write('still served')
  expect(Buffer.from((await free.read(100)).data).toString()).toBe('still served')
  expect(isWritten).toBe(false)
  await daemon.end('SIGKILL')
  expect((await reading).code).toBe('daemonGone')
  await writing
})

test('A12: reads that wait in one application stop none of its writes', async () => {
  const daemon = await scene.daemon()
  const peer = await scene.peer('echo')
  const wrapper = scene.wrapper(daemon.socket)
  const reads: Promise<unknown>[] = []
  const sessions = [...Array(30).keys()].map(async (at) => {
    const session = await wrapper.new(scene.optionsOf(peer.port, `waits-${at}`))
    expect(await session.connect()).toMatchObject({ code: 'none' })
    for (let more = 0; more < 3; more++) reads.push(session.read(262_144))
  })
  await Promise.all(sessions)
  const busy = await wrapper.new(scene.optionsOf(peer.port, 'busy'))
  expect(await busy.connect()).toMatchObject({ code: 'none' })
  expect(await busy.write(Buffer.alloc(65_000))).toMatchObject({ code: 'none' })
  await daemon.end('SIGKILL')
  await Promise.all(reads)
})

test('A12: writes that a peer does not take stop no other session of their application', async () => {
  const daemon = await scene.daemon()
  const stuck = await scene.peer('silent')
  const echo = await scene.peer('echo')
  const wrapper = scene.wrapper(daemon.socket)
  const writes: Promise<unknown>[] = []
  for (let at = 0; at < 8; at++) {
    const blocked = await wrapper.new(scene.optionsOf(stuck.port, `stuck-${at}`))
    await blocked.connect()
    ;(await stuck.connection(at)).pause()
    writes.push(blocked.write(Buffer.alloc(12_000_000)))
  }
  const free = await wrapper.new(scene.optionsOf(echo.port, 'free'))
  await free.connect()
  const sent = Buffer.alloc(64_000, 'free')
  expect(await free.write(sent)).toMatchObject({ code: 'none' })
  expect((await free.read(10)).data.length).toBe(10)
  await daemon.end('SIGKILL')
  await Promise.all(writes)
})

test('A12: a peer that answers while it is written to is read: neither waits for the other', async () => {
  const daemon = await scene.daemon()
  const peer = await scene.peer('count')
  // It takes nothing more while its own answer is not taken.
  const wrapper = scene.wrapper(daemon.socket)
  const session = await wrapper.new(scene.optionsOf(peer.port, 'echo'))
  await session.connect()
  const octets = 24_000_000
  const connection = await peer.connection(0)
  connection.on('data', () => {
    if (connection.writableLength > 1_000_000) connection.pause()
  })
  connection.on('drain', () => connection.resume())
  const writing = session.write(Buffer.alloc(octets))
  let heard = 0
  while (heard < octets) {
    const { code, data } = await session.read(262_144)
    expect(code).toBe('none')
    heard += data.length
  }
  expect(await writing).toMatchObject({ code: 'none', written: octets })
})
