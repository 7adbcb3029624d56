/**
 * The built-in checks of the header filter, each by itself: switched on it refuses, the mailhost
 * never got DATA; with all others on and it off, the message passes. B22.
 */
import { expect, test } from 'vitest'
import { type HeaderCheck, headerChecks } from '../../src/checks/header-form.ts'
import { World, withEnvelope } from './world.ts'

const fields = {
  from: 'From: <a@client.example>\r\n',
  date: 'Date: Sat, 21 Nov 2026 23:00:00 +0000\r\n',
  id: 'Message-ID: <1@client.example>\r\n',
}
const whole = fields.from + fields.date + fields.id

const headers: Readonly<Record<HeaderCheck, string>> = {
  'missing-from': fields.date + fields.id,
  'missing-date': fields.from + fields.id,
  'missing-message-id': fields.from + fields.date,
  'double-from': whole + fields.from,
  'double-date': whole + fields.date,
  'double-message-id': whole + fields.id,
  'received-loop': whole + 'Received: from a by b; x\r\n'.repeat(4),
  'long-line': `${whole}X-Long: ${'x'.repeat(1000)}\r\n`,
  'forbidden-octet': `${whole}X-Odd: a\x07b\r\n`,
}

function policyWith(checks: readonly HeaderCheck[], rules = '') {
  return {
    headers: {
      mode: 'enforce',
      indeterminate: 'pass',
      rules,
      rulesFile: '',
      checks,
      receivedMax: 3,
    },
  } as const
}

function send(header: string, checks: readonly HeaderCheck[], options: object = {}): World {
  const world = withEnvelope(new World({ policy: policyWith(checks), ...options }))
  return world.send('DATA\r\n').send(`${header}\r\nbody\r\n.\r\n`).rest()
}

test.each(headerChecks)('%s: on, it refuses at the end of data; off, it does not', (check) => {
  const refused = send(headers[check], [check])
  expect(refused.take()).toMatch(/^354 [^\n]*\n554 5\.(6\.0|4\.6) headers: [^\n]*\n$/)
  expect(refused.calls).not.toContain('data')
  expect(refused.bodySent).toBe('')
  expect(refused.verdicts).toMatchObject([{ layer: 'headers', finding: check, action: 'refuse' }])

  const others = headerChecks.filter((other) => other !== check)
  expect(send(headers[check], others).delivered.length).toBe(1)
})

test('a header in order passes with every check on', () => {
  expect(send(whole, headerChecks).delivered.length).toBe(1)
})

test('a whitelisted sender meets the header filter all the same', () => {
  const world = send(headers['missing-from'], headerChecks, { whitelist: ['a@client.example'] })
  expect(world.delivered).toEqual([])
  expect(world.calls).not.toContain('data')
})

test.each([
  ['a trusted name, however late it is known, skips the filter', true],
  ['any other name does not', false],
])('B2: %s', (_, isTrustedName) => {
  const policy = { ...policyWith(headerChecks), hasTrustedNames: true }
  const world = withEnvelope(new World({ policy, isTrustedName, examineMs: () => 3_000 }))
  world.send('DATA\r\n')
  expect(world.take()).toBe('')
  world.passes(3_000).send(`${headers['missing-from']}\r\nbody\r\n.\r\n`).rest()
  expect(world.take()).toMatch(isTrustedName ? /^354 [^\n]*\n250 / : /^354 [^\n]*\n554 5\.6\.0 /)
  expect(world.delivered).toHaveLength(isTrustedName ? 1 : 0)
})

test("a rule's own reply is said as it stands, with the id of the record in it", () => {
  const rule = 'Subject: /pills/ refuse 550 5.7.1 No pills, id={id}'
  const world = withEnvelope(new World({ policy: policyWith([], rule) }))
  world.send('DATA\r\n').send(`${whole}Subject: cheap pills\r\n\r\nbody\r\n.\r\n`).rest()
  const reply = '550 5.7.1 No pills, id=ID1'
  expect(world.take()).toBe(`354 end with <CRLF>.<CRLF>\r\n${reply}\r\n`)
  expect(world.verdicts).toMatchObject([{ finding: 'header-rule', action: 'refuse', reply }])
})

test.each([
  ['.Subject: cheap pills\r\n', 554],
  ['Subject: cheap\r\n. pills\r\n', 554],
  ['Subject:\r\n.\tcheap\r\n.\t.pills\r\n', 554],
  ['X: y\r\n.subject : cheap pills\r\n', 554],
  ['..Subject: cheap pills\r\n', 250],
])(
  'the filter reads a header as the mailhost will, without its stuffed dots: %j',
  (lines, code) => {
    const rule = 'Subject: /^cheap.*pills$/ refuse'
    const world = withEnvelope(new World({ policy: policyWith([], rule) }))
    world.send('DATA\r\n').send(`${whole}${lines}\r\nbody\r\n.\r\n`).rest()
    expect(world.take()).toMatch(new RegExp(`^354 [^\\n]*\\n${code} [^\\n]*\\n$`))
    expect(world.delivered).toHaveLength(code === 250 ? 1 : 0)
  },
)

test('a chunk has no stuffed dots: a field whose name begins with one is that field', () => {
  const rule = 'Subject: /pills/ refuse'
  const world = withEnvelope(new World({ policy: policyWith([], rule) }))
  const message = `${whole}.Subject: pills\r\n\r\nbody\r\n`
  world.send(`BDAT ${message.length} LAST\r\n${message}`).rest()
  expect(world.delivered).toMatchObject([{ octets: message.replace('\n.S', '\n..S') }])
})
