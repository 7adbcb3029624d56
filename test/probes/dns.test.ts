/**
 * The name service against a server that lies, stalls and breaks.
 */
import type { Answer } from 'dns-packet'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { dnsRecordsMax } from '../../src/base/limits.ts'
import { DnsNameService, type DnsSettings } from '../../src/probes/dns.ts'
import { type Internet, startInternet } from '../internet/internet.ts'
import type { World } from '../internet/world.ts'

const world: World = {
  hosts: {},
  domains: {
    'null.example': { mx: 'null' },
    'empty.example': {},
    tld: { mx: ['mx.example'] },
    'servfail.example': { fault: 'servfail' },
    'refused.example': { fault: 'refused' },
    'lost.example': { fault: 'no-answer' },
    'malformed.example': { fault: 'malformed', mx: ['mx.example'] },
    'loop.example': { fault: 'pointer-loop' },
    'cut.example': { fault: 'truncated' },
    'gone.example': { fault: 'no-such-name' },
    'order.example': { mx: ['a.example.org', 'b.example.org', 'not a host', '192.0.2.1'] },
    'two.example': { addresses: ['127.0.0.2', '::2'] },
  },
  addresses: { '*.wild.example': ['127.0.0.9'] },
  names: {
    '127.0.9.1': ['good.example.org.', 'bad name.example'],
    '127.0.9.2': ['127.0.0.1'],
    '127.0.9.3': 'servfail',
    '127.0.9.4': ['mail.example.com\nX-Spam: no'],
    '127.0.9.5': ['a b<script>.example'],
    '127.0.9.6': [[63, 62, 61, 60].map((length) => 'a'.repeat(length)).join('.')],
  },
}

let internet: Internet
let names: DnsNameService
const settings: Omit<DnsSettings, 'servers'> = {
  waitMs: 200,
  tries: 1,
  ttlMaxMs: 60_000,
  ttlMs: 60_000,
  negativeTtlMs: 60_000,
  entriesMax: 100,
}
beforeAll(async () => {
  internet = await startInternet(world)
  names = new DnsNameService({ ...settings, servers: [internet.nameServer] })
})
afterAll(() => internet.close())

describe('answers told apart', () => {
  const cases = [
    { domain: 'null.example', want: { kind: 'found', records: [{ preference: 0, exchange: '' }] } },
    { domain: 'empty.example', want: { kind: 'no-data' } },
    { domain: 'gone.example', want: { kind: 'no-name' } },
    { domain: 'no.such.example', want: { kind: 'no-name' } },
    { domain: 'servfail.example', want: { kind: 'trouble', reason: 'ESERVFAIL' } },
    { domain: 'refused.example', want: { kind: 'trouble', reason: 'EREFUSED' } },
    { domain: 'lost.example', want: { kind: 'trouble', reason: 'ETIMEOUT' } },
    { domain: 'malformed.example', want: { kind: 'trouble' } },
    { domain: 'loop.example', want: { kind: 'trouble' } },
    { domain: 'cut.example', want: { kind: 'trouble' } },
    { domain: 'not a domain', want: { kind: 'trouble', reason: 'EBADNAME' } },
    { domain: '127.0.0.1', want: { kind: 'trouble', reason: 'EBADNAME' } },
    { domain: '', want: { kind: 'trouble', reason: 'EBADNAME' } },
    { domain: `${'a'.repeat(64)}.example`, want: { kind: 'trouble', reason: 'EBADNAME' } },
  ]
  test.each(cases)('MX of $domain: $want.kind', async ({ domain, want }) => {
    expect(await names.exchangers(domain)).toMatchObject(want)
  })

  const oddNames = ['intranet', 'ai', 'AI.', 'foo-.example', '-foo.example', 'under_score.example']
  test.each(oddNames)(
    '%s is asked for as it stands, and no search list is used',
    async (domain) => {
      const own = new DnsNameService({ ...settings, servers: [internet.nameServer] })
      const before = internet.dns.questions.length
      expect(await own.exchangers(domain)).toEqual({ kind: 'no-name' })
      const name = domain.toLowerCase().replace(/\.$/, '')
      expect(internet.dns.questions.slice(before)).toEqual([`MX ${name}`])
    },
  )

  // Node 20 refuses to ask for it, Node 24 asks.
  test('an A-label that is none is asked for, or is trouble; we do not judge it', async () => {
    const before = internet.dns.questions.length
    const answer = await names.exchangers('xn--a.idn.example')
    const isAsked = internet.dns.questions.length > before
    expect(answer).toEqual(isAsked ? { kind: 'no-name' } : { kind: 'trouble', reason: 'EBADNAME' })
  })

  test('a top-level domain with an MX', async () => {
    expect(await names.exchangers('tld')).toMatchObject({
      kind: 'found',
      records: [{ exchange: 'mx.example' }],
    })
  })

  test('exchangers come in order of preference, and only host names', async () => {
    expect(await names.exchangers('order.example')).toEqual({
      kind: 'found',
      records: [
        { preference: 10, exchange: 'a.example.org' },
        { preference: 20, exchange: 'b.example.org' },
      ],
    })
  })

  test('a thousand records, over TCP: the first are looked at', async () => {
    internet.dns.overrides.set('MX thousand.example', () =>
      Array.from({ length: 1000 }, (_, index) => ({
        type: 'MX',
        name: 'thousand.example',
        ttl: 60,
        data: { preference: index, exchange: `mx${index}.thousand.example` },
      })),
    )
    const answer = await names.exchangers('thousand.example')
    expect(answer.kind === 'found' ? answer.records.length : 0).toBe(dnsRecordsMax)
  })

  test('64 KB of TXT, over TCP: the first records are looked at', async () => {
    const name = 'huge.example'
    const text = 'x'.repeat(255)
    internet.dns.overrides.set(`TXT ${name}`, () =>
      Array.from({ length: 225 }, (_, index) => {
        const data = [`${index}`, text]
        return { type: 'TXT', name, ttl: 60, data }
      }),
    )
    const answer = await names.texts(name)
    const records = answer.kind === 'found' ? answer.records : []
    expect(records).toEqual(Array.from({ length: dnsRecordsMax }, (_, index) => `${index}${text}`))
  })

  test('both families of an address, and wildcards', async () => {
    expect(await names.addresses('two.example')).toEqual({
      kind: 'found',
      records: ['127.0.0.2', '::2'],
    })
    expect(await names.addresses('any.wild.example')).toMatchObject({ kind: 'found' })
  })

  const pointers = [
    { label: 'a good name beside a bad one', address: '127.0.9.1', want: ['good.example.org'] },
    { label: 'an address as name', address: '127.0.9.2', want: 'trouble' },
    { label: 'server failure', address: '127.0.9.3', want: 'trouble' },
    { label: 'a newline in the name', address: '127.0.9.4', want: 'trouble' },
    { label: 'blanks and brackets', address: '127.0.9.5', want: 'trouble' },
    { label: 'no name', address: '127.0.9.9', want: 'no-name' },
  ]
  test.each(pointers)('PTR: $label', async ({ address, want }) => {
    const answer = await names.names(address)
    expect(answer.kind === 'found' ? answer.records : answer.kind).toEqual(want)
  })

  test('PTR of 255 octets is whole or none', async () => {
    const answer = await names.names('127.0.9.6')
    const name = answer.kind === 'found' ? answer.records[0] : undefined
    expect([undefined, 249]).toContain(name?.length)
  })
})

describe('answers kept', () => {
  test('an answer is asked for once, and so is trouble', async () => {
    const asked = (key: string) => internet.dns.questions.filter((each) => each === key).length
    const own = new DnsNameService({ ...settings, servers: [internet.nameServer] })
    const before = [asked('MX null.example'), asked('MX servfail.example')]
    await Promise.all([own.exchangers('null.example'), own.exchangers('NULL.example.')])
    await own.exchangers('null.example')
    await own.exchangers('servfail.example')
    await own.exchangers('servfail.example')
    expect(asked('MX null.example') - (before[0] ?? 0)).toBe(1)
    expect(asked('MX servfail.example') - (before[1] ?? 0)).toBe(1)
  })

  test('a name whose address changes with every answer is asked again (TTL 0)', async () => {
    const answers = ['127.0.5.5', '127.0.0.1']
    internet.dns.overrides.set('A rebind.example', () => [
      { type: 'A', name: 'rebind.example', ttl: 0, data: answers.shift() ?? '127.0.0.1' },
    ])
    const first = await names.addresses('rebind.example')
    const second = await names.addresses('rebind.example')
    expect([first, second].map((each) => (each.kind === 'found' ? each.records[0] : ''))).toEqual([
      '127.0.5.5',
      '127.0.0.1',
    ])
  })
})

describe('answers kept until', () => {
  const kept = { ttlMs: 30_000, ttlMaxMs: 120_000, negativeTtlMs: 7000 }
  const address = (name: string, ttl: number, data: string): Answer => ({
    type: 'A',
    name,
    ttl,
    data,
  })
  const answers: Record<string, readonly Answer[]> = {
    'A five.kept.example': [address('five.kept.example', 5, '127.0.0.9')],
    'A long.kept.example': [address('long.kept.example', 3600, '127.0.0.9')],
    'A mixed.kept.example': [
      address('mixed.kept.example', 50, '127.0.0.8'),
      address('mixed.kept.example', 20, '127.0.0.9'),
    ],
    'AAAA six.kept.example': [{ type: 'AAAA', name: 'six.kept.example', ttl: 6, data: '2600::1' }],
    'A none.kept.example': [],
    'MX mail.kept.example': [
      {
        type: 'MX',
        name: 'mail.kept.example',
        ttl: 5,
        data: { preference: 1, exchange: 'a.example' },
      },
    ],
    'MX none.kept.example': [],
    'TXT text.kept.example': [
      { type: 'TXT', name: 'text.kept.example', ttl: 5, data: 'v=spf1 -all' },
    ],
  }

  interface KeptCase {
    readonly key: string
    readonly keptMs: number
    readonly settings?: Partial<DnsSettings>
    readonly ask: (own: DnsNameService) => Promise<unknown>
  }
  const cases: KeptCase[] = [
    { key: 'A five.kept.example', keptMs: 5000, ask: (own) => own.addresses('five.kept.example') },
    {
      key: 'A mixed.kept.example',
      keptMs: 20_000,
      ask: (own) => own.addresses('mixed.kept.example'),
    },
    {
      key: 'A long.kept.example',
      keptMs: 120_000,
      ask: (own) => own.addresses('long.kept.example'),
    },
    { key: 'A none.kept.example', keptMs: 7000, ask: (own) => own.addresses('none.kept.example') },
    { key: 'AAAA six.kept.example', keptMs: 6000, ask: (own) => own.addresses('six.kept.example') },
    {
      key: 'MX mail.kept.example',
      keptMs: 30_000,
      ask: (own) => own.exchangers('mail.kept.example'),
    },
    {
      key: 'MX mail.kept.example',
      keptMs: 10_000,
      settings: { ttlMaxMs: 10_000 },
      ask: (own) => own.exchangers('mail.kept.example'),
    },
    {
      key: 'MX none.kept.example',
      keptMs: 7000,
      ask: (own) => own.exchangers('none.kept.example'),
    },
    { key: 'MX gone.example', keptMs: 7000, ask: (own) => own.exchangers('gone.example') },
    { key: 'TXT text.kept.example', keptMs: 30_000, ask: (own) => own.texts('text.kept.example') },
    { key: 'PTR 1.9.0.127.in-addr.arpa', keptMs: 30_000, ask: (own) => own.names('127.0.9.1') },
    { key: 'PTR 9.9.0.127.in-addr.arpa', keptMs: 7000, ask: (own) => own.names('127.0.9.9') },
    { key: 'MX servfail.example', keptMs: 7000, ask: (own) => own.exchangers('servfail.example') },
    {
      key: 'MX servfail.example',
      keptMs: 60_000,
      settings: { negativeTtlMs: 120_000 },
      ask: (own) => own.exchangers('servfail.example'),
    },
    {
      key: 'MX servfail.example',
      keptMs: 0,
      settings: { negativeTtlMs: 0 },
      ask: (own) => own.exchangers('servfail.example'),
    },
    { key: 'PTR 3.9.0.127.in-addr.arpa', keptMs: 7000, ask: (own) => own.names('127.0.9.3') },
  ]
  test.each(cases)('$key: $keptMs ms', async ({ key, keptMs, settings: other, ask }) => {
    for (const [asked, records] of Object.entries(answers)) {
      internet.dns.overrides.set(asked, () => records)
    }
    let nowMs = 1_000_000
    const own = new DnsNameService(
      { ...settings, ...kept, ...other, servers: [internet.nameServer] },
      () => nowMs,
    )
    const count = () => internet.dns.questions.filter((each) => each === key).length
    const before = count()
    const first = await ask(own)
    expect(count() - before).toBe(1)
    if (keptMs > 0) {
      nowMs += keptMs - 1
      expect(await ask(own)).toEqual(first)
      expect(count() - before).toBe(1)
      nowMs += 1
    }
    expect(await ask(own)).toEqual(first)
    expect(count() - before).toBe(2)
  })

  test('the wall clock is set: an answer is kept for its time, no less and no more', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const own = new DnsNameService({ ...settings, servers: [internet.nameServer] })
    const count = () => internet.dns.questions.filter((each) => each === 'MX null.example').length
    const before = count()
    await own.exchangers('null.example')
    vi.setSystemTime(Date.now() + 86_400_000)
    await own.exchangers('null.example')
    expect(count() - before).toBe(1)
    vi.setSystemTime(Date.now() - 2 * 86_400_000)
    vi.advanceTimersByTime(86_400_000)
    await own.exchangers('null.example')
    expect(count() - before).toBe(2)
  })

  test('a full memory forgets the oldest answer', async () => {
    const own = new DnsNameService({
      ...settings,
      entriesMax: 2,
      servers: [internet.nameServer],
    })
    const count = () => internet.dns.questions.filter((each) => each === 'MX null.example').length
    const before = count()
    for (const domain of ['null.example', 'empty.example', 'null.example', 'gone.example']) {
      await own.exchangers(domain)
    }
    expect(count() - before).toBe(1)
    await own.exchangers('null.example')
    expect(count() - before).toBe(2)
  })
})
