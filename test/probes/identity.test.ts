/**
 * The name and the address of probes lead to each other, or the operator is told.
 */
import { expect, test } from 'vitest'
import type { DnsAnswer, NameService } from '../../src/probes/dns.ts'
import { identityFaults } from '../../src/probes/identity.ts'

const found = (...records: readonly string[]): DnsAnswer<string> => ({ kind: 'found', records })
const lost: DnsAnswer<string> = { kind: 'trouble', reason: 'ETIMEOUT' }
const none: DnsAnswer<string> = { kind: 'no-name' }

function names(forward: DnsAnswer<string>, back: DnsAnswer<string>): NameService {
  return {
    addresses: async () => forward,
    names: async () => back,
    texts: async () => ({ kind: 'no-data' }),
    exchangers: async () => ({ kind: 'no-data' }),
  }
}

const cases = [
  {
    label: 'leads there and back',
    forward: found('192.0.2.9', '192.0.2.1'),
    back: found('mx.a.example'),
    want: [],
  },
  {
    label: 'has no address',
    forward: none,
    back: none,
    want: [/probe\.helo = "mx\.a\.example": it has no address/],
  },
  {
    label: 'cannot be looked up',
    forward: lost,
    back: none,
    want: [/: ETIMEOUT; hosts that are asked may refuse us/],
  },
  {
    label: 'leads elsewhere',
    forward: found('192.0.2.2'),
    back: found('mx.a.example'),
    want: [/does not lead to probe\.source 192\.0\.2\.1; make/],
  },
  {
    label: 'is not led back to',
    forward: found('192.0.2.1'),
    back: found('pool1.a.example'),
    want: [/192\.0\.2\.1 does not lead back to .*: pool1\.a\.example/],
  },
  {
    label: 'has an address without a name',
    forward: found('192.0.2.1'),
    back: none,
    want: [/: no name; make/],
  },
]

test.each(cases)('a name that $label', async ({ forward, back, want }) => {
  const settings = { helo: 'mx.a.example', sources: ['192.0.2.1'] }
  const faults = await identityFaults(settings, names(forward, back))
  expect(faults).toHaveLength(want.length)
  for (const [at, pattern] of want.entries()) expect(faults[at]).toMatch(pattern)
})

test('without an address of its own only the name is looked at', async () => {
  const settings = { helo: 'mx.a.example', sources: [] }
  expect(await identityFaults(settings, names(found('192.0.2.1'), none))).toEqual([])
  expect(await identityFaults({ helo: '', sources: [] }, names(none, none))).toEqual([])
})
