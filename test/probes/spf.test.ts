/**
 * SPF, evaluated over names that a table holds. The cases follow RFC 7208 and its appendix A.
 */
import { describe, expect, test } from 'vitest'
import { expandMacros, parseSpfRecord } from '../../src/checks/spf-record.ts'
import type { DnsAnswer, MailExchanger, NameService } from '../../src/probes/dns.ts'
import { checkSpf } from '../../src/probes/spf.ts'

interface Zone {
  readonly txt?: readonly string[]
  readonly a?: readonly string[]
  readonly mx?: readonly string[]
  readonly isBroken?: boolean
}

function serviceOf(zones: Readonly<Record<string, Zone>>): NameService & { asked: string[] } {
  const asked: string[] = []
  const answer = <T>(name: string, records: readonly T[] | undefined): DnsAnswer<T> => {
    asked.push(name)
    if (zones[name]?.isBroken === true) return { kind: 'trouble', reason: 'ESERVFAIL' }
    if (zones[name] === undefined) return { kind: 'no-name' }
    if (records === undefined || records.length === 0) return { kind: 'no-data' }
    return { kind: 'found', records }
  }
  const exchangers = (mx: readonly string[] | undefined): MailExchanger[] | undefined =>
    mx?.map((exchange, at) => ({ preference: at, exchange }))
  const namesOf = (address: string) =>
    Object.keys(zones).filter((name) => zones[name]?.a?.includes(address))
  return {
    asked,
    texts: async (name) => answer(name, zones[name]?.txt),
    addresses: async (name) => answer(name, zones[name]?.a),
    exchangers: async (name) => answer(name, exchangers(zones[name]?.mx)),
    names: async (address) => ({ kind: 'found', records: namesOf(address) }),
  }
}

const zones: Readonly<Record<string, Zone>> = {
  'example.com': {
    txt: ['unrelated', 'v=spf1 +mx a:colo.example.com/28 -all'],
    a: ['192.0.2.10', '192.0.2.11'],
    mx: ['mail-a.example.com', 'mail-b.example.com'],
  },
  'mail-a.example.com': { a: ['192.0.2.129'] },
  'mail-b.example.com': { a: ['192.0.2.130'] },
  'colo.example.com': { a: ['198.51.100.17'] },
  'soft.example': { txt: ['v=spf1 ip4:192.0.2.0/24 ~all'] },
  'six.example': { txt: ['v=spf1 ip6:2001:db8::/32 ?all'] },
  'none.example': { txt: ['v=spf10 -all'] },
  'twice.example': { txt: ['v=spf1 -all', 'v=spf1 +all'] },
  'wrong.example': { txt: ['v=spf1 ipv4:192.0.2.0/24 -all'] },
  'inc.example': { txt: ['v=spf1 include:soft.example -all'] },
  'incgone.example': { txt: ['v=spf1 include:gone.example +all'] },
  'redir.example': { txt: ['v=spf1 redirect=soft.example'] },
  'loop.example': { txt: ['v=spf1 include:loop.example +all'] },
  'many.example': {
    txt: [`v=spf1 ${Array.from({ length: 11 }, () => 'a:colo.example.com').join(' ')} +all`],
  },
  'voids.example': { txt: ['v=spf1 a:v1.example a:v2.example a:v3.example +all'] },
  'macro.example': { txt: ['v=spf1 exists:%{ir}.%{l1r-}.spf.%{d2} -all'] },
  '7.2.0.192.bob.spf.macro.example': { a: ['127.0.0.2'] },
  'ptr.example': { txt: ['v=spf1 ptr -all'] },
  'host.ptr.example': { a: ['192.0.2.44'] },
  'broken.example': { isBroken: true },
  'behind.example': { txt: ['v=spf1 a:broken.example +all'] },
}

const cases = [
  { domain: 'example.com', from: '192.0.2.129', want: 'pass' },
  { domain: 'example.com', from: '198.51.100.30', want: 'pass' },
  { domain: 'example.com', from: '198.51.100.32', want: 'fail' },
  { domain: 'soft.example', from: '192.0.2.1', want: 'pass' },
  { domain: 'soft.example', from: '192.0.3.1', want: 'softfail' },
  { domain: 'six.example', from: '2001:db8::1', want: 'pass' },
  { domain: 'six.example', from: '192.0.2.1', want: 'neutral' },
  { domain: 'none.example', from: '192.0.2.1', want: 'none' },
  { domain: 'gone.example', from: '192.0.2.1', want: 'none' },
  { domain: 'twice.example', from: '192.0.2.1', want: 'permerror' },
  { domain: 'wrong.example', from: '192.0.2.1', want: 'permerror' },
  { domain: 'inc.example', from: '192.0.2.1', want: 'pass' },
  { domain: 'inc.example', from: '192.0.3.1', want: 'fail' },
  { domain: 'incgone.example', from: '192.0.2.1', want: 'permerror' },
  { domain: 'redir.example', from: '192.0.3.1', want: 'softfail' },
  { domain: 'loop.example', from: '192.0.2.1', want: 'permerror' },
  { domain: 'many.example', from: '192.0.2.1', want: 'permerror' },
  { domain: 'voids.example', from: '192.0.2.1', want: 'permerror' },
  { domain: 'macro.example', from: '192.0.2.7', want: 'pass' },
  { domain: 'macro.example', from: '192.0.2.8', want: 'fail' },
  { domain: 'ptr.example', from: '192.0.2.44', want: 'pass' },
  { domain: 'ptr.example', from: '192.0.2.129', want: 'fail' },
  { domain: 'broken.example', from: '192.0.2.1', want: 'temperror' },
  { domain: 'behind.example', from: '192.0.2.1', want: 'temperror' },
  { domain: 'example.com', from: 'no address', want: 'none' },
]

test.each(cases)('$domain from $from: $want', async ({ domain, from, want }) => {
  const sender = { local: 'bob-tag', domain }
  const service = serviceOf(zones)
  expect(await checkSpf(sender, from, 'mail.example.net', service)).toBe(want)
  expect(service.asked.length).toBeLessThanOrEqual(30)
})

describe('records', () => {
  test.each([
    'v=spf1',
    'v=spf1 a/24//64 mx:x.example/32 -ip4:192.0.2.1 ~exists:%{i}.x.example exp=x.example',
    'v=spf1 unknown=%{d} ?all',
    'V=SPF1 IP4:192.0.2.0/24 REDIRECT=x.example',
  ])('%s is read', (text) => {
    expect(parseSpfRecord(text)).toBeDefined()
  })

  test.each([
    'v=spf2 -all',
    'v=spf1 all:x',
    'v=spf1 include:',
    'v=spf1 a/33',
    'v=spf1 a/024',
    'v=spf1 a//129',
    'v=spf1 ip4:2001:db8::1',
    'v=spf1 ip6:192.0.2.1',
    'v=spf1 ip4:192.0.2.0/24/8',
    'v=spf1 -',
    'v=spf1 redirect=a.example redirect=b.example',
    `v=spf1 ${'a '.repeat(4000)}`,
  ])('%s is a permanent error', (text) => {
    expect(parseSpfRecord(text)).toBeUndefined()
  })

  // RFC 7208 §7.4.
  const macros = {
    sender: 'strong-bad@email.example.com',
    address: '192.0.2.3',
    helo: 'h.example',
    domain: 'email.example.com',
  }
  test.each([
    ['%{s}', 'strong-bad@email.example.com'],
    ['%{d4}', 'email.example.com'],
    ['%{d2}', 'example.com'],
    ['%{dr}', 'com.example.email'],
    ['%{d2r}', 'example.email'],
    ['%{l-}', 'strong.bad'],
    ['%{lr-}', 'bad.strong'],
    ['%{l1r-}', 'strong'],
    ['%{ir}.%{v}._spf.%{d2}', '3.2.0.192.in-addr._spf.example.com'],
    ['%%%_%-', '% %20'],
    ['%{x}', undefined],
    ['%{d0}', undefined],
    ['%(d)', undefined],
    ['%{d', undefined],
  ])('%s is filled as %s', (spec, want) => {
    expect(expandMacros(spec, macros)).toBe(want)
  })

  test('an IPv6 address is 32 nibbles', () => {
    const address = '2001:db8::cb01'
    expect(expandMacros('%{ir}.%{v}', { ...macros, address })).toBe(
      '1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6',
    )
  })
})
