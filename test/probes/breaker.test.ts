/**
 * The breaker: when most of the world fails us, asking ends for a while; and faults of ours, which
 * count against nobody; bugs of ours, which end no process. Without sockets and by a clock of the
 * test.
 */
import { describe, expect, test } from 'vitest'
import type { Conversation, Converse } from '../../src/probes/converse.ts'
import {
  conversationWith,
  honestServer,
  scriptedBroker,
  serverSaying,
} from '../support/scripted-outside.ts'

const userOnly = { dialup: 'off', relay: 'off', user: 'enforce' } as const
const hostOnly = { dialup: 'enforce', relay: 'enforce', user: 'off' } as const
const notNow = [{ layer: 'user', outcome: 'indeterminate', name: 'not-now' }]
const exists = [{ layer: 'user', outcome: 'negative', name: 'user-exists' }]

/** Two exchangers. */
const twoHosts = { 'a.example': ['127.1.1.1'], 'b.example': ['127.1.2.1'] }

/** `d1` … and `s1.evil` … each in a network of its own, `n1` … all in that of `d1`. */
const manyDomains = {
  addresses: Object.fromEntries(
    Array.from({ length: 201 }, (_, index): [string, string[]][] => [
      [`d${index}.example`, [`127.1.${index}.1`]],
      [`n${index}.example`, [`127.1.1.${index}`]],
      [`s${index}.evil.example`, [`127.3.${index}.1`]],
    ]).flat(),
  ),
}

describe('the breaker', () => {
  const resultsMin = 20
  const breaker = { breakerShare: 0.8, breakerWaitMs: 60_000 }
  const failing = [
    { label: 'nobody answers', conversation: { kind: 'unreachable', reason: 'ETIMEDOUT' } },
    { label: 'connections refused', conversation: { kind: 'refused', reason: 'ECONNREFUSED' } },
  ] as const

  test.each(failing)('opens after $label: all wait, then it begins anew', async (fault) => {
    let conversation: Conversation | undefined = fault.conversation
    const converse: Converse = async (_target, plan) =>
      conversation ?? conversationWith(honestServer, plan)
    const settings = { modes: userOnly, ...breaker }
    const { ask, asked, clock } = scriptedBroker(settings, manyDomains, converse)
    for (let index = 1; index <= resultsMin; index++) {
      const [finding] = await ask('127.0.9.1', `known@d${index}.example`)
      expect(finding?.name).toBe('unreachable')
      expect(asked).toHaveLength(index)
    }
    conversation = undefined
    expect(await ask('127.0.9.1', 'known@d99.example')).toMatchObject(notNow)
    clock.nowMs += breaker.breakerWaitMs - 1
    expect(await ask('127.0.9.1', 'known@d99.example')).toMatchObject(notNow)
    expect(asked).toHaveLength(resultsMin)
    clock.nowMs += 1
    expect(await ask('127.0.9.1', 'known@d99.example')).toMatchObject(exists)
  })

  test('servers that refuse every command count as failures, good answers keep it shut', async () => {
    const count = async (failures: number): Promise<string | undefined> => {
      let asks = 0
      const converse: Converse = async (_target, plan) =>
        conversationWith(asks++ < failures ? serverSaying(554, 'greeting') : honestServer, plan)
      const { ask } = scriptedBroker({ modes: userOnly, ...breaker }, manyDomains, converse)
      for (let index = 0; index < resultsMin; index++) {
        await ask('127.0.9.1', `known@d${index}.example`)
      }
      return (await ask('127.0.9.1', 'known@d99.example'))[0]?.name
    }
    expect(await count(15)).toBe('user-exists')
    expect(await count(16)).toBe('not-now')
  })

  const deadNetworks = [
    { label: 'one dead exchanger', senders: (index: number) => `x${index}@d1.example` },
    { label: 'a network of dead exchangers', senders: (index: number) => `x@n${index}.example` },
    {
      label: 'one domain with names in many dead networks',
      senders: (index: number) => `x@s${index}.evil.example`,
    },
  ]
  test.each(deadNetworks)(
    'made-up senders at $label do not end all asking',
    async ({ senders }) => {
      const converse: Converse = async ({ address }, plan) =>
        /^127\.(1\.1|3\.\d+)\./.test(address)
          ? { kind: 'unreachable', reason: 'ETIMEDOUT' }
          : conversationWith(honestServer, plan)
      const settings = { modes: userOnly, ...breaker }
      const { ask } = scriptedBroker(settings, manyDomains, converse)
      for (let index = 1; index <= 10 * resultsMin; index++) {
        expect((await ask('127.0.9.1', senders(index)))[0]?.name).toBe('unreachable')
      }
      expect(await ask('127.0.9.1', 'known@d99.example')).toMatchObject(exists)
    },
  )

  test('the last result of a network is its vote', async () => {
    let isDown = false
    const converse: Converse = async (_target, plan) =>
      isDown ? { kind: 'refused', reason: 'ECONNREFUSED' } : conversationWith(honestServer, plan)
    const settings = { modes: userOnly, ...breaker }
    const { ask, asked } = scriptedBroker(settings, manyDomains, converse)
    const askAll = async (name: string): Promise<void> => {
      for (let index = 1; index <= resultsMin; index++)
        await ask('127.0.9.1', `${name}@d${index}.example`)
    }
    await askAll('known1')
    isDown = true
    await askAll('known2')
    // The sixteenth failure of twenty opened it.
    expect(asked).toHaveLength(resultsMin + 16)
  })

  test('a client whose reverse connection is refused is no failure of ours', async () => {
    const converse: Converse = async () => ({ kind: 'refused', reason: 'ECONNREFUSED' })
    const { ask, asked } = scriptedBroker({ modes: hostOnly, ...breaker }, manyDomains, converse)
    for (let index = 1; index <= 100; index++) await ask(`127.2.${index}.1`, 'a@b.example')
    expect(asked).toHaveLength(100)
    expect((await ask('127.0.8.200', 'a@b.example'))[0]?.name).not.toBe('not-now')
    expect(asked).toHaveLength(101)
  })
})

describe('faults of ours', () => {
  const budget = { count: 5, windowMs: 3_600_000 }
  const settings = {
    breakerShare: 0.8,
    breakerWaitMs: 60_000,
    perHost: budget,
    perNetwork: budget,
    perDomain: budget,
    perClient: budget,
    total: budget,
  }
  const reasons = ['EMFILE', 'EADDRNOTAVAIL', 'ENETUNREACH', 'EHOSTUNREACH']

  test.each(reasons)('%s: unknown, not kept, counted against nobody', async (reason) => {
    let conversation: Conversation | undefined = { kind: 'our-fault', reason }
    const converse: Converse = async (_target, plan) =>
      conversation ?? conversationWith(honestServer, plan)
    const parts = { modes: userOnly, ...settings }
    const { ask, asked } = scriptedBroker(parts, manyDomains, converse)
    for (let index = 1; index <= 100; index++) {
      const findings = await ask('127.0.9.1', `known@d${index}.example`)
      expect(findings).toMatchObject([{ outcome: 'indeterminate', name: 'our-fault' }])
      await ask('127.0.9.1', 'known@d1.example')
    }
    expect(asked).toHaveLength(200)
    conversation = undefined
    expect(await ask('127.0.9.1', 'known@d1.example')).toMatchObject(exists)
  })

  test('at reverse connections too', async () => {
    const converse: Converse = async () => ({ kind: 'our-fault', reason: 'EMFILE' })
    const { ask, asked } = scriptedBroker({ modes: hostOnly, ...settings }, manyDomains, converse)
    for (let index = 1; index <= 100; index++) {
      const findings = await ask('127.2.1.1', 'a@b.example')
      expect(findings).toMatchObject([{ outcome: 'indeterminate', name: 'our-fault' }])
      expect(asked).toHaveLength(index)
    }
  })

  test('beside a budget that is spent: nobody was asked, and nothing is kept', async () => {
    const spent = { count: 1, windowMs: 3_600_000 }
    const two = { mx: { 'two.example': ['a.example', 'b.example'] }, addresses: twoHosts }
    const converse: Converse = async ({ address }, plan) =>
      address === '127.1.1.1'
        ? conversationWith(honestServer, plan)
        : { kind: 'our-fault', reason: 'EMFILE' }
    const { ask } = scriptedBroker({ modes: userOnly, perHost: spent }, two, converse)
    await ask('127.0.9.1', 'known@a.example')
    expect(await ask('127.0.9.1', 'known@two.example')).toMatchObject([{ name: 'not-now' }])
  })
})

describe('bugs of ours', () => {
  const throwing = async (): Promise<never> => {
    throw new Error('not thought of')
  }

  test('in a conversation: this question stays open, at once, and the next is asked', async () => {
    let isBroken = true
    const converse: Converse = async (_target, plan) =>
      isBroken ? throwing() : conversationWith(honestServer, plan)
    const { ask } = scriptedBroker({ modes: userOnly }, manyDomains, converse)
    expect(await ask('127.0.9.1', 'known@d1.example')).toMatchObject([
      {
        layer: 'user',
        outcome: 'indeterminate',
        name: 'internal-error',
        evidence: ['not thought of'],
      },
    ])
    isBroken = false
    expect(await ask('127.0.9.1', 'known@d2.example')).toMatchObject(exists)
  })

  test('in a name service: both host tests stay open', async () => {
    const names = { names: throwing, addresses: throwing, exchangers: throwing, texts: throwing }
    const converse: Converse = async () => ({ kind: 'refused', reason: 'ECONNREFUSED' })
    const { ask } = scriptedBroker({ modes: hostOnly }, manyDomains, converse, { names })
    const findings = await ask('127.2.1.1', 'a@b.example')
    expect(findings.map(({ layer, name }) => `${layer} ${name}`)).toEqual([
      'relay internal-error',
      'dialup internal-error',
    ])
  })
})
