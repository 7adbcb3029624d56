import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Reply } from '../../src/smtp/reply.ts'
import { ReplyMemo } from '../../src/smtp/reply-memo.ts'
import { ReplyReader } from '../../src/smtp/reply-reader.ts'

function readAll(reader: ReplyReader, octets: Uint8Array): Reply[] {
  const replies: Reply[] = []
  let at = 0
  while (at < octets.length && reader.fault === undefined) {
    at = reader.read(octets, at, octets.length)
    if (reader.reply !== undefined) replies.push(reader.reply)
  }
  return replies
}

const cases = [
  {
    label: 'a single line',
    input: '250 2.1.0 Ok\r\n',
    want: [{ code: 250, enhanced: '2.1.0', lines: ['Ok'] }],
  },
  { label: 'a code alone', input: '250\r\n', want: [{ code: 250, enhanced: '', lines: [''] }] },
  {
    label: 'several lines',
    input: '250-mx\r\n250-PIPELINING\r\n250 SIZE 1000\r\n',
    want: [{ code: 250, enhanced: '', lines: ['mx', 'PIPELINING', 'SIZE 1000'] }],
  },
  {
    label: 'two replies in one chunk',
    input: '250 a\r\n354 b\r\n',
    want: [
      { code: 250, enhanced: '', lines: ['a'] },
      { code: 354, enhanced: '', lines: ['b'] },
    ],
  },
  {
    label: 'a bare LF as line end',
    input: '550-5.1.1 no\n550 5.1.1 such user\n',
    want: [{ code: 550, enhanced: '5.1.1', lines: ['no', 'such user'] }],
  },
  {
    label: 'an enhanced code of another class is text',
    input: '550 2.0.0 odd\r\n',
    want: [{ code: 550, enhanced: '', lines: ['2.0.0 odd'] }],
  },
  {
    label: 'control octets in the text are replaced',
    input: '550 a\x00b\rc\x1bd\r\n',
    want: [{ code: 550, enhanced: '', lines: ['a?b?c?d'] }],
  },
]

describe('replies of a server', () => {
  for (const { label, input, want } of cases) {
    test(`${label}, whole and octet by octet`, () => {
      const octets = Buffer.from(input, 'latin1')
      expect(readAll(new ReplyReader(), octets)).toEqual(want)
      const slow = new ReplyReader()
      const replies = [...octets].flatMap((octet) => readAll(slow, Uint8Array.of(octet)))
      expect(replies).toEqual(want)
      expect(slow.isIdle).toBe(true)
    })
  }

  test('a reply of 2,000 lines is read and its first 100 are kept', () => {
    const input = Buffer.from(`${'250-x\r\n'.repeat(1999)}250 x\r\n`)
    expect(readAll(new ReplyReader(), input).map((reply) => reply.lines.length)).toEqual([100])
  })

  for (const [fault, input] of [
    ['no-code', 'hello\r\n'],
    ['no-code', '2500 x\r\n'],
    ['no-code', '650 x\r\n'],
    ['code-changes', '250-a\r\n550 b\r\n'],
    ['line-too-long', `250 ${'x'.repeat(5000)}`],
    ['reply-too-long', `250-${'x'.repeat(1000)}\r\n`.repeat(200)],
  ] as const) {
    test(`${fault}: ${input.slice(0, 12).trim()}`, () => {
      const reader = new ReplyReader()
      readAll(reader, Buffer.from(input))
      expect(reader.fault).toBe(fault)
      expect(reader.read(Buffer.from('250 ok\r\n'), 0, 8)).toBe(8)
      expect(reader.reply).toBeUndefined()
    })
  }
})

describe('the replies that a server gives again and again', () => {
  const line = fc.oneof(
    fc.constantFrom('250 2.0.0 Ok\r\n', '250 2.1.0 Ok\r\n', '354 go\r\n', '250 2.0.0 Ok\n'),
    fc.integer({ min: 0, max: 30 }).map((id) => `250 2.0.0 queued as ${id}\r\n`),
    fc.constantFrom('250-a\r\n250 b\r\n', '550 5.1.1 no\r\n', `250 ${'x'.repeat(90)}\r\n`, '2x'),
  )

  test('are read with a memo as without one, however the octets are cut', () => {
    const property = fc.property(fc.array(line, { maxLength: 60 }), fc.nat(40), (lines, cut) => {
      const octets = Buffer.from(lines.join(''), 'latin1')
      const pieces: Uint8Array[] = []
      for (let at = 0; at < octets.length; at += cut + 1)
        pieces.push(octets.subarray(at, at + cut + 1))
      const [plain, knowing] = [new ReplyReader(), new ReplyReader(new ReplyMemo())]
      const want = pieces.flatMap((piece) => readAll(plain, piece))
      expect(pieces.flatMap((piece) => readAll(knowing, piece))).toEqual(want)
      expect([knowing.fault, knowing.isIdle]).toEqual([plain.fault, plain.isIdle])
    })
    fc.assert(property, { numRuns: 300 })
  })

  test('stay known while lines pass that never come again', () => {
    const memo = new ReplyMemo()
    const reader = new ReplyReader(memo)
    const usual = Buffer.from('250 2.1.0 Ok\r\n')
    for (let id = 0; id < 100; id++) {
      readAll(reader, usual)
      readAll(reader, Buffer.from(`250 2.0.0 queued as ${id}\r\n`))
    }
    expect(memo.find(usual, 0, usual.length)?.reply.enhanced).toBe('2.1.0')
  })
})
