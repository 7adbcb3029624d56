/**
 * Transcripts: dialogues as files, the readable specification of what a client meets.
 *
 * Lines of a transcript (`#` begins a comment; the first comment is the title):
 *
 *   policy: {"stray":"normalise"}     changes the tests' policy         client: {"isTrusted":true}
 *   offered: SIZE PIPELINING          what the mailhosts offer          trusted-name: yes
 *   rcpt: who@protected.example 550 5.1.1 no such user                  whitelist: a@b.example
 *   data: 451 4.3.0 no          dot: 452 4.3.1 full          mailhost: ~300ms (its pace)
 *   tests: relay positive open-relay  a finding of the answer           answer: ~300ms | never |
 *   provisional C: text      the client sends text and CRLF; escapes \r \n \t \\ \xHH; `\` at the
 *   end: no CRLF S: text      the next line that the server says; `*` stands for anything ~300ms
 *   time passes            <FIN> the client ends       <LOST> the connection breaks => FINDING name
 *   a finding was told       => VERDICT action layer finding    the next record => DELIVERED n
 *   messages delivered       => BODY text      in the last one, escapes as above => NOT BODY text
 *   never sent to it         => CLOSED | OPEN | PAUSED | STARTTLS | NO MORE VERDICT => TLS name
 *   TLS is up                => CALLS a, b, …   what was asked of the ports, all of it
 *
 * Every line that the server says must be expected. Each transcript runs with the client's octets
 * in its own pieces, octet by octet, and in random pieces: the answers are the same.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Finding, Layer, Outcome } from '../../src/checks/finding.ts'
import { octetsOf } from '../../src/smtp/octets.ts'
import { World, type WorldOptions } from '../journey/world.ts'
import { Random } from '../support/random.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

const folder = import.meta.dirname

for (const file of readdirSync(folder)
  .filter((name) => name.endsWith('.smtp'))
  .sort()) {
  describe(file, () => {
    for (const [title, lines] of transcriptsOf(readFileSync(join(folder, file), 'latin1'))) {
      test(title, () => {
        play(lines, (text) => [text])
        play(lines, (text) => text.split(''))
        const random = new Random(7)
        for (let i = 0; i < 3; i++) play(lines, (text) => random.pieces(text))
      })
    }
  })
}

/** `## title` begins a transcript within a file. */
function transcriptsOf(text: string): [string, string[]][] {
  return text
    .split(/^## /m)
    .slice(1)
    .map((part) => {
      const [title = '', ...lines] = part.split('\n')
      return [title, lines]
    })
}

function play(lines: readonly string[], cut: (text: string) => string[]): void {
  const [settings, dialogue] = headOf(lines)
  const world = new World(settings)
  const isSlow = lines.some((line) => line.startsWith('# in one piece'))
  let verdicts = 0
  let findings = 0
  for (const line of dialogue) {
    const rest = line.slice(3)
    if (line.startsWith('C: ')) {
      const text = rest.endsWith('\\') ? unescaped(rest.slice(0, -1)) : `${unescaped(rest)}\r\n`
      for (const piece of isSlow ? [text] : cut(text)) world.sendOctets(octetsOf(piece))
    } else if (line.startsWith('S: ')) expectLine(world, rest)
    else if (line.startsWith('~')) world.passes(Number.parseInt(line.slice(1), 10))
    else if (line === '<FIN>') world.end()
    else if (line === '<LOST>') world.lose()
    else if (line.startsWith('=> VERDICT ')) {
      const verdict = world.verdicts[verdicts++]
      const got = `${verdict?.action} ${verdict?.layer} ${verdict?.finding}`.trim()
      expect(got).toBe(line.slice(11).trim())
    } else if (line.startsWith('=> FINDING ')) {
      expect(world.findings[findings++]?.name).toBe(line.slice(11))
    } else if (line.startsWith('=> TLS '))
      world.journey.onTlsEstablished(line.slice(7), world.nowMs)
    else if (line.startsWith('=> ')) expectState(world, line.slice(3), verdicts)
    else throw new Error(`unknown line: ${line}`)
  }
  expect(world.output, 'all that the server says is expected').toBe('')
}

function expectLine(world: World, want: string): void {
  const end = world.output.indexOf('\r\n')
  const got = world.output.slice(0, Math.max(0, end))
  world.output = world.output.slice(end + 2)
  const parts = want.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  expect(got).toMatch(new RegExp(`^${parts.join('.*')}$`))
}

function expectState(world: World, claim: string, verdicts: number): void {
  const last = world.delivered[world.delivered.length - 1]
  if (claim === 'CLOSED') expect(world.isClosed).toBe(true)
  else if (claim === 'OPEN') expect(world.isClosed).toBe(false)
  else if (claim === 'PAUSED') expect(world.isPaused).toBe(true)
  else if (claim === 'STARTTLS') expect(world.isTlsAsked).toBe(true)
  else if (claim === 'NO MORE VERDICT') expect(world.verdicts.length).toBe(verdicts)
  else if (claim.startsWith('DELIVERED ')) {
    expect(world.delivered.length).toBe(Number(claim.slice(10)))
  } else if (claim.startsWith('BODY ')) expect(last?.octets).toContain(unescaped(claim.slice(5)))
  else if (claim.startsWith('NOT BODY ')) {
    expect(world.bodySent).not.toContain(unescaped(claim.slice(9)))
  } else if (claim.startsWith('CALLS ')) expect(world.calls.join(', ')).toBe(claim.slice(6))
  else if (claim.startsWith('RECIPIENTS ')) expect(last?.recipients.join(' ')).toBe(claim.slice(11))
  else throw new Error(`unknown claim: ${claim}`)
}

/** Settings come first; the dialogue is the rest. */
function headOf(lines: readonly string[]): [WorldOptions, string[]] {
  const options: Mutable<WorldOptions> = {}
  const findings: Finding[] = []
  const recipients = new Map<string, string>()
  const dialogue: string[] = []
  for (const line of lines) {
    if (line.trim() === '' || line.startsWith('#')) continue
    const [, key = '', value = ''] = /^([a-z-]+): (.*)$/.exec(line) ?? []
    if (key === '') dialogue.push(line)
    else if (key === 'policy') options.policy = JSON.parse(value)
    else if (key === 'client') options.client = JSON.parse(value)
    else if (key === 'offered') options.offered = value.split(' ')
    else if (key === 'trusted-name') options.isTrustedName = true
    else if (key === 'whitelist') options.whitelist = value.split(' ')
    else if (key === 'rcpt')
      recipients.set(`<${value.split(' ')[0]}>`, value.slice(value.indexOf(' ') + 1))
    else if (key === 'data') options.dataReply = () => value
    else if (key === 'dot') options.deliveryReply = () => value
    else if (key === 'mailhost') options.mailhostMs = () => Number.parseInt(value.slice(1), 10)
    else if (key === 'tests') {
      const [layer, outcome, name = ''] = value.split(' ')
      findings.push({
        layer: layer as Layer,
        outcome: outcome as Outcome,
        name,
        evidence: ['seen'],
      })
    } else if (key === 'answer' && value === 'never') options.examine = () => 'never'
    else if (key === 'answer' && value === 'provisional') options.isProvisional = true
    else if (key === 'answer') options.examineMs = () => Number.parseInt(value.slice(1), 10)
    else throw new Error(`unknown setting: ${line}`)
  }
  options.examine ??= () => findings
  options.recipientReply = (argument) =>
    recipients.get(argument.slice(0, argument.indexOf('>') + 1)) ?? '250 2.1.5 ok'
  return [options, dialogue]
}

function unescaped(text: string): string {
  const named: Record<string, string> = { r: '\r', n: '\n', t: '\t', '\\': '\\' }
  return text.replace(/\\(x([0-9a-f]{2})|[rnt\\])/g, (_, kind: string, hex: string | undefined) =>
    hex === undefined ? (named[kind] ?? '') : String.fromCharCode(Number.parseInt(hex, 16)),
  )
}
