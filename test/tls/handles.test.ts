/**
 * Two handles of one name in one process: one session, and nothing else in common.
 */
import { beforeEach, expect, test } from 'vitest'
import type { NewOptions } from '../../src/tls/api.ts'
import { DaemonStub } from '../../src/tls/daemon-stub.ts'
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

function options(more: Partial<NewOptions> = {}): NewOptions {
  return scene.optionsOf(peer.port, 'both', more)
}

async function twoHandles(more: Partial<NewOptions> = {}) {
  const one = await wrapper.new(options(more))
  const other = await wrapper.new(options(more))
  expect(await one.connect()).toMatchObject({ code: 'none' })
  expect(other.token).toBe(one.token)
  return { one, other }
}

const textOf = (data: Uint8Array): string => Buffer.from(data).toString()

test('a conversation of one is not the other’s: its calls wait for the end', async () => {
  const { one, other } = await twoHandles()
  const lease = await one.lease()
  const leaseOfOther = other.lease()
  const order: string[] = []
  void leaseOfOther.then(() => order.push('granted'))
  await one.write('ones', { lease: lease.id })
  expect(textOf((await one.read(100, { lease: lease.id })).data)).toBe('ones')
  order.push('answered')
  await lease.release()
  const second = await leaseOfOther
  expect(order).toEqual(['answered', 'granted'])
  await other.write('others', { lease: second.id })
  expect(textOf((await other.read(100, { lease: second.id })).data)).toBe('others')
  expect(await one.write('late', { lease: lease.id })).toMatchObject({ code: 'refused' })
})

test('a lease given back keeps the read that it waits for, though others wait, too', async () => {
  const { one, other } = await twoHandles()
  const lease = await one.lease({ yields: true })
  const reading = one.read(100, { lease: lease.id })
  const released = lease.release()
  const leaseOfOther = other.lease()
  const stub = new DaemonStub(daemon.socket)
  await expect.poll(() => stub.statistics()).toMatchObject({ sessions: [{ waiting: 1 }] })
  stub.close()
  peer.sockets.at(-1)?.write('the answer')
  expect(await reading).toMatchObject({ code: 'none', data: Buffer.from('the answer') })
  expect(await released).toMatchObject({ code: 'none' })
  expect(await leaseOfOther).toMatchObject({ code: 'none' })
})

test('A13: long writes of both at once are whole, one behind the other, and so is what follows', async () => {
  const { one, other } = await twoHandles()
  const octets = 1_000_000
  const ends = await Promise.all([
    one.write(Buffer.alloc(octets, 'a')),
    other.write(Buffer.alloc(octets, 'b')),
    one.write(Buffer.alloc(octets, 'c')),
  ])
  expect(ends.map(({ code }) => code)).toEqual(['none', 'none', 'none'])
  await peer.receives(3 * octets)
  const runs = peer
    .received()
    .toString('latin1')
    .match(/(.)\1*/g)
  expect(runs?.map((run) => run.length)).toEqual([octets, octets, octets])
  expect(await other.write('last')).toMatchObject({ code: 'none' })
})

test('leases of both at once, where the name has two connections', async () => {
  const { one, other } = await twoHandles({ sessions: 2 })
  const [first, second] = [await one.lease(), await other.lease()]
  await Promise.all([
    one.write('1'.repeat(50), { lease: first.id }),
    other.write('2'.repeat(50), { lease: second.id }),
  ])
  expect(textOf((await one.read(100, { lease: first.id })).data)).toBe('1'.repeat(50))
  expect(textOf((await other.read(100, { lease: second.id })).data)).toBe('2'.repeat(50))
})

test('pending and getError are those of the handle that made the call', async () => {
  const { one, other } = await twoHandles()
  await one.write('0123456789')
  await peer.receives(10)
  expect(textOf((await one.read(4)).data)).toBe('0123')
  expect(one.pending()).toBe(6)
  expect(other.pending()).toBe(0)
  expect(await other.write('x', { lease: 4711 })).toMatchObject({ code: 'refused' })
  expect(other.getError()).toMatchObject({ code: 'refused' })
  expect(one.getError()).toMatchObject({ code: 'none' })
})

test('a handle given up is a bad token; the other goes on, and giving up twice is once', async () => {
  const { one, other } = await twoHandles({ priority: 5 })
  expect(await one.free()).toMatchObject({ code: 'none' })
  expect(await one.free()).toMatchObject({ code: 'badToken' })
  for (const call of [one.connect(), one.read(1), one.lease(), one.exchange('x', 1)]) {
    expect(await call).toMatchObject({ code: 'badToken' })
  }
  expect(textOf((await other.exchange('still here', 100)).data)).toBe('still here')
  const stub = new DaemonStub(daemon.socket)
  expect(await stub.statistics()).toMatchObject({ sessions: [{ holders: 1, handshakes: 1 }] })
  stub.close()
})

test('a handle of a connection that has ended frees nothing of the next one', async () => {
  const stub = new DaemonStub(daemon.socket)
  scene.atEnd(() => stub.close())
  const before = await stub.new(options())
  expect(await stub.connect(before)).toMatchObject({ code: 'none' })
  stub.close()
  expect(await stub.write(before, Buffer.from('lost'))).toMatchObject({ code: 'daemonGone' })
  const after = await stub.new(options())
  expect(after.token).toBe(before.token)
  expect(await stub.write(before, Buffer.from('lost'))).toMatchObject({ code: 'badToken' })
  expect(await stub.lease(before, { eager: true })).toMatchObject({ code: 'badToken' })
  expect(await stub.exchange(before, Buffer.from('lost'), 10)).toMatchObject({ code: 'badToken' })
  expect(await stub.free(before)).toMatchObject({ code: 'badToken' })
  const answer = await stub.exchange(after, Buffer.from('here'), 10)
  expect(textOf(answer.data)).toBe('here')
})
