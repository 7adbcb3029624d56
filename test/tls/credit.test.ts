/**
 * How the sessions of one application share what their daemon lets it have unanswered.
 */
import { expect, test } from 'vitest'
import {
  tlsCreditCalls,
  tlsCreditOctets,
  tlsReadOctetsMin,
  tlsWriteReserveCalls,
} from '../../src/base/limits.ts'
import { numberBehind, plain } from '../../src/tls/channel.ts'
import { type ChannelCall, Credit, Lane, type WaitingCall } from '../../src/tls/credit.ts'
import { callKinds } from '../../src/tls/wire.ts'

const kibibyte = 1024
const credit = (): Credit => new Credit(1000, 2048 * kibibyte)
const newCall = (kind: number, more: Partial<ChannelCall> = {}): ChannelCall => ({
  ...plain,
  kind,
  ...more,
})
const write = (lane: Lane, octets: number): ChannelCall =>
  newCall(callKinds.write, { lane, data: new Uint8Array(octets) })
const read = (readOctets: number): ChannelCall => newCall(callKinds.read, { readOctets })

/** Sends writes on a lane until the credit covers no more; answers how many octets went. */
function fill(from: Credit, lane: Lane, octets: number): number {
  let sent = 0
  for (let call = write(lane, octets); from.covers(call); sent += octets) from.charge(call)
  return sent
}

test('A12: writes that nobody takes: a score of sessions that are stuck leave room for the next', () => {
  const shared = credit()
  for (let stuck = 1; stuck <= 20; stuck++) {
    expect(fill(shared, new Lane(), 16 * kibibyte)).toBeGreaterThan(0)
    expect(shared.covers(write(new Lane(), 64 * kibibyte))).toBe(true)
  }
})

test('what was answered is there again, for the session and for all', () => {
  const whole = credit()
  const lane = new Lane()
  const sent = write(lane, 64 * kibibyte)
  whole.charge(sent)
  expect(lane).toMatchObject({ calls: 1, octets: 64 * kibibyte })
  whole.giveBack(sent)
  expect(lane).toMatchObject({ calls: 0, octets: 0 })
})

test('A12: any number of reads that wait leave room for a write', () => {
  const shared = new Credit(tlsCreditCalls, tlsCreditOctets)
  let reads = 0
  for (let call = shared.fit(read(256 * kibibyte)); shared.covers(call); reads++) {
    expect(call.readOctets).toBeGreaterThanOrEqual(tlsReadOctetsMin)
    shared.charge(call)
    expect(shared.covers(write(new Lane(), 64 * kibibyte))).toBe(true)
    call = shared.fit(read(256 * kibibyte))
  }
  expect(reads).toBe(tlsCreditCalls - tlsWriteReserveCalls)
})

test('a read alone asks for what is wanted, and a small one is left as it is', () => {
  expect(credit().fit(read(256 * kibibyte)).readOctets).toBe(256 * kibibyte)
  const spent = new Credit(10, 0)
  expect(spent.fit(read(10)).readOctets).toBe(10)
  expect(spent.fit(read(100_000)).readOctets).toBe(tlsReadOctetsMin)
})

/** What a lane sends, by name, while `covered` says what the credit covers. */
function laneOf(covered: (call: ChannelCall) => boolean) {
  const sent: string[] = []
  const lane = new Lane<WaitingCall & { readonly name: string }>()
  const send = (waiting: WaitingCall & { readonly name: string }): boolean => {
    if (!covered(waiting.call)) return false
    sent.push(waiting.name)
    return true
  }
  return {
    lane,
    sent,
    place: (name: string, kind: number, leaseId = 0) =>
      lane.place({ name, call: newCall(kind, { lease: leaseId }) }, send),
    drain: () => lane.drain(send),
  }
}

test('a read passes the writes that wait, and nothing else does', () => {
  let isOpen = false
  const { lane, sent, place, drain } = laneOf(({ kind }) => isOpen || kind === callKinds.read)
  place('write', callKinds.write)
  place('read', callKinds.read)
  place('release', callKinds.release)
  place('read behind it', callKinds.read)
  expect(sent).toEqual(['read'])
  expect(lane.size).toBe(3)
  drain()
  expect(sent).toEqual(['read'])
  isOpen = true
  drain()
  expect(sent).toEqual(['read', 'write', 'release', 'read behind it'])
  expect(lane.isEmpty).toBe(true)
})

test('the end of a lease comes behind the reads of it that wait', () => {
  let isOpen = false
  const { sent, place, drain } = laneOf(({ kind }) => isOpen || kind === callKinds.release)
  place('read', callKinds.read)
  place('release', callKinds.release)
  drain()
  expect(sent).toEqual([])
  isOpen = true
  drain()
  expect(sent).toEqual(['read', 'release'])
})

test('A12: a read that stood behind a lease stops no write when the lease has gone', () => {
  const covers = new Set<number>()
  const { sent, place, drain } = laneOf(({ kind }) => covers.has(kind))
  place('lease', callKinds.lease)
  place('write before', callKinds.write)
  place('read', callKinds.read)
  place('write behind', callKinds.write)
  place('release', callKinds.release)
  covers.add(callKinds.lease)
  covers.add(callKinds.release)
  drain()
  expect(sent).toEqual(['lease'])
  covers.add(callKinds.write)
  drain()
  expect(sent).toEqual(['lease', 'write before', 'write behind'])
  covers.add(callKinds.read)
  drain()
  expect(sent).toEqual(['lease', 'write before', 'write behind', 'read', 'release'])
})

test('A12: a read that stood behind a lease passes the writes that its peer does not take', () => {
  const covers = new Set<number>()
  const { sent, place, drain } = laneOf(({ kind }) => covers.has(kind))
  place('lease', callKinds.lease)
  place('write', callKinds.write)
  place('read', callKinds.read)
  covers.add(callKinds.lease)
  covers.add(callKinds.read)
  drain()
  expect(sent).toEqual(['lease', 'read'])
})

test('a very long row of writes behind a lease is let go by a read that stood in it', () => {
  const covers = new Set<number>()
  const { lane, sent, place, drain } = laneOf(({ kind }) => covers.has(kind))
  place('lease', callKinds.lease)
  for (let at = 0; at < 200_000; at++) place('write', callKinds.write)
  place('read', callKinds.read)
  covers.add(callKinds.lease)
  covers.add(callKinds.read)
  drain()
  expect(sent).toEqual(['lease', 'read'])
  expect(lane.size).toBe(200_000)
})

test('the end of a lease waits for no read of another lease', () => {
  const { sent, place } = laneOf(({ kind }) => kind !== callKinds.read)
  place('read', callKinds.read, 1)
  place('release of another', callKinds.release, 2)
  place('release', callKinds.release, 1)
  expect(sent).toEqual(['release of another'])
})

test('a request number that still waits is not given out again when all have been used', () => {
  const last = 0xffff_ffff
  expect(numberBehind(0, new Map())).toBe(1)
  expect(numberBehind(last, new Map())).toBe(1)
  expect(numberBehind(last - 1, new Map([[last, 0]]))).toBe(1)
  const taken = new Map([1, 2, 4].map((number) => [number, 0]))
  expect(numberBehind(last, taken)).toBe(3)
})
