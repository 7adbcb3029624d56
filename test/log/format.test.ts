import { describe, expect, test } from 'vitest'
import { logLineCharactersMax } from '../../src/base/limits.ts'
import { fieldsOf } from '../../src/log/fields.ts'
import { type LineSettings, type LogFormat, lineOf } from '../../src/log/format.ts'
import type { LogRecord } from '../../src/log/records.ts'
import { adversarialCases } from '../support/adversarial.ts'
import { describeWith, needsSharedData } from '../support/needs.ts'
import { someTime, verdictRecord } from './records.ts'

function line(record: LogRecord, format: LogFormat, changes: Partial<LineSettings> = {}): string {
  return lineOf(record, { format, host: 'mx1', tag: 'activemx', isSyslog: true, ...changes })
}

function verdict(changes: Parameters<typeof verdictRecord>[0] = {}): LogRecord {
  return { ...verdictRecord(changes), event: 'verdict' }
}

describe('json', () => {
  test('has every key of the interface, in its order, also the empty ones', () => {
    expect(line(verdict(), 'json')).toBe(
      '{"time":"2026-11-21T23:00:10.042Z","event":"verdict","id":"4bQx1-7","client":"192.0.2.7",' +
        '"port":40123,"helo":"mail.remote.example","sender":"a@remote.example",' +
        '"recipients":["b@example.net"],"recipients_refused":[],"layer":"user",' +
        '"finding":"no-such-user","action":"refuse",' +
        '"reply":"550 5.1.8 Sender does not exist, id=4bQx1-7",' +
        '"evidence":["mx.remote.example said 550 5.1.1"],"mailhost_reply":"","octets":0,' +
        '"ms":1234,"tls":"","protocol":"ESMTP"}',
    )
  })

  test('a long record stays a whole line below the bound', () => {
    const recipients = Array.from({ length: 1000 }, (_, n) => `${'r'.repeat(200)}${n}@example.net`)
    const text = line(verdict({ recipients, evidence: recipients }), 'json')
    expect(text.length).toBeLessThanOrEqual(logLineCharactersMax)
    const parsed = JSON.parse(text) as { recipients: string[] }
    expect(parsed.recipients.at(-1)).toBe('+992')
  })
})

describe('logfmt', () => {
  test('bare words bare, the rest in quotes', () => {
    const text = line(verdict({ helo: 'a "b"\\\x1b' }), 'logfmt')
    expect(text).toMatch(
      /^time=2026-11-21T23:00:10\.042Z event=verdict id=4bQx1-7 client=192\.0\.2\.7/,
    )
    expect(text).toContain(String.raw` helo="a \"b\"\\\x1b" sender=a@remote.example `)
    expect(text).toContain(' recipients_refused="" ')
  })
})

describe('postfix', () => {
  const cases: readonly { label: string; record: LogRecord; want: string }[] = [
    {
      label: 'refused sender',
      record: verdict(),
      want: 'NOQUEUE: reject: RCPT from [192.0.2.7]:40123: 550 5.1.8 Sender does not exist, id=4bQx1-7; from=<a@remote.example> to=<b@example.net> proto=ESMTP helo=<mail.remote.example>',
    },
    {
      label: 'refused at connect: nothing is known yet',
      record: verdict({
        layer: 'connect',
        helo: '',
        sender: '',
        recipients: [],
        protocol: 'SMTP',
        reply: '554 5.7.1 Refused',
      }),
      want: 'NOQUEUE: reject: CONNECT from [192.0.2.7]:40123: 554 5.7.1 Refused; from=<> to=<> proto=SMTP helo=<>',
    },
    {
      label: 'two recipients',
      record: verdict({ recipients: ['b@example.net', 'c@example.net'], client: '2001:db8::7' }),
      want: 'NOQUEUE: reject: RCPT from [2001:db8::7]:40123: 550 5.1.8 Sender does not exist, id=4bQx1-7; from=<a@remote.example> to=<b@example.net> (+1) proto=ESMTP helo=<mail.remote.example>',
    },
    {
      label: 'observed only',
      record: verdict({ action: 'observe', reply: '250 2.0.0 Ok' }),
      want: 'NOQUEUE: warn: RCPT from [192.0.2.7]:40123: no-such-user, mx.remote.example said 550 5.1.1; from=<a@remote.example> to=<b@example.net> proto=ESMTP helo=<mail.remote.example>',
    },
    {
      label: 'passed',
      record: verdict({
        layer: 'transfer',
        finding: '',
        action: 'pass',
        reply: '250 2.0.0 Ok',
        octets: 1000,
      }),
      want: '4bQx1-7: pass: END-OF-MESSAGE from [192.0.2.7]:40123: 250 2.0.0 Ok; from=<a@remote.example> to=<b@example.net> proto=ESMTP helo=<mail.remote.example>, size=1000, delay=1.23',
    },
    {
      label: 'reset without a word',
      record: verdict({
        layer: 'connect',
        action: 'reset',
        reply: '',
        finding: 'listed',
        evidence: ['drop'],
      }),
      want: 'NOQUEUE: reject: CONNECT from [192.0.2.7]:40123: reset listed, drop; from=<a@remote.example> to=<b@example.net> proto=ESMTP helo=<mail.remote.example>',
    },
  ]
  test.each(cases)('$label', ({ record, want }) => {
    expect(line(record, 'postfix')).toBe(want)
  })

  test('in a file, time, host and tag stand before it', () => {
    const text = line(verdict(), 'postfix', { isSyslog: false, tag: 'postfix/smtpd' })
    expect(text).toMatch(
      /^[A-Z][a-z]{2} [ 1-3]\d \d\d:\d\d:\d\d mx1 postfix\/smtpd\[\d+\]: NOQUEUE: /,
    )
  })

  test('a reader of Postfix’s log finds client, reply, sender, recipient and HELO', () => {
    // As fail2ban, pflogsumm and the grok patterns read a refusal.
    const reader =
      /NOQUEUE: reject: (?<stage>[A-Z-]+) from [^[]*\[(?<client>[^\]]+)\](?::\d+)?: (?<code>\d{3}) (?:(?<enhanced>\d\.\d\.\d) )?(?<text>.*?); from=<(?<from>[^>]*)> to=<(?<to>[^>]*)>.* proto=(?<proto>E?SMTP) helo=<(?<helo>[^>]*)>/
    const hostile = 'x> to=<forged@example.net> proto=SMTP helo=<y'
    const found = reader.exec(line(verdict({ helo: hostile, sender: hostile }), 'postfix'))
    expect({ ...found?.groups }).toEqual({
      stage: 'RCPT',
      client: '192.0.2.7',
      code: '550',
      enhanced: '5.1.8',
      text: 'Sender does not exist, id=4bQx1-7',
      from: 'x? to=?forged@example.net? proto=SMTP helo=?y',
      to: 'b@example.net',
      proto: 'ESMTP',
      helo: 'x? to=?forged@example.net? proto=SMTP helo=?y',
    })
  })
})

const others: readonly Exclude<LogRecord, { event: 'verdict' }>[] = [
  { event: 'connect', time: someTime, client: '::1', port: 1, local: '[::1]:25', isTrusted: true },
  { event: 'pregreet', time: someTime, client: '::1', port: 1, octets: 10, action: 'refuse' },
  {
    event: 'probe',
    time: someTime,
    client: '192.0.2.7',
    test: 'user',
    key: 'a@b.example',
    target: 'mx.b.example',
    outcome: 'positive',
    finding: 'no-such-user',
    ms: 12,
    evidence: ['550 5.1.1 unknown'],
  },
  {
    event: 'finding',
    time: someTime,
    client: '192.0.2.7',
    layer: 'headers',
    finding: 'double-from',
    outcome: 'positive',
    evidence: [],
  },
  {
    event: 'transfer',
    time: someTime,
    id: 'a',
    client: '192.0.2.7',
    mailhost: '10.0.0.5:25',
    reply: '250 ok',
    octets: 9,
    ms: 5,
  },
  {
    event: 'disconnect',
    time: someTime,
    client: '192.0.2.7',
    port: 1,
    reason: 'ended',
    transactions: 1,
    octets: 99,
    ms: 5,
  },
  { event: 'reload', time: someTime, ok: false, changes: [], faults: ['x'], restart: [] },
  {
    event: 'feed',
    time: someTime,
    list: 'drop',
    result: 'refused',
    prefixes: 1,
    setAside: 2,
    detail: ['covers 0.3'],
  },
  { event: 'store', time: someTime, what: 'rebuilt', detail: 'cut file' },
  { event: 'log_dropped', time: someTime, count: 7 },
  { event: 'service', time: someTime, what: 'start', detail: 'x' },
  {
    event: 'dialogue',
    time: someTime,
    client: '::1',
    port: 1,
    stage: 'hello',
    from: 'client',
    to: 'proxy',
    text: 'EHLO x',
  },
]

test('every event has a line in every format, and every field of it its value', () => {
  expect(others.map(({ event }) => event)).toEqual(
    Object.keys(fieldsOf).filter((event) => event !== 'verdict'),
  )
  for (const record of others) {
    const json = JSON.parse(line(record, 'json')) as Record<string, unknown>
    const values = record as unknown as Record<string, unknown>
    for (const { key, name } of fieldsOf[record.event]) expect(json[key]).toEqual(values[name])
    expect(line(record, 'logfmt')).toMatch(new RegExp(`^time=\\S+ event=${record.event} `))
    expect(line(record, 'postfix')).toMatch(new RegExp(`^(?:a: )?${record.event.toUpperCase()} `))
    expect(line(record, 'postfix')).not.toContain('undefined')
  }
})

describe('lines cannot be forged', () => {
  const octets = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join('')
  const hostile = [
    octets,
    '\r\nNOQUEUE: pass',
    '"},{"event":"verdict"',
    '\u2028\u2029\u202e\ud800',
    `${'a'.repeat(100_000)}\n`,
  ]

  test.each(['json', 'logfmt', 'postfix'] as const)(
    '%s: any octets stay one printable line',
    (format) => {
      for (const text of hostile) {
        const record = verdict({
          helo: text,
          sender: text,
          recipients: [text],
          reply: text,
          evidence: [text],
          mailhostReply: text,
        })
        const written = line(record, format)
        expect(written).toMatch(/^[ -~]*$/)
        expect(written.length).toBeLessThanOrEqual(logLineCharactersMax)
        if (format === 'json') expect(Object.keys(JSON.parse(written))).toHaveLength(19)
      }
    },
  )

  test('json gives back the octets that were sent', () => {
    const text = octets.slice(0, 256)
    const parsed = JSON.parse(line(verdict({ helo: text }), 'json')) as { helo: string }
    expect(parsed.helo).toBe(text)
  })
})

describeWith([needsSharedData()], 'cases of injection', () => {
  test.each(adversarialCases('injection'))('$name: one escaped line each', ({ input }) => {
    const text = Buffer.from(input).toString('latin1')
    for (const format of ['json', 'logfmt', 'postfix'] as const) {
      expect(line(verdict({ helo: text, sender: text }), format)).toMatch(/^[ -~]*$/)
    }
  })
})
