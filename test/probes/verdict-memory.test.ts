/**
 * How long each finding is kept, by a clock of the test, and who is not asked a second time for it.
 */
import { describe, expect, test } from 'vitest'
import type { Finding, Layer, Outcome } from '../../src/checks/finding.ts'
import type { Converse } from '../../src/probes/converse.ts'
import type { ProbeSettings } from '../../src/probes/settings.ts'
import { makeFinding } from '../../src/probes/tools.ts'
import { type DomainFact, MemoryVerdictCache } from '../../src/probes/verdict-cache.ts'
import { hostCacheKey, type MailboxRole, VerdictMemory } from '../../src/probes/verdict-memory.ts'
import { conversationWith, scriptedBroker, serverSaying } from '../support/scripted-outside.ts'

const minuteMs = 60_000
const foundAtMs = 1_000_000

/** Each another number of minutes, so that none is taken for another. */
const keep: ProbeSettings['keep'] = {
  userExistsMs: 101 * minuteMs,
  userUnknownMs: 102 * minuteMs,
  acceptsAllMs: 103 * minuteMs,
  refusesUsMs: 104 * minuteMs,
  dialupMs: 105 * minuteMs,
  relayMs: 106 * minuteMs,
  indeterminateMs: 15 * minuteMs,
}

const mailbox = { local: 'anna', domain: 'good.example' }
const neighbour = { local: 'bert', domain: 'good.example' }
const hostTests = { relay: true, dialup: true }
const hostKey = hostCacheKey('127.0.1.1', hostTests)

function memoryAt(clock: { nowMs: number }, kept = keep) {
  const cache = new MemoryVerdictCache(10)
  return { cache, memory: new VerdictMemory(cache, kept, () => clock.nowMs) }
}

/** Minutes that an answer is kept, to the millisecond: the number given, or NaN. */
function minutesKept(clock: { nowMs: number }, minutes: number, known: () => unknown): number {
  clock.nowMs = foundAtMs + minutes * minuteMs - 1
  const isKnownBefore = known() !== undefined
  clock.nowMs += 1
  return isKnownBefore && known() === undefined ? minutes : Number.NaN
}

describe('kept until', () => {
  const hosts: [Layer, Outcome, string, number][] = [
    ['relay', 'positive', 'open-relay', 106],
    ['relay', 'negative', 'no-relay', 106],
    ['relay', 'negative', 'not-asked', 106],
    ['relay', 'indeterminate', 'relay-unclear', 15],
    ['relay', 'indeterminate', 'forbidden', 15],
    ['dialup', 'positive', 'pool-name', 105],
    ['dialup', 'negative', 'no-pool', 105],
    ['dialup', 'indeterminate', 'dns-trouble', 15],
  ]
  test.each(hosts)('%s %s %s: %d minutes', (layer, outcome, name, minutes) => {
    const clock = { nowMs: foundAtMs }
    const { memory } = memoryAt(clock)
    memory.keepHost(hostKey, makeFinding(layer, outcome, name, []))
    expect(minutesKept(clock, minutes, () => memory.host(hostKey))).toBe(minutes)
  })

  const mailboxes: [MailboxRole, Outcome, string, number][] = [
    ['user', 'negative', 'user-exists', 101],
    ['user', 'positive', 'no-such-user', 102],
    ['user', 'positive', 'null-mx', 102],
    ['user', 'indeterminate', 'try-later', 10],
    ['user', 'indeterminate', 'unreachable', 15],
    ['user', 'indeterminate', 'dns-trouble', 15],
    ['recipient', 'negative', 'user-exists', 101],
    ['recipient', 'positive', 'no-such-user', 10],
    ['recipient', 'indeterminate', 'try-later', 10],
    ['recipient', 'indeterminate', 'unreachable', 15],
  ]
  test.each(mailboxes)('%s %s %s: %d minutes', (role, outcome, name, minutes) => {
    const clock = { nowMs: foundAtMs }
    const { memory } = memoryAt(clock)
    memory.keepMailbox(role, mailbox, resultOf(makeFinding(role, outcome, name, [])))
    expect(minutesKept(clock, minutes, () => memory.mailbox(role, mailbox))).toBe(minutes)
  })

  const facts: [MailboxRole, DomainFact, Outcome, string, number][] = [
    ['user', 'accepts-all', 'negative', 'accepts-all', 103],
    ['user', 'asks-each', 'negative', 'user-exists', 103],
    ['user', 'refuses-us', 'indeterminate', 'refuses-us', 104],
    ['recipient', 'accepts-all', 'negative', 'accepts-all', 103],
  ]
  test.each(facts)('%s: the domain %s', (role, fact, outcome, name, minutes) => {
    const clock = { nowMs: foundAtMs }
    const { memory } = memoryAt(clock)
    const finding = makeFinding(role, outcome, name, [])
    memory.keepMailbox(role, mailbox, { ...resultOf(finding), fact })
    const ofNeighbour = memory.mailbox(role, neighbour)?.name
    expect(ofNeighbour).toBe(fact === 'asks-each' ? undefined : fact)
    const known = () => memory.domainFact(role, mailbox.domain)
    expect(minutesKept(clock, minutes, known)).toBe(minutes)
  })

  test.each(['not-now', 'our-fault'])('%s: not at all', (name) => {
    const { memory, cache } = memoryAt({ nowMs: foundAtMs })
    memory.keepHost(hostKey, makeFinding('relay', 'indeterminate', name, []))
    memory.keepMailbox('user', mailbox, resultOf(makeFinding('user', 'indeterminate', name, [])))
    expect(cache.size).toBe(0)
  })

  test('shorter settings than the ten minutes of a temporary answer hold', () => {
    const clock = { nowMs: foundAtMs }
    const { memory } = memoryAt(clock, { ...keep, indeterminateMs: 2 * minuteMs })
    const later = makeFinding('user', 'indeterminate', 'try-later', [])
    memory.keepMailbox('user', mailbox, resultOf(later))
    expect(minutesKept(clock, 2, () => memory.mailbox('user', mailbox))).toBe(2)
  })
})

describe('asked again', () => {
  const userOnly = { dialup: 'off', relay: 'off', user: 'enforce' } as const
  const names = { addresses: { 'good.example': ['127.0.4.1'], 'other.example': ['127.0.4.1'] } }

  test('a domain that refuses us is asked once, whoever its senders are, until that is too old', async () => {
    const converse: Converse = async (_target, plan) =>
      conversationWith(serverSaying(554, 'greeting'), plan)
    const { ask, asked, clock } = scriptedBroker({ modes: userOnly, keep }, names, converse)
    const startMs = clock.nowMs
    for (const sender of ['anna', 'bert', 'anna', 'carl']) {
      const findings = await ask('127.0.9.1', `${sender}@good.example`)
      expect(findings).toMatchObject([{ outcome: 'indeterminate', name: 'refuses-us' }])
    }
    expect(asked).toHaveLength(1)
    clock.nowMs = startMs + keep.refusesUsMs - 1
    await ask('127.0.9.1', 'dora@good.example')
    expect(asked).toHaveLength(1)
    clock.nowMs += 1
    await ask('127.0.9.1', 'dora@good.example')
    expect(asked).toHaveLength(2)
    await ask('127.0.9.1', 'anna@other.example')
    expect(asked).toHaveLength(3)
  })

  test('greylisted: after ten minutes, not before', async () => {
    const converse: Converse = async (_target, plan) =>
      conversationWith(serverSaying(451, 'recipient'), plan)
    const { ask, asked, clock } = scriptedBroker({ modes: userOnly, keep }, names, converse)
    const findings = await ask('127.0.9.1', 'anna@good.example')
    expect(findings).toMatchObject([{ outcome: 'indeterminate', name: 'try-later' }])
    clock.nowMs += 600_000 - 1
    await ask('127.0.9.1', 'anna@good.example')
    expect(asked).toHaveLength(1)
    clock.nowMs += 1
    await ask('127.0.9.1', 'anna@good.example')
    expect(asked).toHaveLength(2)
  })
})

function resultOf(finding: Finding) {
  return { finding, dialogue: [], target: '' }
}
