import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { tlsFrameOctetsMax } from '../../src/base/limits.ts'
import { encodeHandle, routeOf, tokenOf } from '../../src/tls/handle.ts'
import {
  callKindMax,
  callKinds,
  encodeFrame,
  type FrameHeader,
  FrameReader,
  headerOctets,
  writeU32,
} from '../../src/tls/wire.ts'

interface Seen extends FrameHeader {
  readonly body: string
}

function readAll(chunks: readonly Uint8Array[]): { seen: Seen[]; reader: FrameReader } {
  const reader = new FrameReader()
  const seen: Seen[] = []
  for (const chunk of chunks) {
    reader.read(chunk, (frame) => {
      const { kind, flags, priority, code, request, lease } = frame
      const body = Buffer.from(frame.body()).toString('hex')
      seen.push({ kind, flags, priority, code, request, lease, body })
    })
  }
  return { seen, reader }
}

const header: FrameHeader = {
  kind: callKinds.write,
  flags: 1,
  priority: -7,
  code: 3,
  request: 0xfffffffe,
  lease: 0x80000001,
}

const frames = fc.array(
  fc.record({
    kind: fc.integer({ min: 1, max: callKindMax }),
    flags: fc.integer({ min: 0, max: 63 }),
    priority: fc.integer({ min: -128, max: 127 }),
    code: fc.integer({ min: 0, max: 255 }),
    request: fc.integer({ min: 0, max: 0xffffffff }),
    lease: fc.integer({ min: 0, max: 0xffffffff }),
    body: fc.uint8Array({ maxLength: 64 }),
  }),
  { maxLength: 5 },
)

describe('frames', () => {
  test('three frames, cut at every octet: the same frames come out', () => {
    const octets = Buffer.concat([
      encodeFrame(header, Buffer.from('first')),
      encodeFrame({ ...header, kind: callKinds.stats, priority: 0 }, new Uint8Array(0)),
      encodeFrame({ ...header, request: 1 }, Buffer.from('third')),
    ])
    const whole = readAll([octets]).seen
    expect(whole.map((frame) => frame.body)).toEqual(['6669727374', '', '7468697264'])
    expect(whole[0]).toMatchObject({ ...header })
    for (let cut = 1; cut < octets.length; cut++) {
      expect(readAll([octets.subarray(0, cut), octets.subarray(cut)]).seen).toEqual(whole)
    }
    expect(readAll([...octets].map((octet) => Uint8Array.of(octet))).seen).toEqual(whole)
  })

  test('any frames, cut anywhere, are read as they were written', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat(400), { maxLength: 6 }), (sent, cuts) => {
        const octets = Buffer.concat(sent.map(({ body, ...head }) => encodeFrame(head, body)))
        const places = [0, ...cuts.filter((at) => at < octets.length), octets.length]
        const sorted = places.sort((one, other) => one - other)
        const chunks = sorted.slice(1).map((end, at) => octets.subarray(sorted[at], end))
        const { seen, reader } = readAll(chunks)
        expect(reader.fault).toBeUndefined()
        expect(reader.held).toBe(0)
        const want = sent.map((frame) => ({
          ...frame,
          body: Buffer.from(frame.body).toString('hex'),
        }))
        expect(seen).toEqual(want)
      }),
    )
  })

  test('any octets: frames or a fault, never an exception, never more kept than one frame', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), (chunks) => {
        const { reader } = readAll(chunks)
        expect(reader.held).toBeLessThanOrEqual(tlsFrameOctetsMax + 4)
      }),
      { numRuns: 500 },
    )
  })

  const faults = [
    { label: 'too long', change: { at: 0, length: tlsFrameOctetsMax + 1 }, want: 'too-long' },
    { label: 'endless', change: { at: 0, length: 0xffffffff }, want: 'too-long' },
    { label: 'too short', change: { at: 0, length: headerOctets - 5 }, want: 'too-short' },
    { label: 'kind 0', change: { at: 4, octet: 0 }, want: 'unknown-kind' },
    { label: 'kind 15', change: { at: 4, octet: 15 }, want: 'unknown-kind' },
    { label: 'answer 0', change: { at: 4, octet: 0x80 }, want: 'unknown-kind' },
    { label: 'flag 128', change: { at: 5, octet: 128 }, want: 'unknown-flag' },
  ]
  for (const { label, change, want } of faults) {
    test(`${label}: ${want}, however cut, and nothing is read behind it`, () => {
      const bad = encodeFrame(header, new Uint8Array(0))
      if (change.length !== undefined) writeU32(bad, 0, change.length)
      if (change.octet !== undefined) bad[change.at] = change.octet
      const good = encodeFrame(header, new Uint8Array(0))
      const octets = Buffer.concat([good, bad, good])
      for (let cut = 0; cut <= octets.length; cut++) {
        const { seen, reader } = readAll([octets.subarray(0, cut), octets.subarray(cut)])
        expect(reader.fault).toBe(want)
        expect(seen.length).toBe(1)
      }
    })
  }
})

test('a handle is the same after the wire, and a token that is none is told', () => {
  const token = '00112233445566778899aabbccddeeff0123456789abcdef'
  const octets = encodeHandle({ route: 'shared', token })
  if (octets === undefined) throw new Error('no handle')
  const reader = new FrameReader()
  const seen: unknown[] = []
  reader.read(encodeFrame(header, octets), (frame) => seen.push(routeOf(frame), tokenOf(frame)))
  expect(seen).toEqual(['shared', token])
  for (const bad of ['', 'x', token.slice(1), `${token}0`, token.toUpperCase()]) {
    expect(encodeHandle({ route: 'shared', token: bad })).toBeUndefined()
  }
})

test('a body too short for a handle, or with an unknown route, names no route', () => {
  const seen: unknown[] = []
  for (const body of [new Uint8Array(24), new Uint8Array(25).fill(7)]) {
    new FrameReader().read(encodeFrame(header, body), (frame) => seen.push(routeOf(frame)))
  }
  expect(seen).toEqual([undefined, undefined])
})
