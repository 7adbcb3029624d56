/**
 * Without `tests.user.next_mx` one connection is tried, also where an exchanger has more addresses.
 */
import { expect, test } from 'vitest'
import type { DnsAnswer } from '../../src/probes/dns.ts'
import { noPatterns } from '../../src/probes/name-patterns.ts'
import type { ProbeTools } from '../../src/probes/tools.ts'
import { testUser } from '../../src/probes/user-test.ts'
import { defaultProbeSettings } from '../support/probe-settings.ts'

const exchangers = ['mx1.x.example', 'mx2.x.example']

/** Whom the user test tries, where nobody takes a connection. */
async function triedWith(nextMx: boolean): Promise<readonly string[]> {
  const tried: string[] = []
  const found = <T>(...records: T[]) => Promise.resolve<DnsAnswer<T>>({ kind: 'found', records })
  const tools: ProbeTools = {
    settings: { ...defaultProbeSettings, nextMx },
    names: {
      names: () => Promise.resolve({ kind: 'no-name' }),
      addresses: (name) => found(`${name} first`, `${name} second`),
      exchangers: () =>
        found(...exchangers.map((exchange, at) => ({ preference: at * 10, exchange }))),
      texts: () => Promise.resolve({ kind: 'no-data' }),
    },
    patterns: noPatterns,
    attempt: (address) => {
      tried.push(address)
      return Promise.resolve({ kind: 'refused', reason: 'ECONNREFUSED' })
    },
    randomLocalPart: () => 'x',
  }
  const { finding } = await testUser({ local: 'a', domain: 'x.example' }, false, tools)
  expect(finding).toMatchObject({ outcome: 'indeterminate', name: 'unreachable' })
  return tried
}

test('B17: off, one address of the first exchanger; on, all of each, in their order', async () => {
  expect(await triedWith(false)).toEqual(['mx1.x.example first'])
  const both = exchangers.flatMap((name) => [`${name} first`, `${name} second`])
  expect(await triedWith(true)).toEqual(both)
})
