/**
 * Active relay: offers the remote host's own SMTP port a transaction that is no business of its.
 *
 * A recipient taken (2xx at RCPT) makes a relay, unless the reply turns out to be another
 * command's; a refusal (5xx) clears that form; all else proves nothing. The connection itself is
 * the reverse connection of the journey's step 5: where it is not made, the caller goes on to the
 * dialup test. Never DATA.
 */
import { type ProbeStep, readReply } from '../checks/reply-meaning.ts'
import type { Reply } from '../smtp/reply.ts'
import { addressLiteral, relayQuestions } from './relay-forms.ts'
import type { ProbeAnswer, ProbePlan, ProbeQuestion, ProbeReport } from './smtp-probe.ts'
import { makeFinding, type ProbeTools, type TestResult } from './tools.ts'

/** The plan of the reverse connection; without `isRelayAsked` the connection alone. */
export function relayPlan(
  tools: ProbeTools,
  address: string,
  targetName: string,
  isRelayAsked: boolean,
): ProbePlan {
  const { settings } = tools
  const parts = {
    sender: settings.sender,
    recipient: settings.relayRecipient,
    targetName: targetName === '' ? addressLiteral(address) : targetName,
    address,
  }
  return {
    helo: settings.helo,
    questions: isRelayAsked ? relayQuestions(settings.relayForms, parts) : [],
    depth: 'rcpt',
    isTlsTried: true,
    isQuitRead: true,
    goesOn: (_question: ProbeQuestion, step: ProbeStep, reply: Reply) =>
      step !== 'recipient' || reply.code >= 300,
  }
}

/** What the conversation says about the host. */
export function readRelayReport(report: ProbeReport, forms: number): Omit<TestResult, 'target'> {
  const recipients = report.answers.filter((answer) => answer.step === 'recipient')
  const taken = recipients.find(({ reply }) => reply.code >= 200 && reply.code < 300)
  const { dialogue } = report
  if (taken !== undefined && report.end !== 'nonsense') {
    const evidence = ['reverse connection made', factOf(taken)]
    return { finding: makeFinding('relay', 'positive', 'open-relay', evidence), dialogue }
  }
  const refused = recipients.filter(({ reply }) => reply.code >= 500)
  if (refused.length === forms) {
    const evidence = ['reverse connection made', ...refused.map(factOf)]
    return { finding: makeFinding('relay', 'negative', 'no-relay', evidence), dialogue }
  }
  const last = report.answers.at(-1)
  const evidence = [
    'reverse connection made',
    `conversation ${report.end}`,
    ...(last === undefined ? [] : [factOf(last)]),
  ]
  const name = refusesUs(last) ? 'refuses-us' : 'relay-unclear'
  return { finding: makeFinding('relay', 'indeterminate', name, evidence), dialogue }
}

/** Before any recipient a refusal speaks of us. */
function refusesUs(last: ProbeAnswer | undefined): boolean {
  if (last === undefined || last.step === 'recipient') return false
  return readReply(last.step, last.reply).meaning === 'refuses-us'
}

function factOf({ question, step, reply }: ProbeAnswer): string {
  const form = question === '' ? '' : `${question} `
  return `${form}${step}: ${reply.code} ${reply.enhanced} ${reply.lines.join(' ')}`.trimEnd()
}
