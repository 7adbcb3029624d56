import { describe, expect, test } from 'vitest'
import { checkHeaderForm, headerChecks } from '../../src/checks/header-form.ts'
import { matchHeaderRules, parseHeaderRules } from '../../src/checks/header-rules.ts'
import { fieldsOf } from '../../src/smtp/header-reader.ts'
import { octetsOf } from '../../src/smtp/octets.ts'

describe('a rules file', () => {
  test('rules, comments, flags, replies', () => {
    const text = [
      '# comment',
      '',
      'Subject: /cheap\\s+watches/i refuse 554 5.6.0 No watches here',
      'X-Url: /a\\/b/ tempfail',
      '*: /x{2}/s observe',
    ].join('\n')
    const { rules, faults } = parseHeaderRules(text, 'rules.txt')
    expect(faults).toEqual([])
    expect(
      rules.map(({ header, action, reply, source }) => [header, action, reply, source]),
    ).toEqual([
      ['subject', 'refuse', '554 5.6.0 No watches here', 'rules.txt:3'],
      ['x-url', 'tempfail', '', 'rules.txt:4'],
      ['*', 'observe', '', 'rules.txt:5'],
    ])
    expect(rules[1]?.pattern.test('a/b')).toBe(true)
  })
  const faults: [string, string][] = [
    ['Subject /x/ refuse', 'not of the form'],
    ['Subject: x refuse', 'not of the form'],
    ['Subject: /x/ bounce', 'action "bounce" is none of'],
    ['Subject: /x/', 'action "" is none of'],
    ['Subject: /(x/ refuse', 'pattern is no RE2 expression'],
    ['Subject: /(?=x)/ refuse', 'pattern is no RE2 expression'],
    ['Subject: /x/g refuse', 'flag "g" is none of'],
    ['Subject: /x/ refuse 250 2.0.0 fine', 'the reply is not of the form'],
    ['Subject: /x/ refuse 450 4.7.1 later', 'must begin with 5'],
    ['Subject: /x/ observe 550 5.7.1 no', 'makes no sense'],
    [`Subject: /${'x'.repeat(1001)}/ refuse`, 'pattern longer than 1000'],
  ]
  for (const [line, want] of faults) {
    test(`is told where it is wrong: ${line.slice(0, 40)}`, () => {
      const read = parseHeaderRules(`# 1\n${line}\n`, 'rules.txt')
      expect(read.rules).toEqual([])
      expect(read.faults[0]).toMatch(/^rules\.txt:2: /)
      expect(read.faults[0]).toContain(want)
    })
  }
})

test('rules match the unfolded value of their own header, as UTF-8', () => {
  const header = 'Subject: Buy cheap\r\n watches\r\nX: caf\xc3\xa9\r\nY: cheap watches\r\n'
  const names = (rule: string): string[] => {
    const octets = octetsOf(header)
    const { rules } = parseHeaderRules(rule, 'r')
    const matches = matchHeaderRules(rules, octets, fieldsOf(octets, 0, octets.length))
    return matches.map(({ finding }) => finding.evidence.join(' '))
  }
  expect(names('Subject: /cheap watches$/ refuse')).toEqual(['rule r:1 subject: Buy cheap watches'])
  expect(names('X: /^café$/ refuse').length).toBe(1)
  expect(names('Z: /./ refuse')).toEqual([])
  expect(names('*: /cheap watches/ refuse').length).toBe(1)
})

test('a pattern that would blow up a backtracking engine is linear', () => {
  const { rules } = parseHeaderRules('Subject: /^(a+)+$/ refuse', 'r')
  const octets = octetsOf(`Subject: ${'a'.repeat(10_000)}!\r\n`)
  expect(matchHeaderRules(rules, octets, fieldsOf(octets, 0, octets.length))).toEqual([])
})

describe('built-in checks, each switchable', () => {
  const good = 'From: a\r\nDate: b\r\nMessage-ID: c\r\n'
  const cases: [string, string[]][] = [
    [good, []],
    ['From: a\r\nDate: b\r\n', ['missing-message-id']],
    [
      `${good}from: d\r\nDATE: e\r\nmessage-id: f\r\n`,
      ['double-from', 'double-date', 'double-message-id'],
    ],
    ['X: 1\r\n', ['missing-from', 'missing-date', 'missing-message-id']],
    [`${good}${'Received: x\r\n'.repeat(101)}`, ['received-loop']],
    [`${good}X: ${'a'.repeat(996)}\r\n`, ['long-line']],
    [`${good}X: ${'a'.repeat(995)}\r\n`, []],
    [`${good}X: \x07\r\n`, ['forbidden-octet']],
    [`${good}X: \xff\t\r\n`, []],
  ]
  for (const [header, want] of cases) {
    test(JSON.stringify(header).slice(0, 60), () => {
      const octets = octetsOf(header)
      const fields = fieldsOf(octets, 0, octets.length)
      const run = (checks: typeof headerChecks | []): string[] =>
        checkHeaderForm({ checks, receivedMax: 100 }, octets, 0, octets.length, fields).map(
          ({ name }) => name,
        )
      expect(run(headerChecks)).toEqual(want)
      expect(run([])).toEqual([])
    })
  }
})
