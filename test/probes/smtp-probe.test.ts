/**
 * The probe client against any octets: it ends, it keeps little, it never sends a final dot.
 */
import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Finding, Outcome } from '../../src/checks/finding.ts'
import { readRelayReport, relayPlan } from '../../src/probes/relay-test.ts'
import { isSafe, type ProbePlan, type ProbeReport, SmtpProbe } from '../../src/probes/smtp-probe.ts'
import { makeFinding, type ProbeTools } from '../../src/probes/tools.ts'
import { readUserReport, userPlan } from '../../src/probes/user-test.ts'
import { describeWith, needsSharedData, sharedData } from '../support/needs.ts'
import { defaultProbeSettings } from '../support/probe-settings.ts'
import { conversationWith, honestServer, type Server } from '../support/scripted-outside.ts'

interface Run {
  readonly sent: string[]
  readonly closed: string[]
  report: ProbeReport | undefined
}

const plan: ProbePlan = {
  helo: 'probe.example',
  questions: [
    { name: 'random', sender: '', recipient: 'x1@a.example' },
    { name: 'sender', sender: '', recipient: 'anna@a.example' },
  ],
  depth: 'rcpt',
  isTlsTried: true,
  goesOn: (_question, _step, reply) => reply.code >= 500,
}

function start(overrides: Partial<ProbePlan> = {}): { probe: SmtpProbe; run: Run } {
  const run: Run = { sent: [], closed: [], report: undefined }
  const probe = new SmtpProbe(
    { ...plan, ...overrides },
    {
      send: (text) => run.sent.push(text),
      startTls: () => run.sent.push('(TLS)'),
      awaitReply: () => undefined,
      close: (how) => run.closed.push(how),
      onEnded: (report) => {
        expect(run.report).toBeUndefined()
        run.report = report
      },
    },
  )
  probe.onConnected()
  return { probe, run }
}

function say(probe: SmtpProbe, ...replies: readonly string[]): void {
  for (const reply of replies) probe.onOctets(Buffer.from(`${reply}\r\n`, 'latin1'))
}

describe('a conversation', () => {
  test('asks for nobody first, then for the sender, and leaves in order', () => {
    const { probe, run } = start()
    say(probe, '220 hi', '250 hello', '250 ok', '550 5.1.1 no', '250 ok', '250 ok', '250 yes')
    expect(run.sent.map((text) => text.trimEnd())).toEqual([
      'EHLO probe.example',
      'MAIL FROM:<>',
      'RCPT TO:<x1@a.example>',
      'RSET',
      'MAIL FROM:<>',
      'RCPT TO:<anna@a.example>',
      'QUIT',
    ])
    expect(run.closed).toEqual(['quit'])
    expect(run.report?.end).toBe('finished')
  })

  test('falls back to HELO, once', () => {
    const { probe, run } = start()
    say(probe, '220 hi', '502 no EHLO', '250 hello', '250 ok')
    expect(run.sent.slice(0, 2)).toEqual(['EHLO probe.example\r\n', 'HELO probe.example\r\n'])
  })

  test('takes STARTTLS where it is offered, and says EHLO again', () => {
    const { probe, run } = start()
    say(probe, '220 hi', '250-hello\r\n250 STARTTLS', '220 go')
    expect(run.sent.at(-1)).toBe('(TLS)')
    probe.onTlsEstablished()
    expect(run.sent.at(-1)).toBe('EHLO probe.example\r\n')
  })

  test('octets behind the 220 of STARTTLS end it', () => {
    const { probe, run } = start()
    say(probe, '220 hi', '250-hello\r\n250 STARTTLS')
    probe.onOctets(Buffer.from('220 go\r\n250 injected\r\n'))
    expect(run.report?.end).toBe('nonsense')
    expect(run.sent).not.toContain('(TLS)')
  })

  test('at depth `message` a header goes out, and never the final dot', () => {
    const { probe, run } = start({ depth: 'message' })
    say(probe, '220 hi', '250 hello', '250 ok', '550 no', '250 ok', '250 ok', '250 yes', '354 go')
    probe.onTimeout()
    expect(run.report?.end).toBe('finished')
    expect(run.closed).toEqual(['reset'])
    expect(run.sent.join('')).not.toMatch(/(^|\n)\.\r?\n/)
  })

  test('no address of a client becomes a second command', () => {
    for (const text of ['a\r\nDATA', 'a b@c', 'a>b@c', 'ü@c', 'a\0b@c', 'x'.repeat(300)]) {
      expect(isSafe(text)).toBe(false)
      const { run } = start({ questions: [{ name: 'sender', sender: '', recipient: text }] })
      expect(run.sent).toEqual([])
      expect(run.report?.end).toBe('unsafe-address')
    }
    expect(isSafe('"a@b"@c.example')).toBe(true)
  })

  describe('a refusal that comes late, behind replies that nobody asked for, makes no relay', () => {
    const settings = {
      ...defaultProbeSettings,
      helo: 'probe.example',
      relayRecipient: 'p@a.example',
    }
    const asking = relayPlan({ settings } as ProbeTools, '62.1.2.3', '', true)
    const late = ['250 2.1.0 ok', '550 5.7.1 no relay', '221 bye']
    const cases = [
      { label: 'two greetings', replies: ['220 hi', '220 hi', '250 a.example', ...late] },
      {
        label: 'EHLO answered in three',
        replies: ['220 hi', '250 a.example', '250 SIZE 1000', '250 8BITMIME', ...late],
      },
    ]
    test.each(cases)('$label', ({ replies }) => {
      const { probe, run } = start(asking)
      say(probe, ...replies)
      if (run.report === undefined) throw new Error('no report')
      expect(run.report.end).toBe('nonsense')
      const { outcome, name } = readRelayReport(run.report, 1).finding
      expect([outcome, name]).toEqual(['indeterminate', 'relay-unclear'])
    })

    test.each([
      { label: 'answers QUIT', bye: (probe: SmtpProbe) => say(probe, '221 bye') },
      { label: 'closes', bye: (probe: SmtpProbe) => probe.onEnd() },
      { label: 'says no more', bye: (probe: SmtpProbe) => probe.onTimeout() },
    ])('one that takes the recipient and $label is a relay', ({ bye }) => {
      const { probe, run } = start(asking)
      say(probe, '220 hi', '250 hello', '250 ok', '250 ok')
      bye(probe)
      if (run.report === undefined) throw new Error('no report')
      expect(readRelayReport(run.report, 1).finding.name).toBe('open-relay')
      expect(run.sent.filter((text) => text === 'QUIT\r\n')).toHaveLength(1)
    })
  })

  test('any octets at any cut: one report, a bounded dialogue, no DATA, no dot', () => {
    const pieces = fc.array(
      fc.oneof(
        fc.constantFrom(
          '220 a\r\n',
          '250 ok\r\n',
          '250-x\r\n',
          '550 5.1.1 no\r\n',
          '421 bye\r\n',
          '354 go\r\n',
        ),
        fc.string({ maxLength: 40 }),
      ),
      { maxLength: 40 },
    )
    fc.assert(
      fc.property(pieces, (texts) => {
        const { probe, run } = start()
        for (const text of texts) probe.onOctets(Buffer.from(text, 'latin1'))
        probe.onEnd()
        expect(run.report).toBeDefined()
        expect(run.closed).toHaveLength(1)
        expect(run.sent.filter((text) => text.startsWith('DATA'))).toEqual([])
        expect(run.report?.dialogue.length).toBeLessThan(302)
      }),
    )
  })
})

describeWith([needsSharedData()], 'servers of the fuzz corpus and of the field', () => {
  test('every input ends in a report', () => {
    const folder = sharedData('sessions/curl-fuzzer-smtp-server-side')
    const inputs = readdirSync(folder).map((file) => readFileSync(`${folder}/${file}`))
    const replies = readFileSync(
      sharedData('remote-replies/smtp_replies_from_bounces.txt'),
      'latin1',
    ).split('\n')
    const banners = readFileSync(sharedData('remote-replies/recog_smtp_banners.txt'), 'latin1')
    for (const banner of banners.split('\n')) inputs.push(Buffer.from(`${banner}\r\n`, 'latin1'))
    for (const reply of replies) inputs.push(Buffer.from(`220 a\r\n${reply}\r\n`, 'latin1'))
    for (const input of inputs) {
      const { probe, run } = start()
      for (const octet of input) probe.onOctets(Uint8Array.of(octet))
      probe.onTimeout()
      expect(run.report).toBeDefined()
      expect(run.sent.filter((text) => /^DATA|^\.\r\n/.test(text))).toEqual([])
    }
  })

  const verdict = (outcome: Outcome, name: string): Finding =>
    makeFinding('user', outcome, name, [])
  const asking = userPlan(
    { local: 'known', domain: 'far.example' },
    false,
    defaultProbeSettings,
    'xrandom',
  )
  const outcomeOf = (server: Server): string => {
    const conversation = conversationWith(server, asking)
    if (conversation.kind !== 'made') return conversation.kind
    const { outcome, name } = readUserReport(conversation.report, [], verdict).finding
    return `${outcome} ${name}`
  }
  const linesOf = (path: string): readonly string[] =>
    readFileSync(sharedData(path), 'latin1').split('\n').filter(Boolean)

  test('a real banner is a greeting like any other, or nonsense', () => {
    const outcomes = linesOf('remote-replies/recog_smtp_banners.txt').map((banner) =>
      outcomeOf((command) => (command === '' ? `220 ${banner}` : honestServer(command))),
    )
    const fine = outcomes.filter((outcome) => outcome === 'negative user-exists').length
    expect(new Set(outcomes).has('positive no-such-user')).toBe(false)
    expect(fine).toBeGreaterThan(outcomes.length * 0.9)
  })

  test('a real reply to RCPT: what is temporary or speaks of us forges nobody', () => {
    // Of replies of several lines the file holds one: it is the last here.
    const replies = linesOf('remote-replies/smtp_replies_from_bounces.txt').map((line) =>
      line.replace(/^(\d{3})-/, '$1 '),
    )
    let temporary = 0
    let policy = 0
    for (const reply of replies) {
      const outcome = outcomeOf((command) =>
        command.startsWith('RCPT') ? reply : honestServer(command),
      )
      expect(outcome, reply).not.toMatch(/^(refused|unreachable|our-fault)/)
      if (/^4\d\d/.test(reply)) {
        temporary++
        expect(outcome, reply).toMatch(/^indeterminate/)
      } else if (/^5\d\d.5\.7\./.test(reply)) {
        policy++
        expect(outcome, reply).toBe('indeterminate refuses-us')
      }
    }
    expect(Math.min(temporary, policy)).toBeGreaterThan(5)
  })

  test('what is said out of step forges nobody and makes no relay', () => {
    const folder = sharedData('sessions/curl-fuzzer-smtp-server-side')
    for (const file of readdirSync(folder)) {
      const { probe, run } = start()
      probe.onOctets(readFileSync(`${folder}/${file}`))
      probe.onTimeout()
      if (run.report === undefined) throw new Error(`${file}: no report`)
      const user = readUserReport(run.report, [], verdict).finding
      const relay = readRelayReport(run.report, 1).finding
      expect([file, user.outcome, relay.outcome]).toEqual([file, 'indeterminate', 'indeterminate'])
    }
  })
})
