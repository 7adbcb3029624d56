import { describe, expect, test } from 'vitest'
import { prefixText } from '../../src/base/prefix-columns.ts'
import { type ParsedList, type ParseOptions, parseList } from '../../src/lists/parse-list.ts'

const defaults: ParseOptions = {
  list: 'l',
  file: 'l.txt',
  format: 'auto',
  sense: 'refuse',
  mayHoldNames: false,
  badLinesMax: 0.01,
}

function parse(text: string | Uint8Array, options: Partial<ParseOptions> = {}): ParsedList {
  const octets = typeof text === 'string' ? new TextEncoder().encode(text) : text
  return parseList(octets, { ...defaults, ...options })
}

/** Every entry as text, exclusions with `!`: IPv4 first, each in order of the file. */
function entriesOf({ columns }: ParsedList): readonly string[] {
  const texts = (family: 4 | 6) => {
    const entries = family === 4 ? columns.v4 : columns.v6
    return Array.from({ length: entries.count }, (_, at) => {
      const mark = entries.excluded[at] === 1 ? '!' : ''
      return mark + prefixText(family, entries, at)
    })
  }
  return [...texts(4), ...texts(6)]
}

const formats: readonly { label: string; text: string; format: string; want: string[] }[] = [
  {
    label: 'netset: comments, prefixes, addresses, exclusions',
    text: '# head\n\n192.0.2.0/24\n192.0.2.7 # host\n!192.0.2.8\n  203.0.113.0/25\t# note\n',
    format: 'plain',
    want: ['192.0.2.0/24', '192.0.2.7/32', '!192.0.2.8/32', '203.0.113.0/25'],
  },
  {
    label: 'ipset save: add lines, nomatch excludes',
    text: 'create bad hash:net family inet\nadd bad 192.0.2.0/24 timeout 5\nadd bad 192.0.2.4/30 nomatch\n',
    format: 'plain',
    want: ['192.0.2.0/24', '!192.0.2.4/30'],
  },
  {
    label: 'Spamhaus DROP text',
    text: '; Spamhaus DROP List\n192.0.2.0/24 ; SBL1\n198.51.100.0/22 ; SBL2\n',
    format: 'drop',
    want: ['192.0.2.0/24', '198.51.100.0/22'],
  },
  {
    label: 'Spamhaus DROP JSON lines, IPv6 too',
    text: '{"cidr":"192.0.2.0/24","sblid":"SBL1","rir":"x"}\n{"cidr":"2001:db8::/32"}\n{"type":"metadata","records":2}\n',
    format: 'drop',
    want: ['192.0.2.0/24', '2001:db8::/32'],
  },
  {
    label: 'rbldnsd ip4set: every spelling of its manual page',
    text: `$SOA 3600 ns.example. root.example. 0 1h 1h 1w 1h
:127.0.0.2:Listed, see http://example.net/?$
127.0.0.0/24
127.0.1
127/24
127-127.0.0
127.0.3.0-127.0.3.255
127.0.4.1-255
127.16-31
127.48/12 ; loopback
!127.0.0.9 :5:not this one
127.0.5.1 Text of its own`,
    format: 'rbldnsd',
    want: [
      ...['127.0.0.0/24', '127.0.1.0/24', '127.0.0.0/24', '127.0.0.0/24', '127.0.3.0/24'],
      ...['127.0.4.1/32', '127.0.4.2/31', '127.0.4.4/30', '127.0.4.8/29', '127.0.4.16/28'],
      ...['127.0.4.32/27', '127.0.4.64/26', '127.0.4.128/25', '127.16.0.0/12', '127.48.0.0/12'],
      ...['!127.0.0.9/32', '127.0.5.1/32'],
    ],
  },
  {
    label: 'rbldnsd ip6trie and ip6tset: words left out',
    text: `:127.0.1.2: Listed
2001:21ab:c000/36
2001:21ab:def7:4242 :127.0.1.3: This one smells funny
2605:6001:42::/52
::1 # localhost
!2605:6001:42::bead`,
    format: 'rbldnsd',
    want: [
      ...['2001:21ab:c000::/36', '2001:21ab:def7:4242::/64', '2605:6001:42::/52', '::1/128'],
      '!2605:6001:42::bead/128',
    ],
  },
  {
    label: 'Postfix cidr: refusing actions list, permitting ones exclude',
    text: '192.0.2.7 permit\n192.0.2.0/24 REJECT no thanks\n  and more text 1.2.3.4\n[2001:db8::]/32 554 5.7.1 go\n198.51.100.1 OK\n',
    format: 'postfix-cidr',
    want: ['!192.0.2.7/32', '192.0.2.0/24', '!198.51.100.1/32', '2001:db8::/32'],
  },
  {
    label: 'spamd: tag;"message";addresses',
    text: 'nixspam;"Your address %A; \\"spam\\"";192.0.2.0/24;198.51.100.7\nsix;"m";inet6;1;2001:db8::/32\n',
    format: 'spamd',
    want: ['192.0.2.0/24', '198.51.100.7/32', '2001:db8::/32'],
  },
  {
    label: 'plain: ranges become the fewest prefixes',
    text: '192.0.2.1 - 192.0.2.10\n10.0.0.255-10.0.1.0\n0.0.0.0-255.255.255.255\n2001:db8::1-2001:db8::4\n!10.0.0.5-10.0.0.5\n',
    format: 'plain',
    want: [
      ...['192.0.2.1/32', '192.0.2.2/31', '192.0.2.4/30', '192.0.2.8/31', '192.0.2.10/32'],
      ...['10.0.0.255/32', '10.0.1.0/32', '0.0.0.0/0', '!10.0.0.5/32'],
      ...['2001:db8::1/128', '2001:db8::2/127', '2001:db8::4/128'],
    ],
  },
]

describe('each format is detected and read', () => {
  test.each(formats)('$label', ({ text, format, want }) => {
    const parsed = parse(text)
    expect(parsed.badLines).toEqual([])
    expect({ format: parsed.format, entries: entriesOf(parsed) }).toEqual({ format, entries: want })
    expect(parsed.refusal).toBe('')
  })

  test.each(formats)(
    '$label: the same with CRLF, with bare CR, and behind a byte-order mark',
    (one) => {
      for (const newline of ['\r\n', '\r']) {
        const text = `\ufeff${one.text.replaceAll('\n', newline)}`
        expect(entriesOf(parse(text))).toEqual(one.want)
      }
    },
  )
})

const badLines: readonly { text: string; reason: string; format?: ParseOptions['format'] }[] = [
  { text: '1.2.3.4/33', reason: 'prefix length too large' },
  { text: '1.2.3.4/+8', reason: 'prefix length not a number' },
  { text: '1.2.3.4/08', reason: 'prefix length not a number' },
  { text: '1.2.3.4/ 8', reason: 'prefix length missing' },
  { text: '1.2.3.4 8', reason: 'text behind the prefix' },
  { text: '1.2.3.4/', reason: 'prefix length missing' },
  { text: '/8', reason: 'not an address' },
  { text: '1.2.3', reason: 'not four octets' },
  { text: '1.2.3.4.5', reason: 'not four octets' },
  { text: '1.2.3.256', reason: 'octet above 255' },
  { text: '0177.0.0.1', reason: 'octet with a leading zero' },
  { text: '08.0.0.1', reason: 'octet with a leading zero' },
  { text: '1.2.3.4/255.0.255.0', reason: 'netmask not contiguous' },
  { text: '1.2.3.4/0.0.0.255', reason: 'netmask not contiguous' },
  { text: '1.2.3.*', reason: 'not an address' },
  { text: '1.2.3.4:25', reason: 'not an address' },
  { text: '3232235777', reason: 'not an address' },
  { text: '0x7f000001', reason: 'not an address' },
  { text: 'localhost', reason: 'not an address' },
  { text: '[2001:db8::1]', reason: 'not an address' },
  { text: '2001:db8:::1', reason: 'not an address' },
  { text: '1::2::3', reason: 'not an address' },
  { text: '1:2:3:4:5:6:7', reason: 'not an address' },
  { text: '1:2:3:4:5:6:7:8:9', reason: 'not an address' },
  { text: '1:2:3:4:5:6:7:8::', reason: 'not an address' },
  { text: '12345::1', reason: 'not an address' },
  { text: 'fe80::1%eth0', reason: 'zone id' },
  { text: '2001:db8::/129', reason: 'prefix length too large' },
  { text: '::ffff:1.2.3.0/95', reason: 'prefix length not a number' },
  { text: '1.2.3.9-1.2.3.4', reason: 'range that ends before it begins' },
  { text: '1.2.3.4-::1', reason: 'range from one address family to the other' },
  { text: '1.2.3.0/24-1.2.4.0', reason: 'range between prefixes' },
  { text: '1.2.3.4-', reason: 'not an address' },
  { text: '1.2\0.3.4', reason: 'NUL octet in the line' },
  { text: '1.2.3.4.example.net', reason: 'not four octets' },
  { text: '{"sblid":"SBL1"}', reason: 'an object without "cidr"' },
  { text: '!1.2.3.0/24 REJECT', reason: 'negated pattern: not supported', format: 'postfix-cidr' },
  { text: '1.2.3.0/24', reason: 'no action behind the pattern', format: 'postfix-cidr' },
  { text: '1.2.3.0/24 frob', reason: 'unknown action', format: 'postfix-cidr' },
  { text: 'tag;"m";1.2.3.400', reason: 'field 1: octet above 255', format: 'spamd' },
  { text: 'tag;"m', reason: 'not tag;"message";address', format: 'spamd' },
  { text: '1.2.3.4-300', reason: 'octet above 255', format: 'rbldnsd' },
]

describe('a bad line is reported with file, line, text and reason, and skipped (B6)', () => {
  test.each(badLines)('$text: $reason', ({ text, reason, format = 'auto' }) => {
    const good =
      format === 'postfix-cidr'
        ? '9.9.9.9 REJECT'
        : format === 'spamd'
          ? 't;"m";9.9.9.9'
          : '9.9.9.9'
    const parsed = parse(`${good}\n${text}\n`, { format })
    const shown = text.replaceAll('\0', '\\x00')
    expect(parsed.badLines).toEqual([{ file: 'l.txt', line: 2, text: shown, reason }])
    expect(entriesOf(parsed)).toEqual(['9.9.9.9/32'])
    expect(parsed.refusal).toBe('')
  })
})

test('conditions of a cidr: table are skipped with all that they hold', () => {
  const text = '1.1.1.1 REJECT\nif 2.0.0.0/8\n2.2.2.2 REJECT\nendif\n3.3.3.3 REJECT\n'
  const parsed = parse(text, { badLinesMax: 1 })
  expect(entriesOf(parsed)).toEqual(['1.1.1.1/32', '3.3.3.3/32'])
  expect(parsed.badLines.map((bad) => bad.line)).toEqual([2, 3, 4])
})

test('the sense of a list turns the actions of a cidr: table round', () => {
  const text = '192.0.2.7 permit\n192.0.2.0/24 REJECT\n'
  expect(entriesOf(parse(text, { sense: 'permit' }))).toEqual(['192.0.2.7/32', '!192.0.2.0/24'])
  expect(entriesOf(parse(text, { sense: 'any' }))).toEqual(['192.0.2.7/32', '192.0.2.0/24'])
})

test('host bits are cleared and remarked upon', () => {
  const parsed = parse('1.2.3.4/24\n2001:db8::1/32\n')
  expect(entriesOf(parsed)).toEqual(['1.2.3.0/24', '2001:db8::/32'])
  expect(parsed.remarks.map(({ line, reason }) => ({ line, reason }))).toEqual([
    { line: 1, reason: 'host bits set: taken as its network' },
    { line: 2, reason: 'host bits set: taken as its network' },
  ])
  expect(parsed.badLineCount).toBe(0)
})

test('a contiguous netmask is a length, an IPv4-mapped prefix is IPv4', () => {
  const text = '1.2.3.0/255.255.255.0\n1.2.3.4/0.0.0.0\n::ffff:1.2.3.0/120\n::ffff:9.9.9.9\n'
  expect(entriesOf(parse(text))).toEqual(['1.2.3.0/24', '0.0.0.0/0', '1.2.3.0/24', '9.9.9.9/32'])
})

test('a list of trusted hosts may hold names in three forms', () => {
  const text = '192.0.2.0/24\nMail.Example.NET.\n*.example.org\n.example.com # both\n'
  const parsed = parse(text, { mayHoldNames: true })
  expect(parsed.names.map(({ name, line }) => `${line} ${name}`)).toEqual([
    '2 mail.example.net',
    '3 *.example.org',
    '4 .example.com',
  ])
  expect(parsed.badLines).toEqual([])
})

test.each([
  '1.2.3',
  '1.2.3.4.5',
  'localhost',
  'a b.example',
  '-x.example',
  'x..example',
  '*.*.example',
])('a list of trusted hosts does not take %s for a name', (text) => {
  const parsed = parse(`9.9.9.9\n${text}\n`, { mayHoldNames: true })
  expect(parsed.badLineCount).toBe(1)
  expect(parsed.names).toEqual([])
})

describe('a file with too many bad lines is refused', () => {
  const lines = (good: number, bad: number) => '9.9.9.9\n'.repeat(good) + 'x\n'.repeat(bad)
  test.each([
    { good: 198, bad: 2, refused: false },
    { good: 197, bad: 3, refused: true },
    { good: 1, bad: 1, refused: false },
    { good: 0, bad: 1, refused: true },
    { good: 18, bad: 2, refused: true },
    { good: 1000, bad: 0, refused: false },
    { good: 0, bad: 0, refused: false },
  ])(
    '$bad bad lines beside $good good ones, 1 % allowed: refused $refused',
    ({ good, bad, refused }) => {
      expect(parse(lines(good, bad)).refusal !== '').toBe(refused)
    },
  )

  test('the share is a setting', () => {
    expect(parse(lines(80, 20), { badLinesMax: 0.2 }).refusal).toBe('')
    expect(parse(lines(80, 20), { badLinesMax: 0.19 }).refusal).toContain('20 of 100 lines')
    expect(parse(lines(1, 1)).refusal).toBe('')
    expect(parse(lines(999, 1), { badLinesMax: 0 }).refusal).toContain('1 of 1000 lines')
  })

  test('the refusal names the first bad line and the remedy', () => {
    expect(parse('<html>\n<body>503</body>\n').refusal).toBe(
      '2 of 2 lines cannot be read (100.0 %), first line 1: not an address: "<html>"; ' +
        'check the format, or raise lists.bad_lines_max',
    )
  })
})

test('UTF-16 and packed octets are refused as a whole', () => {
  expect(parse(Uint8Array.of(0xff, 0xfe, 0x31, 0)).refusal).toContain('UTF-16')
  expect(parse(Uint8Array.of(0x1f, 0x8b, 8, 0)).refusal).toContain('gzip')
})

test('a long bad line is cut and its octets escaped', () => {
  const [bad] = parse(`9.9.9.9\n\x1b[31m\\é${'A'.repeat(1_000_000)}\n`).badLines
  expect(bad?.text.startsWith('\\x1b[31m\\x5c\\xc3\\xa9AAA')).toBe(true)
  expect(bad?.text.length).toBeLessThan(100)
})

test('bad lines are counted all and kept up to a maximum', () => {
  const parsed = parse('x\n'.repeat(5000))
  expect(parsed.badLineCount).toBe(5000)
  expect(parsed.badLines).toHaveLength(100)
})

test('$TIMESTAMP of rbldnsd gives the file an end', () => {
  const expires = (line: string) => parse(`${line}\n:2:x\n9.9.9.9\n`).expiresMs
  expect(expires('$TIMESTAMP 2026:11:21:12:00:00 +2h')).toBe(Date.UTC(2026, 10, 21, 14))
  expect(expires('$TIMESTAMP 0 2026-11-22')).toBe(Date.UTC(2026, 10, 22))
  expect(expires('$TTL 300')).toBe(Number.POSITIVE_INFINITY)
})

test.each([
  ...[
    '1.2.3.4',
    '0.0.0.0',
    '255.255.255.255',
    '10.0.0.0/8',
    '1.2.3.4/32',
    '0.0.0.0/0',
    '9.8.7.0/24',
  ],
  ...[
    '1.2.3.4/0',
    '01.2.3.4',
    '1.2.3.4/033',
    '1.2.3.4/33',
    '1.2.3.256',
    '1.2.3.1000',
    '1.2.3',
    '1.2.3.4 ',
  ],
  ...[
    '1.2.3.4/',
    '1.2.3.4/8x',
    '1.2.3.4x',
    '1..3.4',
    '.1.2.3',
    '1.2.3.4.',
    '00.1.2.3',
    '1.2.3.4/00',
  ],
])('the pass over common lines answers %j as the grammar does', (text) => {
  const [quick, slow] = [`${text}\n`, ` ${text}\n`].map((line) => parse(`9.9.9.9\n${line}`))
  expect(quick === undefined ? [] : entriesOf(quick)).toEqual(
    slow === undefined ? [] : entriesOf(slow),
  )
  expect(quick?.badLines.map((bad) => bad.reason)).toEqual(slow?.badLines.map((bad) => bad.reason))
  expect(quick?.remarkCount).toBe(slow?.remarkCount)
  expect(quick?.refusal).toBe(slow?.refusal)
})

test('lines are numbered as an editor numbers them, blank and comment lines too', () => {
  const parsed = parse('\r\n# c\r\n9.9.9.9\r\n\r\n8.8.8.8')
  expect([...parsed.columns.v4.lines]).toEqual([3, 5])
})
