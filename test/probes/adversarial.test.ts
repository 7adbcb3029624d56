/**
 * Every hostile case of the areas probe-target, probe-behaviour, dns and lmdb: run here, or named
 * with the test that runs it. A case that is not known here fails.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isHostName } from '../../src/checks/dialup-name.ts'
import type { Conversation } from '../../src/probes/converse.ts'
import { TargetGuard } from '../../src/probes/guard.ts'
import { type Internet, startInternet } from '../internet/internet.ts'
import { town } from '../internet/worlds/town.ts'
import { adversarialCases } from '../support/adversarial.ts'
import { brokerOver } from '../support/broker.ts'
import { describeWith, needsSharedData, projectRoot } from '../support/needs.ts'

/** A file of test/ and the words in it that name the test, or the row of its table. */
type Place = readonly [file: string, words: string]

const broker = 'probes/broker.test.ts'
const rules = 'probes/rules.test.ts'
const names = 'probes/dns.test.ts'
const store = 'store/store.test.ts'

/** Where the cases are run that need more than a line, by id. */
const runElsewhere: Readonly<Record<string, Place>> = {
  'probe-target-260': [broker, "sender: 'x@null.example', want: 'user positive null-mx'"],
  'probe-target-262': [rules, 'the connection goes to the address that was judged'],
  'probe-target-263': [rules, 'of a thousand MX five are tried'],
  'probe-target-266': [names, 'both families of an address, and wildcards'],
  'probe-target-267': [broker, "'x@broken.example', want: 'user indeterminate dns-trouble'"],
  'probe-target-269': [names, "domain: 'cut.example', want: { kind: 'trouble' }"],
  'probe-target-272': [names, "domain: 'loop.example', want: { kind: 'trouble' }"],
  'probe-target-273': [names, '64 KB of TXT, over TCP'],
  'probe-behaviour-277': [broker, "'x@silent.example', want: 'user indeterminate timed-out'"],
  'probe-behaviour-279': [broker, "'x@endless.example', want: 'user indeterminate too-much'"],
  'probe-behaviour-280': [broker, "'x@dribble.example', want: 'user indeterminate timed-out'"],
  'probe-behaviour-281': ['probes/verdict-memory.test.ts', 'greylisted: after ten minutes'],
  'probe-behaviour-283': [broker, "'x@lists.example', want: 'user indeterminate refuses-us'"],
  'probe-behaviour-286': [broker, "'x@nonull.example', want: 'user indeterminate refuses-us'"],
  'probe-behaviour-288': [broker, "'x@lf.example', want: 'user negative user-exists'"],
  'probe-behaviour-290': [broker, "'x@tls.example', want: 'user indeterminate refuses-us'"],
  'probe-behaviour-292': [
    'probes/feedback.test.ts',
    'by default a honeypot that takes everything at RCPT',
  ],
  'probe-behaviour-293': ['e2e/two-instances.test.ts', 'bounded connections, all delivered'],
  'probe-behaviour-296': [broker, 'refused: dialup alone'],
  'lmdb-316': [store, 'lmdb-316: a full disk'],
  'lmdb-318': ['store/verdict-store.test.ts', 'a damaged store is set aside'],
  'lmdb-319': [store, 'lmdb-319: 1,000 turned octets'],
  'lmdb-321': [store, 'lmdb-321: a copy of the files'],
  'lmdb-323': [store, 'lmdb-323: more readers than slots'],
}

/** Cases of what is not there. */
const notRun: Readonly<Record<string, string>> = {
  'probe-target-274': 'no DNSBL is asked, so none can answer with an error code',
  'probe-target-275': 'no DNSBL is asked, so none can list the world',
}

let internet: Internet
beforeAll(async () => {
  internet = await startInternet(town)
})
afterAll(() => internet.close())

describeWith([needsSharedData()], 'hostile cases', () => {
  const targets = adversarialCases('probe-target')
  const addresses = targets
    .map(({ id, name, input }) => ({
      id,
      name,
      words: Buffer.from(input).toString('latin1').split(' '),
    }))
    .filter(({ words }) => words.length === 2 && (words[0] === 'A' || words[0] === 'AAAA'))

  test.each(addresses)('$id $name: no connection', async ({ id, words }) => {
    const [type = '', address = ''] = words
    const host = `${id}.hostile.example`
    internet.dns.overrides.set(`MX ${id}.example`, () => [
      { type: 'MX', name: `${id}.example`, ttl: 1, data: { preference: 1, exchange: host } },
    ])
    internet.dns.overrides.set(`${type} ${host}`, () => [
      { type: type === 'A' ? 'A' : 'AAAA', name: host, ttl: 1, data: address },
    ])
    let connections = 0
    const converse = async (): Promise<Conversation> => {
      connections++
      return { kind: 'refused', reason: 'ECONNREFUSED' }
    }
    const modes = { dialup: 'off', relay: 'off', user: 'enforce' } as const
    const { ask } = brokerOver(internet, { modes, allowLoopback: false }, { converse })
    const [finding] = await ask('127.0.9.1', `x@${id}.example`)
    expect(finding).toMatchObject({ outcome: 'indeterminate', name: 'forbidden' })
    expect(connections).toBe(0)
    expect(new TargetGuard([], false).reasonAgainst(address)).not.toBe('')
  })

  test.each(adversarialCases('dns'))('$id $name: kept whole or not believed', ({ name, input }) => {
    const text = Buffer.from(input).toString('latin1')
    expect(isHostName(text)).toBe(name === 'PTR 255 octets' && text.length <= 253)
  })

  const areas = ['probe-target', 'probe-behaviour', 'lmdb']
  const all = areas.flatMap((area) => adversarialCases(area))
  for (const { id, name } of all) {
    const reason = notRun[id]
    if (reason !== undefined) test.skip(`${id} ${name} (skipped: ${reason})`, () => undefined)
  }

  test('every other case is run by a test that is named here, and every name here is a case', () => {
    const here = addresses.map(({ id }) => id)
    const told = [...here, ...Object.keys(runElsewhere), ...Object.keys(notRun)]
    expect(told.toSorted()).toEqual(all.map(({ id }) => id).toSorted())
  })
})

test.each(Object.entries(runElsewhere))('%s has its test', (_id, [file, words]) => {
  expect(readFileSync(join(projectRoot, 'test', file), 'utf8')).toContain(words)
})

describe('B24 what a probe says of itself', () => {
  test('one record a probe, with its evidence', async () => {
    const { ask, records } = brokerOver(internet)
    await ask('127.0.1.1', 'anna@good.example')
    expect(records.map(({ test: kind, subject }) => `${kind} ${subject}`)).toEqual([
      'host 127.0.1.1',
      'user anna@good.example',
    ])
    for (const { finding } of records) expect(finding.evidence.length).toBeGreaterThan(0)
  })
})
