/**
 * What the replies to several relay forms come to together: one that is taken is enough, all must
 * be refused for good to clear the host, and anything else proves nothing.
 */
import { expect, test } from 'vitest'
import { readRelayReport } from '../../src/probes/relay-test.ts'
import type { ProbeAnswer, ProbeReport } from '../../src/probes/smtp-probe.ts'

/** A conversation in which the forms got these replies; `MAIL` in front of those to MAIL. */
function reportOf(replies: string, end: ProbeReport['end'] = 'finished'): ProbeReport {
  const answers = replies.split(', ').map((text, at): ProbeAnswer => {
    const step = text.startsWith('MAIL ') ? 'mail' : 'recipient'
    const reply = { code: Number(text.slice(-3)), enhanced: '', lines: ['so'] }
    return { step, question: `form ${at}`, reply }
  })
  return { end, answers, dialogue: [] }
}

const cases: readonly { replies: string; end?: ProbeReport['end']; want: string }[] = [
  { replies: '550, 250', want: 'positive open-relay' },
  { replies: '450, 251', end: 'closed-by-peer', want: 'positive open-relay' },
  { replies: '550, 553', want: 'negative no-relay' },
  { replies: '550, 450', want: 'indeterminate relay-unclear' },
  { replies: '450, 550', want: 'indeterminate relay-unclear' },
  { replies: '550', end: 'timed-out', want: 'indeterminate relay-unclear' },
  { replies: '550', end: 'closed-by-peer', want: 'indeterminate relay-unclear' },
  { replies: '550, 354', want: 'indeterminate relay-unclear' },
  { replies: '550, MAIL 550', want: 'indeterminate refuses-us' },
]

test.each(cases)('B13: of two forms: $replies: $want', ({ replies, end, want }) => {
  const { finding } = readRelayReport(reportOf(replies, end), 2)
  expect(`${finding.outcome} ${finding.name}`).toBe(want)
})
