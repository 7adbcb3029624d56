/**
 * Active user: does the sender exist at a mail exchanger of its own domain?
 *
 * `MAIL FROM:<>`, first a recipient that nobody has (a domain that takes that one takes all, and
 * says nothing), then the sender. Only a refusal that speaks of the mailbox makes it forged; a null
 * MX and a domain that does not exist make it forged without a connection. Whatever else happens
 * proves nothing. The final dot is never sent, at any depth.
 */
import { endpointText } from '../base/endpoint.ts'
import { exchangerAddressesMax, exchangersTriedMax } from '../base/limits.ts'
import type { Finding, Outcome } from '../checks/finding.ts'
import { type ReplyReading, readReply } from '../checks/reply-meaning.ts'
import type { Mailbox } from '../checks/sender-key.ts'
import type { MailExchanger } from './dns.ts'
import type { ProbeSettings } from './settings.ts'
import type { ProbeAnswer, ProbePlan, ProbeQuestion, ProbeReport } from './smtp-probe.ts'
import { makeFinding, type ProbeTools, type TestResult } from './tools.ts'
import type { DomainFact } from './verdict-cache.ts'

/** A result that may say something about the whole domain. */
export interface UserResult extends TestResult {
  readonly fact?: DomainFact
}

type Verdict = (outcome: Outcome, name: string) => Finding

/** Tests a sender. `isEachAsked`: the domain is known to judge each, no random question then. */
export async function testUser(
  mailbox: Mailbox,
  isEachAsked: boolean,
  tools: ProbeTools,
): Promise<UserResult> {
  const facts: string[] = []
  const verdict: Verdict = (outcome, name) => makeFinding('user', outcome, name, facts)
  const found = await exchangersOf(mailbox.domain, facts, verdict, tools)
  if (!Array.isArray(found)) return { finding: found, dialogue: facts, target: '' }
  const dialogue: string[] = []
  const kinds = new Set<string>()
  const plan = userPlan(mailbox, isEachAsked, tools.settings, tools.randomLocalPart())
  let target = ''
  const triesMax = tools.settings.nextMx ? exchangersTriedMax : 1
  for (const exchange of found.slice(0, triesMax)) {
    const asked = await askExchanger({ exchange, plan, facts, kinds, tools })
    target = asked.target === '' ? target : asked.target
    dialogue.push(`-: ${exchange}`, ...(asked.report?.dialogue ?? []))
    if (asked.report !== undefined) {
      return { ...readUserReport(asked.report, facts, verdict), dialogue, target }
    }
  }
  const finding = verdict('indeterminate', nameOfNothing(kinds))
  return { finding, dialogue: dialogue.concat(facts), target }
}

/** Where none was even tried, that is what is said: it is not kept as an answer of theirs. */
function nameOfNothing(kinds: ReadonlySet<string>): string {
  if (kinds.size === 1 && kinds.has('trouble')) return 'dns-trouble'
  const untried = ['not-now', 'our-fault', 'forbidden']
  const isTried = [...kinds].some((kind) => !untried.includes(kind))
  return (isTried ? undefined : untried.find((kind) => kinds.has(kind))) ?? 'unreachable'
}

/** Names to ask in order of preference, or the finding that there is nobody to ask. */
async function exchangersOf(
  domain: string,
  facts: string[],
  verdict: Verdict,
  tools: ProbeTools,
): Promise<string[] | Finding> {
  const answer = await tools.names.exchangers(domain)
  if (answer.kind === 'found') return exchangersFound(answer.records, domain, facts, verdict)
  if (answer.kind === 'trouble') {
    facts.push(`MX ${domain}: ${answer.reason}`)
    return verdict('indeterminate', 'dns-trouble')
  }
  if (answer.kind === 'no-name') {
    facts.push(`${domain} does not exist`)
    return verdict('positive', 'no-such-domain')
  }
  facts.push(`no MX, ${domain} itself`)
  return [domain]
}

function exchangersFound(
  records: readonly MailExchanger[],
  domain: string,
  facts: string[],
  verdict: Verdict,
): string[] | Finding {
  if (records.every((record) => record.exchange === '')) {
    facts.push(`null MX of ${domain}`)
    return verdict('positive', 'null-mx')
  }
  return records.map((record) => record.exchange)
}

interface Asking {
  readonly exchange: string
  readonly plan: ProbePlan
  readonly facts: string[]
  /** Filled with the kinds of the attempts that came to nothing. */
  readonly kinds: Set<string>
  readonly tools: ProbeTools
}

interface Asked {
  /** Undefined: no address took the connection. */
  readonly report: ProbeReport | undefined
  /** `address:port` that was tried last, '' = none. */
  readonly target: string
}

/** The conversation with the first address that takes the connection. */
async function askExchanger(asking: Asking): Promise<Asked> {
  const { exchange, plan, facts, kinds, tools } = asking
  const answer = await tools.names.addresses(exchange)
  if (answer.kind !== 'found') {
    facts.push(`${exchange}: ${answer.kind === 'trouble' ? answer.reason : 'no address'}`)
    kinds.add(answer.kind)
    return { report: undefined, target: '' }
  }
  let target = ''
  const addressesMax = tools.settings.nextMx ? exchangerAddressesMax : 1
  for (const address of answer.records.slice(0, addressesMax)) {
    const attempt = await tools.attempt(address, exchange, plan)
    const isTried = attempt.kind !== 'forbidden' && attempt.kind !== 'not-now'
    if (isTried) target = endpointText(address, tools.settings.port)
    if (attempt.kind === 'made') {
      facts.push(`asked ${exchange} ${address}`)
      return { report: attempt.report, target }
    }
    facts.push(`${exchange} ${address} ${attempt.kind}: ${attempt.reason}`)
    kinds.add(attempt.kind)
  }
  return { report: undefined, target }
}

/** A recipient that nobody has, unless the domain is known to judge each, then the mailbox. */
export function userPlan(
  mailbox: Mailbox,
  isEachAsked: boolean,
  settings: ProbeSettings,
  randomLocalPart: string,
): ProbePlan {
  const { local, domain } = mailbox
  const random = { name: 'random', sender: '', recipient: `${randomLocalPart}@${domain}` }
  const sender = { name: 'sender', sender: '', recipient: `${local}@${domain}` }
  return {
    helo: settings.helo,
    questions: isEachAsked ? [sender] : [random, sender],
    depth: settings.userDepth,
    isTlsTried: true,
    goesOn: (_question: ProbeQuestion, step, reply) => {
      const { meaning } = readReply(step, reply)
      return step === 'recipient' && (meaning === 'no-such-user' || meaning === 'unclear')
    },
  }
}

/** What the conversation says of the mailbox, and of its domain. */
export function readUserReport(
  report: ProbeReport,
  facts: string[],
  verdict: Verdict,
): Omit<UserResult, 'dialogue' | 'target'> {
  const last = report.answers.at(-1)
  if (last === undefined || report.end === 'unsafe-address') {
    facts.push(`conversation ${report.end}`)
    return { finding: verdict('indeterminate', report.end) }
  }
  const reading = readReply(last.step, last.reply)
  facts.push(factOf(last), `read as ${reading.meaning} (${reading.reason})`)
  const isAnswered = last.question !== '' && isDecisive(last, reading)
  const random = report.answers.find((each) => each.question === 'random' && isAtRecipient(each))
  const asksEach = random !== undefined && random.reply.code >= 500
  const fact = asksEach ? ({ fact: 'asks-each' } as const) : {}
  if (!isAnswered) return { ...fact, ...readTrouble(report, last, reading, verdict) }
  if (last.question === 'random') {
    return { finding: verdict('negative', 'accepts-all'), fact: 'accepts-all' }
  }
  const isForged = reading.meaning === 'no-such-user'
  const finding = isForged
    ? verdict('positive', 'no-such-user')
    : verdict('negative', 'user-exists')
  return { finding, ...fact }
}

/** An acceptance, or a refusal that speaks of the sender's mailbox. */
function isDecisive(last: ProbeAnswer, { meaning }: ReplyReading): boolean {
  if (last.step === 'mail') return false
  return meaning === 'accepts' || (meaning === 'no-such-user' && last.question === 'sender')
}

/**
 * They refuse us, where the refusal is not of this mailbox alone: one that takes mail from its own
 * house only says nothing of its domain.
 */
function readTrouble(
  report: ProbeReport,
  last: ProbeAnswer,
  { meaning }: ReplyReading,
  verdict: Verdict,
): Omit<UserResult, 'dialogue' | 'target'> {
  const isOfMailbox = last.question === 'sender' && last.step !== 'mail'
  if (meaning === 'refuses-us' && !isOfMailbox) {
    return { finding: verdict('indeterminate', 'refuses-us'), fact: 'refuses-us' }
  }
  const name = report.end === 'finished' || meaning === 'try-later' ? meaning : report.end
  return { finding: verdict('indeterminate', name) }
}

function isAtRecipient(answer: ProbeAnswer): boolean {
  return answer.step === 'recipient'
}

function factOf({ question, step, reply }: ProbeAnswer): string {
  const who = question === '' ? '' : `${question} `
  return `${who}${step}: ${reply.code} ${reply.enhanced} ${reply.lines.join(' ')}`.trimEnd()
}
