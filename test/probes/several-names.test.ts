/**
 * A host with several PTR names: judged by all of them, in whatever order the resolver tells them.
 */
import { expect, test } from 'vitest'
import type { DnsAnswer, NameService } from '../../src/probes/dns.ts'
import { scriptedBroker } from '../support/scripted-outside.ts'

const address = '127.0.2.7'
const hostOnly = { dialup: 'enforce', relay: 'off', user: 'off' } as const
const pool = '127-0-2-7.dialup.pool.example'
const dynamic = 'dyn7.pool.example'
const plain = 'post.shop.example'
const other = 'www.shop.example'
const numbered = 'c7.zone4.town.example'
const shared = 'h7.line.town.example'

const found = (records: readonly string[] | undefined): DnsAnswer<string> =>
  records === undefined ? { kind: 'no-data' } : { kind: 'found', records }

function namesOf(
  own: readonly string[],
  back: readonly string[],
  near: (host: string) => readonly string[] | undefined,
): NameService {
  return {
    names: async (asked) => found(asked === address ? own : near(asked.split('.')[3] ?? '')),
    addresses: async (name) => found(back.includes(name) ? [address] : undefined),
    exchangers: async () => ({ kind: 'no-data' }),
    texts: async () => ({ kind: 'no-data' }),
  }
}

const cases = [
  { label: 'both show a pool', own: [pool, dynamic], back: [pool], want: 'positive pool-name' },
  {
    label: 'one without a sign leads back',
    own: [pool, plain],
    back: [plain],
    want: 'negative no-pool',
  },
  {
    label: 'the one without a sign does not',
    own: [pool, plain],
    back: [pool],
    want: 'indeterminate name-unproved',
  },
  {
    label: 'two without a sign, the later leads back',
    own: [plain, other],
    back: [other],
    want: 'negative no-pool',
  },
  {
    label: 'neighbours share both',
    own: [numbered, shared],
    back: [numbered],
    want: 'positive pool-neighbours',
  },
  {
    label: 'neighbours share one of them',
    own: [numbered, plain],
    back: [plain],
    want: 'negative no-pool',
  },
] as const
const ordered = cases.flatMap((row) => [row, { ...row, own: row.own.toReversed() }])

test.each(ordered)('$label: $own → $want', async ({ own, back, want }) => {
  const near = (host: string) => [`c${host}.zone4.town.example`, `h${host}.line.town.example`]
  const parts = { names: namesOf(own, back, near) }
  const converse = async () => ({ kind: 'refused', reason: 'ECONNREFUSED' }) as const
  const { broker } = scriptedBroker({ modes: hostOnly }, { addresses: {} }, converse, parts)
  const { finding } = await broker.askHost(address, 'dialup')
  expect(`${finding.outcome} ${finding.name}`, finding.evidence.join('; ')).toBe(want)
})

test('a neighbour counts once, however many names it has', async () => {
  const near = (host: string) =>
    host === '8' ? ['c1', 'c2', 'c3'].map((name) => `${name}.zone4.town.example`) : undefined
  const parts = { names: namesOf([numbered], [numbered], near) }
  const converse = async () => ({ kind: 'refused', reason: 'ECONNREFUSED' }) as const
  const { broker } = scriptedBroker({ modes: hostOnly }, { addresses: {} }, converse, parts)
  expect((await broker.askHost(address)).finding.name).toBe('no-pool')
})
