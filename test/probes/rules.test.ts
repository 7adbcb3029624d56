/**
 * The rules of probing: once, bounded, stoppable, never in a circle, never where it must not go.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Finding } from '../../src/checks/finding.ts'
import { Breaker, RateBudget } from '../../src/probes/budget.ts'
import type { Conversation } from '../../src/probes/converse.ts'
import { type Internet, startInternet } from '../internet/internet.ts'
import { town } from '../internet/worlds/town.ts'
import { brokerOver, testProbeSettings } from '../support/broker.ts'

let internet: Internet
beforeAll(async () => {
  internet = await startInternet({
    ...town,
    domains: {
      ...town.domains,
      'inside.example': { mx: ['db.inside.example', 'meta.inside.example'], users: ['x'] },
      'ours.example': { mx: ['mail.ours.example'] },
    },
    addresses: {
      'db.inside.example': ['10.0.0.5', '::ffff:192.168.0.1'],
      'meta.inside.example': ['169.254.169.254', '64:ff9b::7f00:1'],
      'mail.ours.example': ['127.0.0.1'],
    },
  })
})
afterAll(() => internet.close())

const hostOnly = { dialup: 'enforce', relay: 'enforce', user: 'off' } as const
const userOnly = { dialup: 'off', relay: 'off', user: 'enforce' } as const
const question = { address: '127.0.1.1', helo: 'a', sender: 'anna@good.example', recipient: 'b@c' }

describe('once per key', () => {
  test('a hundred clients at once cause one conversation a key; later ones none', async () => {
    const { ask } = brokerOver(internet, { modes: userOnly })
    const before = internet.sessionsAt('127.0.1.1').length
    await Promise.all(
      Array.from({ length: 100 }, (_, index) => ask(`127.0.9.${index}`, 'anna@good.example')),
    )
    expect(internet.sessionsAt('127.0.1.1').length - before).toBe(1)
    await ask('127.0.9.1', 'Anna+tag@good.example')
    expect(internet.sessionsAt('127.0.1.1').length - before).toBe(1)
  })

  test('a refused rewrite of an address condemns itself alone', async () => {
    const { ask } = brokerOver(internet, { modes: userOnly })
    const names = (findings: readonly Finding[]) => findings.map(({ name }) => name)
    const forged = 'prvs=0123456789=anna@good.example'
    expect(names(await ask('127.0.9.1', forged))).toEqual(['no-such-user'])
    expect(names(await ask('127.0.9.1', 'anna@good.example'))).toEqual(['user-exists'])
    expect(names(await ask('127.0.9.1', forged))).toEqual(['no-such-user'])
    // What exists answers for its rewrites, without a further question.
    const before = internet.sessionsAt('127.0.1.1').length
    expect(names(await ask('127.0.9.1', 'prvs=9876543210=anna@good.example'))).toEqual([
      'user-exists',
    ])
    expect(internet.sessionsAt('127.0.1.1').length).toBe(before)
  })

  test('a domain that accepts all is asked once, whoever its senders claim to be', async () => {
    const { ask } = brokerOver(internet, { modes: userOnly })
    const before = internet.sessionsAt('127.0.1.3').length
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => ask('127.0.9.1', `user${index}@anyone.example`)),
    )
    expect(internet.sessionsAt('127.0.1.3').length - before).toBe(1)
  })

  test('the random question is asked once a domain', async () => {
    const { ask } = brokerOver(internet, { modes: userOnly })
    const before = internet.sessionsAt('127.0.1.1').length
    await ask('127.0.9.1', 'anna@good.example')
    await ask('127.0.9.1', 'bert@good.example')
    const commands = internet
      .sessionsAt('127.0.1.1')
      .slice(before)
      .map((each) => each.commands)
    const asked = commands.flat().filter((line) => line.startsWith('RCPT TO:<x'))
    expect(commands).toHaveLength(2)
    expect(asked).toHaveLength(1)
  })
})

describe('never asked', () => {
  test('the null sender and our own domains, whatever test is on', async () => {
    const { ask, cache } = brokerOver(internet)
    const before = internet.allSessions().length
    const senders = ['', 'x@home.example', '"a b"@home.example']
    for (const sender of senders) expect(await ask('127.0.5.1', sender)).toEqual([])
    expect(internet.allSessions().length).toBe(before)
    expect(cache.size).toBe(0)
    // What is known of the host holds for them too.
    await ask('127.0.5.1', 'anna@good.example')
    for (const sender of senders) {
      expect(await ask('127.0.5.1', sender)).toMatchObject([{ name: 'open-relay' }])
    }
  })

  test('what is no plain address', async () => {
    const { ask } = brokerOver(internet, { modes: userOnly })
    const before = internet.allSessions().length
    // No way round the policy for what could not be found out.
    for (const sender of ['x@[127.0.1.1]', 'x', '"a b"@good.example', 'a\r\nb@good.example']) {
      const [finding] = await ask('127.0.9.1', sender)
      expect(finding).toMatchObject({ outcome: 'indeterminate', name: 'not-askable' })
    }
    expect(internet.allSessions().length).toBe(before)
  })

  test('hosts of the relay and dialup databases (B10, B12)', async () => {
    const exempt = { isRelayExempt: () => true, isDialupExempt: () => true }
    const { ask } = brokerOver(internet, { modes: hostOnly }, { exemptions: exempt })
    const before = internet.sessionsAt('127.0.5.1').length
    expect(await ask('127.0.5.1', 'a@b.example')).toEqual([])
    expect(await ask('127.0.2.7', 'a@b.example')).toEqual([])
    expect(internet.sessionsAt('127.0.5.1').length).toBe(before)
  })

  test('B12 an open relay of the relay database gets no RCPT', async () => {
    const exempt = { isRelayExempt: () => true, isDialupExempt: () => false }
    const { ask } = brokerOver(internet, { modes: hostOnly }, { exemptions: exempt })
    const before = internet.sessionsAt('127.0.5.1').length
    const [finding] = await ask('127.0.5.1', 'a@b.example')
    expect(finding).toMatchObject({ outcome: 'negative', name: 'not-asked' })
    const commands = internet
      .sessionsAt('127.0.5.1')
      .slice(before)
      .flatMap((each) => each.commands)
    expect(commands.filter((line) => line.startsWith('RCPT'))).toEqual([])
  })

  test('a host that step 5 condemned is not asked about its sender', async () => {
    const { ask } = brokerOver(internet)
    const before = internet.sessionsAt('127.0.1.1').length
    const findings = await ask('127.0.5.1', 'anna@good.example')
    expect(findings.map((each) => each.layer)).toEqual(['relay'])
    expect(internet.sessionsAt('127.0.1.1').length).toBe(before)
  })

  test('forbidden addresses behind an MX: no connection at all', async () => {
    const asked: string[] = []
    const converse = async (target: { address: string }): Promise<Conversation> => {
      asked.push(target.address)
      return { kind: 'refused', reason: 'ECONNREFUSED' }
    }
    const { ask } = brokerOver(internet, { modes: userOnly }, { converse })
    const [inside] = await ask('127.0.9.1', 'x@inside.example')
    expect(inside).toMatchObject({ outcome: 'indeterminate', name: 'forbidden' })
    const [ours] = await ask('127.0.9.1', 'x@ours.example')
    expect(ours).toMatchObject({ outcome: 'indeterminate', name: 'forbidden' })
    expect(asked).toEqual([])
  })

  test('the connection goes to the address that was judged, not to a second look-up', async () => {
    const answers = ['127.0.1.1', '127.0.0.1', '127.0.0.1']
    internet.dns.overrides.set('MX rebind.example', () => [
      {
        type: 'MX',
        name: 'rebind.example',
        ttl: 0,
        data: { preference: 1, exchange: 'm.rebind.example' },
      },
    ])
    internet.dns.overrides.set('A m.rebind.example', () => [
      { type: 'A', name: 'm.rebind.example', ttl: 0, data: answers.shift() ?? '127.0.0.1' },
    ])
    const asked: string[] = []
    const converse = async (target: { address: string }): Promise<Conversation> => {
      asked.push(target.address)
      return { kind: 'refused', reason: 'ECONNREFUSED' }
    }
    const { ask } = brokerOver(internet, { modes: userOnly }, { converse })
    await ask('127.0.9.1', 'x@rebind.example')
    expect(asked).toEqual(['127.0.1.1'])
  })

  test('an MX that names no host is trouble: the domain itself is not asked', async () => {
    internet.dns.overrides.set('MX literal.example', () => [
      {
        type: 'MX',
        name: 'literal.example',
        ttl: 1,
        data: { preference: 1, exchange: '127.0.1.1' },
      },
    ])
    internet.dns.overrides.set('A literal.example', () => [
      { type: 'A', name: 'literal.example', ttl: 1, data: '127.0.1.1' },
    ])
    const before = internet.sessionsAt('127.0.1.1').length
    const { ask } = brokerOver(internet, { modes: userOnly })
    const [finding] = await ask('127.0.9.1', 'x@literal.example')
    expect(finding).toMatchObject({ outcome: 'indeterminate', name: 'dns-trouble' })
    expect(internet.sessionsAt('127.0.1.1').length).toBe(before)
  })

  test('of a thousand MX five are tried, the most preferred', async () => {
    internet.dns.overrides.set('MX many.example', () =>
      Array.from({ length: 1000 }, (_, index) => ({
        type: 'MX',
        name: 'many.example',
        ttl: 60,
        data: { preference: index, exchange: `127-0-7-${index}.many.example` },
      })),
    )
    for (let index = 0; index < 1000; index++) {
      const name = `127-0-7-${index}.many.example`
      internet.dns.overrides.set(`A ${name}`, () => [
        { type: 'A', name, ttl: 60, data: `127.0.7.${index % 250}` },
      ])
    }
    const asked: string[] = []
    const converse = async (target: { address: string }): Promise<Conversation> => {
      asked.push(target.address)
      return { kind: 'unreachable', reason: 'ETIMEDOUT' }
    }
    const { ask } = brokerOver(internet, { modes: userOnly }, { converse })
    await ask('127.0.9.1', 'x@many.example')
    expect(asked).toEqual([0, 1, 2, 3, 4].map((index) => `127.0.7.${index}`))
  })
})

describe('bounded', () => {
  test('budgets: what is not asked for want of budget is unknown, and not kept', async () => {
    const perClient = { count: 1, windowMs: 3_600_000 }
    const { ask, cache } = brokerOver(internet, { modes: userOnly, perClient })
    await ask('127.0.9.1', 'anna@good.example')
    const size = cache.size
    const [finding] = await ask('127.0.9.1', 'bert@good.example')
    expect(finding).toMatchObject({ outcome: 'indeterminate', name: 'not-now' })
    expect(cache.size).toBe(size)
    const [other] = await ask('127.0.9.2', 'bert@good.example')
    expect(other).toMatchObject({ outcome: 'negative' })
  })

  test('a rate refills evenly and is counted per key', () => {
    const budget = new RateBudget({ count: 2, windowMs: 1000 })
    expect([budget.take('a', 0), budget.take('a', 0), budget.take('a', 0)]).toEqual([
      true,
      true,
      false,
    ])
    expect(budget.take('b', 0)).toBe(true)
    expect(budget.take('a', 499)).toBe(false)
    expect(budget.take('a', 500)).toBe(true)
  })

  test('a host that says 421 or 450 is left alone for a while', async () => {
    const waits = { connectWaitMs: 30_000, replyWaitMs: 30_000 }
    const { ask } = brokerOver(internet, { modes: userOnly, ...waits })
    const before = internet.sessionsAt('127.0.6.8').length
    await ask('127.0.9.1', 'x@busy.example')
    const [finding] = await ask('127.0.9.1', 'y@busy.example')
    expect(finding).toMatchObject({ outcome: 'indeterminate', name: 'not-now' })
    expect(internet.sessionsAt('127.0.6.8').length - before).toBe(1)
  })

  test('the breaker opens when most probes fail, and closes after its wait', () => {
    const breaker = new Breaker(0.8, 1000)
    for (let index = 0; index < 19; index++)
      breaker.onResult(`${index}`, `d${index}.example`, true, 0)
    for (let index = 0; index < 19; index++) breaker.onResult('0', 'd0.example', true, 0)
    expect(breaker.isOpen(0)).toBe(false)
    breaker.onResult('19', 'd19.example', true, 0)
    expect(breaker.isOpen(999)).toBe(true)
    expect(breaker.isOpen(1000)).toBe(false)
  })

  test('B26 a tarpit as remote host, mailhost of the sender or name server: answered in budget', async () => {
    const slow = { budgetMs: 300, connectWaitMs: 60_000, replyWaitMs: 60_000 }
    const host = brokerOver(internet, { ...slow, modes: hostOnly })
    const spent = { outcome: 'indeterminate', name: 'budget-spent' }
    expect(await host.ask('127.0.6.2', 'a@b.example')).toMatchObject([
      { layer: 'relay', ...spent },
      { layer: 'dialup', ...spent },
    ])
    const user = brokerOver(internet, { ...slow, modes: userOnly })
    const [mailhost] = await user.ask('127.0.9.1', 'x@tarpit.example')
    expect(mailhost).toMatchObject({ outcome: 'indeterminate', name: 'budget-spent' })
    const never = new Promise<never>(() => undefined)
    const names = {
      names: () => never,
      addresses: () => never,
      exchangers: () => never,
      texts: () => never,
    }
    const dns = brokerOver(internet, { ...slow, modes: userOnly }, { names })
    const [silent] = await dns.ask('127.0.9.1', 'x@good.example')
    expect(silent).toMatchObject({ outcome: 'indeterminate', name: 'budget-spent' })
  })

  test('what comes after the budget still reaches the cache', async () => {
    let finish: (conversation: Conversation) => void = () => undefined
    const converse = (): Promise<Conversation> =>
      new Promise((resolve) => {
        finish = resolve
      })
    const { ask, cache } = brokerOver(internet, { modes: hostOnly, budgetMs: 50 }, { converse })
    const [first] = await ask('127.0.2.7', 'a@b.example')
    expect(first).toMatchObject({ name: 'budget-spent' })
    finish({ kind: 'refused', reason: 'ECONNREFUSED' })
    while (cache.size === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    const [second] = await ask('127.0.2.7', 'a@b.example')
    expect(second).toMatchObject({ layer: 'dialup', outcome: 'positive' })
  })
})

describe('B27 no circle', () => {
  test('a client whose host is being probed is deferred, starts no probe, and gets the verdict', async () => {
    let calls = 0
    let finish: (conversation: Conversation) => void = () => undefined
    const converse = (): Promise<Conversation> => {
      calls++
      return new Promise((resolve) => {
        finish = resolve
      })
    }
    const { broker, ask } = brokerOver(internet, { modes: hostOnly }, { converse })
    const first = ask('127.0.2.7', 'a@b.example')
    let isDeferred = false
    const second = new Promise<readonly Finding[]>((resolve) => {
      broker.examine(
        { ...question, address: '127.0.2.7' },
        {
          onDeferred: () => {
            isDeferred = true
          },
          onAnswer: resolve,
        },
      )
    })
    expect(isDeferred).toBe(true)
    while (calls === 0) await new Promise((resolve) => setImmediate(resolve))
    finish({ kind: 'refused', reason: 'ECONNREFUSED' })
    expect(await second).toEqual(await first)
    expect(calls).toBe(1)
  })

  test('deferred behind a tarpit: the indeterminate policy at the end of the budget', async () => {
    const slow = { ...testProbeSettings, budgetMs: 300, connectWaitMs: 60_000, replyWaitMs: 60_000 }
    const { broker, ask } = brokerOver(internet, {
      ...slow,
      modes: hostOnly,
      port: internet.smtpPort,
    })
    const first = ask('127.0.6.2', 'a@b.example')
    const second = await new Promise<readonly Finding[]>((resolve) => {
      broker.examine(
        { ...question, address: '127.0.6.2' },
        { onDeferred: () => undefined, onAnswer: resolve },
      )
    })
    const spent = { outcome: 'indeterminate', name: 'budget-spent' }
    expect(second).toMatchObject([spent, spent])
    await first
  })
})

test('stopped: nothing leaves, nothing is found', async () => {
  const { broker, ask } = brokerOver(internet)
  broker.switch(false)
  const before = internet.allSessions().length
  expect(await ask('127.0.5.1', 'nobody@good.example')).toEqual([])
  expect(internet.allSessions().length).toBe(before)
})
