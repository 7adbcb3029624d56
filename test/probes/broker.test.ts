/**
 * What the broker finds out about the hosts of a small town.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Finding } from '../../src/checks/finding.ts'
import type { Converse } from '../../src/probes/converse.ts'
import { type Internet, startInternet } from '../internet/internet.ts'
import { town } from '../internet/worlds/town.ts'
import { brokerOver } from '../support/broker.ts'

let internet: Internet
let troubled: Internet
beforeAll(async () => {
  internet = await startInternet(town)
  troubled = await startInternet({
    hosts: {
      '127.0.8.10': { name: 'c10.zone4.town.example', smtp: 'none' },
      '127.0.8.11': { name: 'c11.zone4.town.example', smtp: 'none' },
      '127.0.8.21': { name: 'mailout1.shy.example', smtp: 'none' },
    },
    domains: { 'out.slow-back.example': { fault: 'no-answer' } },
    names: {
      '127.0.7.1': 'no-answer',
      '127.0.7.2': 'servfail',
      '127.0.7.3': ['out.slow-back.example'],
      ...Object.fromEntries(
        [9, 12, 18, 19, 20, 22, 23].map((host) => [`127.0.8.${host}`, 'no-answer' as const]),
      ),
    },
  })
})
afterAll(() => Promise.all([internet.close(), troubled.close()]))

function shortOf(findings: readonly Finding[]): string[] {
  return findings.map(({ layer, outcome, name }) => `${layer} ${outcome} ${name}`)
}

const hostOnly = { dialup: 'enforce', relay: 'enforce', user: 'off' } as const
const userOnly = { dialup: 'off', relay: 'off', user: 'enforce' } as const

describe('B9 the reverse connection decides which test is made, never both', () => {
  test('made: relay alone', async () => {
    const { ask } = brokerOver(internet, { modes: hostOnly })
    const before = internet.dns.questions.length
    expect(shortOf(await ask('127.0.1.1', 'anna@good.example'))).toEqual([
      'relay negative no-relay',
    ])
    expect(internet.dns.questions.slice(before).filter((each) => each.startsWith('PTR'))).toEqual(
      [],
    )
  })

  test('refused: dialup alone', async () => {
    const { ask } = brokerOver(internet, { modes: hostOnly })
    expect(shortOf(await ask('127.0.2.7', 'a@b.example'))).toEqual(['dialup positive pool-name'])
  })

  test('timed out: dialup alone', async () => {
    const { ask } = brokerOver(
      internet,
      { modes: hostOnly },
      { converse: async () => ({ kind: 'unreachable', reason: 'ETIMEDOUT' }) },
    )
    expect(shortOf(await ask('127.0.2.7', 'a@b.example'))).toEqual(['dialup positive pool-name'])
  })

  test('a fault of ours proves nothing and is not kept', async () => {
    const { ask, cache } = brokerOver(
      internet,
      { modes: hostOnly },
      { converse: async () => ({ kind: 'our-fault', reason: 'EMFILE' }) },
    )
    expect(shortOf(await ask('127.0.2.7', 'a@b.example'))).toEqual([
      'relay indeterminate our-fault',
    ])
    expect(cache.size).toBe(0)
  })
})

describe('B11 dialup verdicts', () => {
  const cases = [
    { address: '127.0.2.7', want: 'dialup positive pool-name' },
    { address: '127.0.3.11', want: 'dialup positive pool-neighbours' },
    { address: '127.0.4.1', want: 'dialup negative no-pool' },
    { address: '127.0.4.2', want: 'dialup indeterminate no-name' },
  ]
  test.each(cases)('$address → $want', async ({ address, want }) => {
    const { ask } = brokerOver(internet, { modes: hostOnly })
    const [finding] = await ask(address, 'a@b.example')
    expect(shortOf(finding === undefined ? [] : [finding])).toEqual([want])
    expect(finding?.evidence.length).toBeGreaterThan(0)
  })

  // What the DNS does wrong is no missing name, however `no_ptr` is set.
  const troubles = [
    { what: 'PTR times out', address: '127.0.7.1', want: 'dns-trouble', fact: 'PTR: ETIMEOUT' },
    { what: 'PTR fails', address: '127.0.7.2', want: 'dns-trouble', fact: 'PTR: ESERVFAIL' },
    {
      what: 'the way back times out',
      address: '127.0.7.3',
      want: 'name-unproved',
      fact: 'addresses of out.slow-back.example: ETIMEOUT',
    },
    {
      what: 'neighbours time out that might make a pool',
      address: '127.0.8.11',
      want: 'dns-trouble',
      fact: 'PTR of neighbours: no answer',
    },
  ]
  test.each(troubles)('$what: indeterminate', async ({ address, want, fact }) => {
    const { ask, cache } = brokerOver(
      troubled,
      { modes: hostOnly, noPtr: 'dialup' },
      { converse: async () => ({ kind: 'refused', reason: 'ECONNREFUSED' }) },
    )
    const [finding] = await ask(address, 'a@b.example')
    expect(finding).toMatchObject({ layer: 'dialup', outcome: 'indeterminate', name: want })
    expect(finding?.evidence).toContain(fact)
    expect(cache.size).toBe(1)
  })

  test('neighbours that time out are no matter for a name that has no shape of a pool', async () => {
    const { ask } = brokerOver(
      troubled,
      { modes: hostOnly },
      { converse: async () => ({ kind: 'refused', reason: 'ECONNREFUSED' }) },
    )
    expect(shortOf(await ask('127.0.8.21', 'a@b.example'))).toEqual(['dialup negative no-pool'])
  })

  test('no PTR is a dialup where it is set so', async () => {
    const { ask } = brokerOver(internet, { modes: hostOnly, noPtr: 'dialup' })
    expect(shortOf(await ask('127.0.4.2', 'a@b.example'))).toEqual(['dialup positive no-name'])
  })
})

describe('B13 relay verdicts', () => {
  const cases = [
    { address: '127.0.5.1', want: 'relay positive open-relay' },
    { address: '127.0.1.1', want: 'relay negative no-relay' },
    { address: '127.0.6.1', want: 'relay indeterminate relay-unclear' },
    { address: '127.0.6.3', want: 'relay indeterminate relay-unclear' },
    { address: '127.0.6.4', want: 'relay indeterminate relay-unclear' },
    { address: '127.0.6.5', want: 'relay indeterminate refuses-us' },
    { address: '127.0.6.8', want: 'relay indeterminate relay-unclear' },
    { address: '127.0.6.9', want: 'relay indeterminate relay-unclear' },
    { address: '127.0.6.10', want: 'relay indeterminate relay-unclear' },
    { address: '127.0.6.11', want: 'relay indeterminate relay-unclear' },
    { address: '127.0.6.12', want: 'relay indeterminate relay-unclear' },
    { address: '127.0.6.13', want: 'relay indeterminate relay-unclear' },
    { address: '127.0.6.14', want: 'relay negative no-relay' },
    { address: '127.0.6.15', want: 'relay indeterminate refuses-us' },
  ]
  test.each(cases)('$address → $want', async ({ address, want }) => {
    const { ask, records } = brokerOver(internet, { modes: hostOnly })
    expect(shortOf(await ask(address, 'a@b.example'))).toEqual([want])
    expect(records).toHaveLength(1)
  })

  test('every form is offered, and one that is taken is enough', async () => {
    // biome-ignore format: a table
    const relayForms = [
      'plain', 'own-name', 'localhost', 'no-domain', 'null', 'literal', 'quoted', 'percent', 'bang',
      'route',
    ] as const
    const { ask } = brokerOver(internet, { modes: hostOnly, relayForms })
    const before = internet.sessionsAt('127.0.1.2').length
    expect(shortOf(await ask('127.0.1.2', 'a@b.example'))).toEqual(['relay negative no-relay'])
    const commands = internet.sessionsAt('127.0.1.2')[before]?.commands ?? []
    expect(commands.filter((line) => line.startsWith('RCPT'))).toEqual([
      'RCPT TO:<probe+127-0-1-2@home.example>',
      'RCPT TO:<probe+127-0-1-2@home.example>',
      'RCPT TO:<probe+127-0-1-2@home.example>',
      'RCPT TO:<probe+127-0-1-2@home.example>',
      'RCPT TO:<probe+127-0-1-2@home.example>',
      'RCPT TO:<probe+127-0-1-2@home.example>',
      'RCPT TO:<"probe+127-0-1-2@home.example">',
      'RCPT TO:<probe+127-0-1-2%home.example@mx2.good.example>',
      'RCPT TO:<home.example!probe+127-0-1-2>',
      'RCPT TO:<@mx2.good.example:probe+127-0-1-2@home.example>',
    ])
    expect(commands.filter((line) => line.startsWith('MAIL'))).toContain('MAIL FROM:<>')
  })

  test('the peer never gets DATA', () => {
    const asked = internet.allSessions().flatMap((session) => session.commands)
    expect(asked.length).toBeGreaterThan(20)
    expect(asked.filter((line) => line === 'DATA')).toEqual([])
  })
})

describe('B14 user verdicts', () => {
  const cases = [
    { sender: 'anna@good.example', want: 'user negative user-exists' },
    { sender: 'nobody@good.example', want: 'user positive no-such-user' },
    { sender: 'who@anyone.example', want: 'user negative accepts-all' },
    { sender: 'x@null.example', want: 'user positive null-mx' },
    { sender: 'x@gone.example', want: 'user positive no-such-domain' },
    { sender: 'x@broken.example', want: 'user indeterminate dns-trouble' },
    { sender: 'x@slow.example', want: 'user indeterminate dns-trouble' },
    { sender: 'x@nowhere.example', want: 'user indeterminate unreachable' },
    { sender: 'emil@away.example', want: 'user indeterminate unreachable' },
    { sender: 'x@silent.example', want: 'user indeterminate timed-out' },
    { sender: 'x@tarpit.example', want: 'user indeterminate timed-out' },
    { sender: 'x@dribble.example', want: 'user indeterminate timed-out' },
    { sender: 'x@grey.example', want: 'user indeterminate try-later' },
    { sender: 'x@snob.example', want: 'user indeterminate refuses-us' },
    { sender: 'x@lists.example', want: 'user indeterminate refuses-us' },
    { sender: 'x@nonull.example', want: 'user indeterminate refuses-us' },
    { sender: 'x@busy.example', want: 'user indeterminate try-later' },
    { sender: 'x@endless.example', want: 'user indeterminate too-much' },
    { sender: 'x@banner.example', want: 'user indeterminate too-much' },
    { sender: 'x@closes.example', want: 'user indeterminate closed-by-peer' },
    { sender: 'x@hangsup.example', want: 'user indeterminate closed-by-peer' },
    { sender: 'x@garbage.example', want: 'user indeterminate nonsense' },
    { sender: 'x@lf.example', want: 'user negative user-exists' },
    { sender: 'x@tls.example', want: 'user indeterminate refuses-us' },
  ]
  test.each(cases)('$sender → $want', async ({ sender, want }) => {
    const { ask } = brokerOver(internet, { modes: userOnly })
    expect(shortOf(await ask('127.0.1.9', sender))).toEqual([want])
  })

  test('B15 no MX: the domain itself is asked', async () => {
    const { ask } = brokerOver(internet, { modes: userOnly })
    expect(shortOf(await ask('127.0.1.9', 'carl@nomx.example'))).toEqual([
      'user negative user-exists',
    ])
    expect(shortOf(await ask('127.0.1.9', 'x@nomx.example'))).toEqual([
      'user positive no-such-user',
    ])
  })

  test('B17 the next MX is asked where that is on, in order of preference', async () => {
    const on = brokerOver(internet, { modes: userOnly })
    expect(shortOf(await on.ask('127.0.1.9', 'dora@half.example'))).toEqual([
      'user negative user-exists',
    ])
    const off = brokerOver(internet, { modes: userOnly, nextMx: false })
    expect(shortOf(await off.ask('127.0.1.9', 'dora@half.example'))).toEqual([
      'user indeterminate unreachable',
    ])
  })

  test('B17 mail exchangers are asked by preference, not as the answer lists them', async () => {
    const name = 'mixed.example'
    internet.dns.overrides.set(`MX ${name}`, () =>
      [20, 5, 10].map((preference) => {
        const data = { preference, exchange: `mx${preference}.${name}` }
        return { type: 'MX', name, ttl: 60, data }
      }),
    )
    for (const preference of [20, 5, 10]) {
      const host = `mx${preference}.${name}`
      const answer = { type: 'A', name: host, ttl: 60, data: `127.0.7.${preference}` } as const
      internet.dns.overrides.set(`A ${host}`, () => [answer])
    }
    const asked: string[] = []
    const converse: Converse = async ({ address }) => {
      asked.push(address)
      return { kind: 'unreachable', reason: 'ETIMEDOUT' }
    }
    const { ask } = brokerOver(internet, { modes: userOnly }, { converse })
    await ask('127.0.1.9', `x@${name}`)
    expect(asked).toEqual(['127.0.7.5', '127.0.7.10', '127.0.7.20'])
    asked.length = 0
    const off = brokerOver(internet, { modes: userOnly, nextMx: false }, { converse })
    await off.ask('127.0.1.9', `x@${name}`)
    expect(asked).toEqual(['127.0.7.5'])
  })

  test('B18 deeper questions are judged by their own refusals, and the final dot is never sent', async () => {
    const ask = async (depth: 'rcpt' | 'data' | 'message', sender: string) =>
      shortOf(
        await brokerOver(internet, { modes: userOnly, userDepth: depth }).ask('127.0.1.9', sender),
      )
    expect(await ask('rcpt', 'x@late.example')).toEqual(['user negative user-exists'])
    expect(await ask('data', 'x@late.example')).toEqual(['user positive no-such-user'])
    expect(await ask('data', 'x@later.example')).toEqual(['user negative user-exists'])
    expect(await ask('message', 'x@later.example')).toEqual(['user positive no-such-user'])
    expect(await ask('message', 'anna@good.example')).toEqual(['user negative user-exists'])
    expect(internet.allSessions().filter((session) => session.isMessageEnded)).toEqual([])
  })
})
