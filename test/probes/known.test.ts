/**
 * What a serving thread may answer from the cache by itself: that everybody was cleared, and no
 * more.
 */
import { describe, expect, test } from 'vitest'
import type { Outcome } from '../../src/checks/finding.ts'
import { Known } from '../../src/probes/known.ts'
import { makeFinding } from '../../src/probes/tools.ts'
import { MemoryVerdictCache } from '../../src/probes/verdict-cache.ts'
import { hostCacheKey, VerdictMemory } from '../../src/probes/verdict-memory.ts'
import { testProbeSettings } from '../support/broker.ts'
import { scriptedBroker } from '../support/scripted-outside.ts'

const address = '127.0.1.1'
const mailbox = { local: 'anna', domain: 'good.example' }
const question = { address, helo: 'a', sender: 'anna@good.example', recipient: 'b@home.example' }
const bothTests = { relay: true, dialup: true }

/** A memory that knows one host and one sender. */
function knownOf(host: Outcome, user: Outcome): { known: Known; cache: MemoryVerdictCache } {
  const cache = new MemoryVerdictCache(10)
  const memory = new VerdictMemory(cache, testProbeSettings.keep, () => 1000)
  const found = makeFinding('relay', host, 'told', ['x'])
  memory.keepHost(hostCacheKey(address, bothTests), found)
  memory.keepMailbox('user', mailbox, {
    finding: makeFinding('user', user, 'told', ['x']),
    dialogue: [],
    target: '',
  })
  return { known: new Known(testProbeSettings, memory), cache }
}

describe('answered in a serving thread', () => {
  test.each([
    { host: 'negative', user: 'negative', isAnswered: true },
    { host: 'negative', user: 'positive', isAnswered: false },
    { host: 'positive', user: 'negative', isAnswered: false },
    { host: 'negative', user: 'indeterminate', isAnswered: false },
    { host: 'indeterminate', user: 'negative', isAnswered: false },
    { host: 'indeterminate', user: 'indeterminate', isAnswered: false },
  ] as const)('host $host, sender $user: $isAnswered', ({ host, user, isAnswered }) => {
    const { known } = knownOf(host, user)
    expect(known.findings(question, bothTests)).toBeDefined()
    expect(known.harmless(question) !== undefined).toBe(isAnswered)
  })

  test("a sender that cannot be asked for is the broker's", () => {
    const { known } = knownOf('negative', 'negative')
    expect(known.harmless({ ...question, sender: 'x@[127.0.1.1]' })).toBeUndefined()
  })

  test("what is not known is the broker's, and so is a whitelisted sender", () => {
    const { known } = knownOf('negative', 'negative')
    expect(known.harmless({ ...question, address: '127.0.1.2' })).toBeUndefined()
    expect(known.harmless({ ...question, isWhitelisted: true })).toBeUndefined()
  })
})

describe('what the broker makes of a cached indeterminate verdict', () => {
  const hostOnly = { dialup: 'enforce', relay: 'enforce', user: 'off' } as const
  const converse = async () => ({ kind: 'our-fault', reason: 'EMFILE' }) as const
  const names = { addresses: {} }

  test('a host that is exempt by now is told of as nothing', async () => {
    const { cache } = knownOf('indeterminate', 'negative')
    const exemptions = { isRelayExempt: () => true, isDialupExempt: () => true }
    const now = () => 1000
    const parts = { cache, exemptions, now }
    const { ask, asked } = scriptedBroker({ modes: hostOnly }, names, converse, parts)
    expect(await ask(address, '')).toEqual([])
    expect(asked).toEqual([])
  })

  test('switched off: nothing is found', async () => {
    const { cache } = knownOf('indeterminate', 'negative')
    const now = () => 1000
    const { ask, broker } = scriptedBroker({ modes: hostOnly }, names, converse, { cache, now })
    expect(await ask(address, '')).toMatchObject([{ outcome: 'indeterminate' }])
    broker.switch(false)
    expect(await ask(address, '')).toEqual([])
  })
})
