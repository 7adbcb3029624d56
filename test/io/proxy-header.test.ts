import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { loadAddon } from '../../src/addon/addon.ts'
import { type ProxyHeader, parseProxyHeader, plainAddress } from '../../src/io/proxy-header.ts'
import { present } from '../contract/present.ts'
import { runProxyHeaderContract, signature } from '../contract/proxy-header.ts'
import { describeWith, needsSharedData, sharedData } from '../support/needs.ts'

interface NativeHeader {
  readonly kind: number
  readonly octets: number
  readonly address: string
  readonly port: number
  readonly localAddress: string
  readonly localPort: number
}

interface Case {
  readonly area: string
  readonly name: string
  readonly input_b64: string
  readonly expect: string
}

describe('the parser in TypeScript', () => runProxyHeaderContract(parseProxyHeader))
describe('the native parser', () => runProxyHeaderContract(parseNatively))

test('both parsers answer alike on anything that looks like a header', () => {
  const word = fc.constantFrom('PROXY', 'TCP4', 'TCP6', 'UNKNOWN', '192.0.2.1', '2001:db8::1', '25')
  const odd = fc.constantFrom('01', '::ffff:1.2.3.4', '1.2.3', '\r', '\n', '\0', '65536', '', '::')
  const line = fc
    .array(fc.oneof({ weight: 5, arbitrary: word }, odd), { minLength: 1, maxLength: 8 })
    .map((words) => Buffer.from(`PROXY ${words.join(' ')}\r\n`, 'latin1'))
  const binary = fc
    .tuple(
      fc.constantFrom(0x20, 0x21, 0x11, 0x22),
      fc.constantFrom(0, 0x11, 0x12, 0x21, 0x31),
      fc.uint8Array({ maxLength: 60 }),
      fc.integer({ min: -2, max: 2 }),
    )
    .map(([command, family, body, error]) => {
      const length = Math.max(0, body.length + error)
      const head = [command, family, length >> 8, length & 255]
      return Buffer.concat([Buffer.from(signature, 'latin1'), Buffer.from(head), body])
    })
  fc.assert(
    fc.property(fc.oneof(line, binary), (octets) => {
      expect(parseNatively(octets)).toEqual(parseProxyHeader(octets))
    }),
    { numRuns: 3000 },
  )
})

describeWith([needsSharedData()], 'the hostile cases, cut at every octet', () => {
  const text = needsSharedData() === undefined ? sharedCases() : ''
  const cases = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Case)
    .filter((one) => one.area === 'proxy-protocol')

  test('there are some', () => expect(cases.length).toBeGreaterThan(10))

  test.each(cases.map((one) => [one.name, one] as const))('%s', (_name, one) => {
    const octets = Buffer.from(one.input_b64, 'base64')
    for (let cut = 0; cut <= octets.length; cut += 1) {
      const part = octets.subarray(0, cut)
      expect(parseNatively(part)).toEqual(parseProxyHeader(part))
    }
    const header = parseProxyHeader(octets)
    const isTaken = header.kind === 'proxied' || header.kind === 'local'
    // `from untrusted peer` is a good header from the wrong host: the gate's suite shows that one.
    const isRefused = one.expect.startsWith('connection closed')
    expect(isTaken).toBe(!isRefused)
    if (isTaken) expect(header.headerOctets).toBeLessThanOrEqual(octets.length)
  })
})

test('an address of a socket is given in its shortest form, without a zone', () => {
  expect(plainAddress('192.0.2.7')).toBe('192.0.2.7')
  expect(plainAddress('::ffff:192.0.2.7')).toBe('192.0.2.7')
  expect(plainAddress('2001:DB8:0:0::7')).toBe('2001:db8::7')
  expect(plainAddress('fe80::fc:ff:fe00:1%eth0')).toBe('fe80::fc:ff:fe00:1')
})

function sharedCases(): string {
  return readFileSync(sharedData('adversarial/cases.jsonl'), 'utf8')
}

function parseNatively(octets: Buffer): ProxyHeader {
  const parse = present(loadAddon()?.['parseProxyHeader']) as (octets: Buffer) => NativeHeader
  const { kind, octets: headerOctets, ...endpoints } = parse(octets)
  if (kind === 0) return { kind: 'incomplete' }
  if (kind === 1) return { kind: 'invalid' }
  return kind === 2
    ? { kind: 'local', headerOctets }
    : { kind: 'proxied', headerOctets, ...endpoints }
}
