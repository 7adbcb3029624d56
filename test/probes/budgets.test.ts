/**
 * Bounds of asking, each wired: budgets by key, questions in flight, back-off. Without sockets and
 * by a clock of the test. The breaker: breaker.test.ts.
 */
import { describe, expect, test } from 'vitest'
import { domainWaitersMax } from '../../src/base/limits.ts'
import type { Finding } from '../../src/checks/finding.ts'
import { BackOff, RateBudget } from '../../src/probes/budget.ts'
import type { Converse } from '../../src/probes/converse.ts'
import type { ProbeSettings } from '../../src/probes/settings.ts'
import {
  conversationWith,
  honestServer,
  type Server,
  scriptedBroker,
  serverSaying,
} from '../support/scripted-outside.ts'

const userOnly = { dialup: 'off', relay: 'off', user: 'enforce' } as const
const once = { count: 1, windowMs: 60_000 }
const names = {
  addresses: {
    'one.example': ['127.0.4.1'],
    'same.example': ['127.0.4.1'],
    'near.example': ['127.0.4.200'],
    'third.example': ['127.0.4.1'],
    'far.example': ['127.0.5.1'],
    'six.example': ['2600:1:2:3::1'],
    'sixnear.example': ['2600:1:2:3:ffff::9'],
    'sixfar.example': ['2600:1:2:4::1'],
  },
}
const notNow = [{ layer: 'user', outcome: 'indeterminate', name: 'not-now' }]
const exists = [{ layer: 'user', outcome: 'negative', name: 'user-exists' }]

/** TLS breaks; without it the server is an honest one. */
const brokenTls: Converse = async (_target, plan) => {
  const whole = conversationWith(honestServer, { ...plan, isTlsTried: false })
  if (!plan.isTlsTried || whole.kind !== 'made') return whole
  return { kind: 'made', report: { ...whole.report, answers: [], end: 'tls-failed' } }
}

interface BudgetCase {
  readonly label: string
  readonly settings: Partial<ProbeSettings>
  readonly first: string
  /** Falls under the same budget. */
  readonly second: string
  /** Does not; none: the budget is one for all. */
  readonly other?: string
}

describe('a budget of one: the second question waits, and nobody is connected to for it', () => {
  const cases: BudgetCase[] = [
    {
      label: 'perDomain',
      settings: { perDomain: once },
      first: 'known1@one.example',
      second: 'known2@one.example',
      other: 'known@same.example',
    },
    {
      label: 'perHost: one mail exchanger of two domains',
      settings: { perHost: once },
      first: 'known@one.example',
      second: 'known@same.example',
      other: 'known@near.example',
    },
    {
      label: 'perHost: neighbours in a /64 are one host',
      settings: { perHost: once },
      first: 'known@six.example',
      second: 'known@sixnear.example',
      other: 'known@sixfar.example',
    },
    {
      label: 'perNetwork: neighbours in a /24',
      settings: { perNetwork: once },
      first: 'known@one.example',
      second: 'known@near.example',
      other: 'known@far.example',
    },
    {
      label: 'perNetwork: neighbours in a /64',
      settings: { perNetwork: once },
      first: 'known@six.example',
      second: 'known@sixnear.example',
      other: 'known@sixfar.example',
    },
    {
      label: 'total',
      settings: { total: once },
      first: 'known@one.example',
      second: 'known@sixfar.example',
    },
  ]
  test.each(cases)('$label', async ({ settings, first, second, other }) => {
    const { ask, asked, clock } = scriptedBroker({ modes: userOnly, ...settings }, names)
    expect(await ask('127.0.9.1', first)).toMatchObject(exists)
    expect(await ask('127.0.9.2', second)).toMatchObject(notNow)
    expect(asked).toHaveLength(1)
    if (other !== undefined) {
      expect(await ask('127.0.9.3', other)).toMatchObject(exists)
      expect(asked).toHaveLength(2)
    }
    // Refused for want of budget was not kept: after the window it is asked.
    clock.nowMs += once.windowMs
    expect(await ask('127.0.9.2', second)).toMatchObject(exists)
  })

  test.each([
    { label: 'perHost', settings: { perHost: once }, connections: 1 },
    { label: 'total', settings: { total: once }, connections: 1 },
    { label: 'room for both', settings: {}, connections: 2 },
  ])('$label: after a broken TLS handshake too', async ({ settings, connections }) => {
    const { ask, asked } = scriptedBroker({ modes: userOnly, ...settings }, names, brokenTls)
    const want = connections === 2 ? exists : [{ layer: 'user', outcome: 'indeterminate' }]
    expect(await ask('127.0.9.1', 'known@one.example')).toMatchObject(want)
    expect(asked).toHaveLength(connections)
  })

  test('switched off during a broken TLS handshake: not asked again', async () => {
    const outside = scriptedBroker({ modes: userOnly }, names, (target, plan) => {
      outside.broker.switch(false)
      return brokenTls(target, plan)
    })
    const [finding] = await outside.ask('127.0.9.1', 'known@one.example')
    expect(finding).toMatchObject({ layer: 'user', outcome: 'indeterminate' })
    expect(outside.asked).toHaveLength(1)
  })

  test('inFlightMax: while one runs', async () => {
    let finish = (): void => undefined
    const held: Converse = (_target, plan) =>
      new Promise((resolve) => {
        finish = () => resolve(conversationWith(honestServer, plan))
      })
    const { ask, asked, broker } = scriptedBroker({ modes: userOnly, inFlightMax: 1 }, names, held)
    const first = ask('127.0.9.1', 'known@one.example')
    while (broker.inFlight === 0) await Promise.resolve()
    expect(await ask('127.0.9.2', 'known@far.example')).toMatchObject(notNow)
    expect(asked).toEqual(['127.0.4.1'])
    finish()
    expect(await first).toMatchObject(exists)
    const third = ask('127.0.9.2', 'known@far.example')
    while (broker.inFlight === 0) await Promise.resolve()
    finish()
    expect(await third).toMatchObject(exists)
  })
})

describe('what is not asked costs the asker nothing', () => {
  test('perClient and perDomain are given back where the host has no time for us', async () => {
    const settings = { perClient: once, perDomain: once, perHost: once, modes: userOnly }
    const { ask, asked } = scriptedBroker(settings, names)
    expect(await ask('127.0.9.1', 'known@one.example')).toMatchObject(exists)
    // The same exchanger: it is not asked, and this client could ask another.
    expect(await ask('127.0.9.2', 'known@same.example')).toMatchObject(notNow)
    expect(await ask('127.0.9.2', 'known@near.example')).toMatchObject(exists)
    // Its budget is spent by that.
    expect(await ask('127.0.9.2', 'known@far.example')).toMatchObject(notNow)
    // The domain's is not: it is the host that has no time for another client either.
    const [again] = await ask('127.0.9.3', 'known@same.example')
    expect(again?.evidence.join()).toContain('not-now: budget of the host')
    expect(asked).toHaveLength(2)
  })

  test('a budget gives back no more than it has', () => {
    const budget = new RateBudget({ count: 2, windowMs: 1000 })
    budget.giveBack('a', 0)
    expect([budget.take('a', 0), budget.take('a', 0), budget.take('a', 0)]).toEqual([
      true,
      true,
      false,
    ])
    budget.giveBack('a', 0)
    budget.giveBack('a', 1000)
    expect([1, 2, 3].map(() => budget.take('a', 1000))).toEqual([true, true, false])
  })
})

describe('questions about a domain that has not answered yet', () => {
  /** A domain whose first conversation stays open until `finish`. */
  function silentDomain(settings: Partial<ProbeSettings>) {
    let finish = (): void => undefined
    const held: Converse = (_target, plan) =>
      new Promise((resolve) => {
        finish = () => resolve(conversationWith(serverSaying(451, 'recipient'), plan))
      })
    const outside = scriptedBroker({ modes: userOnly, ...settings }, names, held)
    return { ...outside, finish: () => finish() }
  }
  const told = (findings: readonly Finding[]) => findings[0]?.evidence.join()

  test('a line of them is full: the next is answered at once, and asks nobody', async () => {
    const { ask, asked, broker } = silentDomain({})
    void ask('127.0.9.1', 'a@one.example')
    while (broker.inFlight === 0) await Promise.resolve()
    for (let index = 0; index < domainWaitersMax; index++) {
      void ask('127.0.9.2', `a${index}@one.example`)
    }
    expect(told(await ask('127.0.9.3', 'late@one.example'))).toBe('budget of the domain')
    expect(asked).toHaveLength(1)
  })

  test('the budgets of client and domain are taken by whoever waits', async () => {
    const settings = { perClient: { count: 2, windowMs: 60_000 }, perDomain: once }
    const { ask, asked, broker } = silentDomain(settings)
    void ask('127.0.9.1', 'a@one.example')
    while (broker.inFlight === 0) await Promise.resolve()
    expect(told(await ask('127.0.9.2', 'b@one.example'))).toBe('budget of the domain')
    void ask('127.0.9.1', 'c@far.example')
    expect(told(await ask('127.0.9.1', 'd@near.example'))).toBe('budget of the client')
    expect(asked).toEqual(['127.0.4.1', '127.0.5.1'])
  })

  test('who has waited for longer than its client did asks nobody', async () => {
    const { ask, asked, broker, clock, finish } = silentDomain({ budgetMs: 20_000 })
    const first = ask('127.0.9.1', 'a@one.example')
    while (broker.inFlight === 0) await Promise.resolve()
    const second = ask('127.0.9.2', 'b@one.example')
    clock.nowMs += 20_001
    finish()
    expect(await first).toMatchObject([{ name: 'try-later' }])
    expect(await second).toMatchObject(notNow)
    expect(asked).toHaveLength(1)
  })

  test('what the first learns of the domain costs those that waited nothing', async () => {
    const settings = { modes: userOnly, perClient: once }
    const takesAll: Converse = async (_target, plan) =>
      conversationWith((command) => (command === '' ? '220 ready' : '250 OK'), plan)
    const { ask, asked } = scriptedBroker(settings, names, takesAll)
    const acceptsAll = [{ layer: 'user', outcome: 'negative', name: 'accepts-all' }]
    const first = ask('127.0.9.1', 'a@one.example')
    expect(await ask('127.0.9.2', 'b@one.example')).toMatchObject(acceptsAll)
    expect(await first).toMatchObject(acceptsAll)
    expect(await ask('127.0.9.2', 'c@far.example')).toMatchObject(acceptsAll)
    expect(asked).toEqual(['127.0.4.1', '127.0.5.1'])
  })

  const paces = [
    {
      label: 'nothing is learnt: one after the other',
      server: serverSaying(451, 'recipient'),
      most: 1,
    },
    {
      label: 'the first learns that it judges each: the others together',
      server: honestServer,
      most: 3,
    },
  ]
  test.each(paces)('$label', async ({ server, most }) => {
    let running = 0
    let mostRunning = 0
    const converse: Converse = async (_target, plan) => {
      mostRunning = Math.max(mostRunning, ++running)
      for (let turn = 0; turn < 100; turn++) await Promise.resolve()
      running--
      return conversationWith(server, plan)
    }
    const { ask, asked } = scriptedBroker({ modes: userOnly }, names, converse)
    const senders = ['a', 'b', 'c', 'd'].map((local) => `${local}@one.example`)
    await Promise.all(senders.map((sender) => ask('127.0.9.1', sender)))
    expect([asked.length, mostRunning]).toEqual([senders.length, most])
  })
})

describe('a busy host is left alone', () => {
  const firstMs = 600_000
  const cases: { label: string; server: Server; isResting: boolean }[] = [
    { label: '421 at the greeting', server: serverSaying(421, 'greeting'), isResting: true },
    { label: '450 at RCPT', server: serverSaying(450, 'recipient'), isResting: true },
    { label: '421 at RCPT', server: serverSaying(421, 'recipient'), isResting: true },
    { label: '451 at RCPT', server: serverSaying(451, 'recipient'), isResting: false },
    { label: '550 at RCPT', server: serverSaying(550, 'recipient'), isResting: false },
    { label: '554 at the greeting', server: serverSaying(554, 'greeting'), isResting: false },
  ]
  test.each(cases)('$label: $isResting', async ({ server, isResting }) => {
    const converse: Converse = async (_target, plan) => conversationWith(server, plan)
    const settings = { modes: userOnly, backOffMs: firstMs }
    const { ask, asked, clock } = scriptedBroker(settings, names, converse)
    await ask('127.0.9.1', 'known@one.example')
    await ask('127.0.9.1', 'known@same.example')
    expect(asked).toHaveLength(isResting ? 1 : 2)
    clock.nowMs += firstMs
    await ask('127.0.9.1', 'known@third.example')
    expect(asked).toHaveLength(isResting ? 2 : 3)
  })

  test('each time for twice as long, a day at most', () => {
    const backOff = new BackOff(firstMs)
    const steps: number[] = []
    let nowMs = 0
    for (let index = 0; index < 10; index++) {
      backOff.onBusy('a', nowMs)
      const startMs = nowMs
      while (backOff.isResting('a', nowMs)) nowMs += 60_000
      steps.push((nowMs - startMs) / 60_000)
    }
    expect(steps).toEqual([10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440])
  })

  test('to the millisecond, by host, and anew once it has served', () => {
    const backOff = new BackOff(firstMs)
    backOff.onBusy('a', 0)
    expect(backOff.isResting('a', firstMs - 1)).toBe(true)
    expect(backOff.isResting('a', firstMs)).toBe(false)
    expect(backOff.isResting('b', 0)).toBe(false)
    backOff.onBusy('a', firstMs)
    expect(backOff.isResting('a', 3 * firstMs - 1)).toBe(true)
    backOff.onServed('a')
    expect(backOff.isResting('a', firstMs)).toBe(false)
    backOff.onBusy('a', firstMs)
    expect(backOff.isResting('a', 2 * firstMs)).toBe(false)
  })

  test('a good answer ends the doubling, where the broker hears it', async () => {
    let server = serverSaying(450, 'recipient')
    const converse: Converse = async (_target, plan) => conversationWith(server, plan)
    const { ask, asked, clock } = scriptedBroker(
      { modes: userOnly, backOffMs: firstMs },
      names,
      converse,
    )
    await ask('127.0.9.1', 'known1@one.example')
    clock.nowMs += firstMs
    server = honestServer
    await ask('127.0.9.1', 'known2@one.example')
    server = serverSaying(450, 'recipient')
    await ask('127.0.9.1', 'known3@one.example')
    clock.nowMs += firstMs
    await ask('127.0.9.1', 'known4@one.example')
    expect(asked).toHaveLength(4)
  })

  test('what is given back while there is no limit leaves the next limit one', () => {
    const rate = { count: 2, windowMs: 1000 }
    const budget = new RateBudget(rate)
    budget.take('a', 0)
    budget.configure({ count: 0, windowMs: 0 })
    budget.giveBack('a', 0)
    budget.configure(rate)
    expect([1, 2, 3].map(() => budget.take('a', 0))).toEqual([true, false, false])
  })
})
