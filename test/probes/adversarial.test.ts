/**
 * Every hostile case of the areas probe-target, probe-behaviour, dns and lmdb: run here, or named with
 * the test that runs it. A case that is not known here fails.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isHostName } from '../../src/checks/dialup-name.ts'
import type { Conversation } from '../../src/probes/converse.ts'
import { TargetGuard } from '../../src/probes/guard.ts'
import { type Internet, startInternet } from '../internet/internet.ts'
import { town } from '../internet/worlds/town.ts'
import { adversarialCases } from '../support/adversarial.ts'
import { brokerOver } from '../support/broker.ts'
import { describeWith, needsSharedData } from '../support/needs.ts'

/** Where the cases are run that need more than a line. */
const runElsewhere: Readonly<Record<string, string>> = {
  'null MX': 'broker.test.ts: x@null.example',
  rebinding: 'rules.test.ts: the connection goes to the address that was judged',
  '1000 MX': 'rules.test.ts: of a thousand MX at most five are tried',
  'wildcard zone': 'dns.test.ts: both families of an address, and wildcards',
  SERVFAIL: 'broker.test.ts: x@broken.example; dns.test.ts',
  'truncated TC=1': 'dns.test.ts: MX of cut.example',
  'compression loop': 'dns.test.ts: MX of loop.example',
  '64 KB TXT': 'dns.test.ts: a thousand records, over TCP',
  'no banner': 'broker.test.ts: 127.0.6.1',
  'endless 250-': 'broker.test.ts: x@endless.example',
  '1 byte/s': 'broker.test.ts: x@dribble.example',
  greylist: 'broker.test.ts: x@grey.example',
  'policy block of us': 'broker.test.ts: x@lists.example',
  'rejects <>': 'broker.test.ts: x@nonull.example',
  'code with LF only': 'broker.test.ts: x@lf.example',
  'TLS required': 'broker.test.ts: x@tls.example',
  'honeypot relay accepts all then bounces': 'feedback.test.ts: a honeypot',
  'probe connects back to prober': 'rules.test.ts: never asked; two-instances.test.ts',
  'probe port blocked': 'broker.test.ts: B9 refused',
  'disk full': 'test/store',
  'truncated data.mdb': 'verdict-store.test.ts: a damaged store is set aside',
  'bit flips': 'verdict-store.test.ts: a thousand flipped bits',
  'NOSYNC power cut': 'verdict-store.test.ts: files copied in the middle of commits',
  'readers full': 'test/store',
  'dnsbl 127.255.255.254': 'skipped, reason: no DNSBL is asked',
  'dnsbl non-127': 'skipped, reason: no DNSBL is asked',
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

  const names = adversarialCases('dns')
  test.each(names)('$id $name: kept whole or not believed', ({ name, input }) => {
    const text = Buffer.from(input).toString('latin1')
    expect(isHostName(text)).toBe(name === 'PTR 255 octets' && text.length <= 253)
  })

  test('every other case is run by a test that is named here', () => {
    const areas = ['probe-target', 'probe-behaviour', 'lmdb']
    const run = new Set(addresses.map(({ name }) => name))
    const unknown = areas
      .flatMap((area) => adversarialCases(area))
      .filter(({ name }) => !run.has(name) && runElsewhere[name] === undefined)
    expect(unknown.map(({ id, name }) => `${id} ${name}`)).toEqual([])
  })
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
