/**
 * Stage 4, tests: trusted name, whitelist, and the active tests (dialup or relay, then user), which
 * the probe broker answers. Here stands when they are asked, who waits, and what an answer leads
 * to.
 *
 * Asked last and least: never for a trusted or whitelisted one, never when nothing would come of
 * it.
 */
import { answerWaitMs } from '../base/limits.ts'
import type { Finding } from '../checks/finding.ts'
import { askForTrustedName } from './1-connect.ts'
import { concludeRefused } from './conclude.ts'
import { judge } from './policy.ts'
import type { Answer } from './ports.ts'
import { close, namedRefusal, say } from './reply.ts'
import type { Refusal, Session, Transaction } from './session.ts'

/**
 * May the command that needs the tests go on? Asks what must be asked first, and waits.
 * `at`: RCPT goes on with a provisional answer, DATA does not.
 */
export function testsPermit(
  session: Session,
  transaction: Transaction,
  at: 'rcpt' | 'data',
  nowMs: number,
): boolean {
  if (!beginTests(session, transaction, transaction.testedRecipient, nowMs)) {
    const isProvisional = transaction.tests === 'provisional'
    if (isProvisional && at === 'rcpt') return true
    wait(session, session.trust === 'asked' ? 'trust' : 'verdict', nowMs)
    releaseTransfer(session, transaction)
    return false
  }
  return true
}

/**
 * Is it known whether the client's name is a trusted one? Such a host skips the header filter too.
 * If not, the answer is waited for.
 */
export function knowsTrust(session: Session, transaction: Transaction, nowMs: number): boolean {
  const { hasTrustedNames } = session.compiled.policy
  if (session.isTrusted || !hasTrustedNames || session.trust === 'known') return true
  if (session.trust === 'unasked') askForTrustedName(session)
  wait(session, 'trust', nowMs)
  releaseTransfer(session, transaction)
  return false
}

/** No mailhost session is held while a question runs. */
function releaseTransfer({ ports }: Session, transaction: Transaction): void {
  if (transaction.isBegun && transaction.recipientsOffered.length === 0) ports.transfer.release()
}

/** Asks what must be asked. @returns true when nothing is open any more. */
export function beginTests(
  session: Session,
  transaction: Transaction,
  recipient: string,
  nowMs: number,
): boolean {
  if (transaction.tests === 'known') return true
  if (transaction.tests !== 'unasked') return false
  if (!session.compiled.hasActiveTests || session.isTrusted) return settle(transaction)
  const { policy } = session.compiled
  if (policy.hasTrustedNames && session.trust === 'unasked') askForTrustedName(session)
  if (session.trust === 'asked') {
    wait(session, 'trust', nowMs)
    return false
  }
  const { sender } = transaction
  const isAsked = sender !== '' && policy.whitelist !== 'off'
  const isWhitelisted = isAsked && session.ports.lists.isWhitelisted(sender)
  if (isWhitelisted && policy.whitelist === 'on') {
    transaction.isWhitelisted = true
    return settle(transaction)
  }
  const isHostTested = policy.dialup.mode !== 'off' || policy.relay.mode !== 'off'
  if (!isHostTested && sender === '') return settle(transaction)
  transaction.tests = 'asked'
  wait(session, 'verdict', nowMs)
  const { address } = session.client
  const asked = policy.testsAt === 'rcpt' ? recipient : ''
  const question = { address, helo: session.helo, sender, recipient: asked, isWhitelisted }
  session.ports.questions.examine(question)
  return false
}

/** No active test is run for this recipient: postmaster, abuse (RFC 5321 §4.5.1). */
export function isExempt(session: Session, mailbox: string): boolean {
  const at = mailbox.lastIndexOf('@')
  const local = at < 0 ? mailbox : mailbox.slice(0, at)
  return session.compiled.exemptRecipients.has(local.toLowerCase())
}

/** An answer came. Late, doubled and unasked ones change nothing. */
export function takeAnswer(session: Session, answer: Answer, nowMs: number): void {
  if (answer.question === 'trusted-name') {
    takeTrust(session, answer)
    return
  }
  const transaction = session.transaction
  if (transaction === undefined) return
  if (transaction.tests !== 'asked' && transaction.tests !== 'provisional') return
  const isWaitedFor = session.waiting === 'verdict'
  if (isWaitedFor) session.waiting = 'nothing'
  const unknown = answer.findings.find(isUnknownRecipient)
  if (unknown !== undefined) {
    refuseRecipient(session, transaction, unknown)
    return
  }
  transaction.isWhitelisted = answer.findings.some(isProof)
  transaction.tests = 'known'
  transaction.testsRefusal = judgeFindings(session, transaction, answer.findings)
  if (transaction.testsRefusal !== undefined && isWaitedFor && transaction.testsRefusal.closes) {
    const refused = transaction.testsRefusal
    concludeRefused(session, refused, nowMs)
    close(session, refused.reply)
  }
}

/**
 * Call-ahead: the recipient does not exist, so nothing else was asked. The next one begins anew;
 * where others went on meanwhile, DATA asks.
 */
function refuseRecipient(
  session: Session,
  transaction: Transaction,
  { layer, name, evidence }: Finding,
): void {
  const wasOffered = transaction.tests === 'provisional'
  transaction.tests = 'unasked'
  transaction.testedRecipient = ''
  // One that did not wait was offered to the mailhost, whose own reply says the same.
  if (wasOffered) return
  const text = 'there is no such recipient here'
  const codes = '550 5.1.1'
  const refused = namedRefusal(session, transaction, layer, name, codes, text, evidence)
  transaction.recipientRefusal = refused
}

function isUnknownRecipient({ layer, outcome }: Finding): boolean {
  return layer === 'recipient' && outcome === 'positive'
}

/** The whitelisted sender's host may send for it. */
function isProof({ layer, outcome }: Finding): boolean {
  return layer === 'whitelist' && outcome === 'negative'
}

/** The answer comes later, and RCPT is not to wait for it: DATA waits. */
export function deferAnswer(session: Session): void {
  if (session.transaction?.tests !== 'asked') return
  session.transaction.tests = 'provisional'
  if (session.waiting === 'verdict') session.waiting = 'nothing'
}

/** The wait has lasted too long: as if the answer were that nothing could be found out. */
export function giveUpWaiting(session: Session, nowMs: number): void {
  session.ports.questions.forget()
  const evidence = [`no answer within ${answerWaitMs / 1000} s`]
  if (session.waiting === 'trust' || session.trust === 'asked') {
    takeTrust(session, { question: 'trusted-name', findings: [] })
  }
  const layers = ['dialup', 'relay', 'user'] as const
  const findings = layers.map((layer): Finding => {
    return { layer, outcome: 'indeterminate', name: 'no-answer', evidence }
  })
  takeAnswer(session, { question: 'examine', findings }, nowMs)
}

/** MAIL waited for the tests (`tests.at = "mail"`): its refusal, which ends the transaction. */
export function refuseMail(session: Session, refused: Refusal, nowMs: number): void {
  concludeRefused(session, refused, nowMs)
  say(session, refused.reply)
}

function settle(transaction: Transaction): true {
  transaction.tests = 'known'
  return true
}

function wait(session: Session, what: 'trust' | 'verdict', nowMs: number): void {
  session.waiting = what
  session.waitingSinceMs = nowMs
}

function takeTrust(session: Session, answer: Answer): void {
  if (session.trust !== 'asked') return
  session.trust = 'known'
  if (answer.findings.some((finding) => finding.outcome === 'positive')) session.isTrusted = true
  if (session.waiting === 'trust') session.waiting = 'nothing'
}

/**
 * Tells every finding with its evidence, whatever it says, known from the cache or asked now; the
 * first that policy refuses is the answer.
 */
function judgeFindings(
  session: Session,
  transaction: Transaction,
  findings: readonly Finding[],
): Refusal | undefined {
  let refused: Refusal | undefined
  for (const finding of findings) {
    const judgement = judge(session.compiled.policy, finding)
    if (finding.outcome === 'positive') session.ports.records.finding(finding)
    const { layer, outcome, name, evidence } = finding
    transaction.evidence.push(`${layer} ${outcome} ${name}`, ...evidence)
    // Its evidence is told above.
    if (judgement === 'observe') transaction.observed ??= { ...finding, evidence: [] }
    const isRefusal = judgement !== 'pass' && judgement !== 'observe' && refused === undefined
    if (isRefusal) refused = refusalOf(session, transaction, finding, judgement)
  }
  return refused
}

function refusalOf(
  session: Session,
  transaction: Transaction,
  finding: Finding,
  judgement: 'refuse' | 'tempfail',
): Refusal {
  const { layer, name } = finding
  const detail = layer === 'user' ? '1.8' : '7.1'
  const codes = judgement === 'refuse' ? `550 5.${detail}` : `450 4.${detail}`
  const text = textOf(finding)
  const refused = namedRefusal(session, transaction, layer, name, codes, text)
  // A forged sender is an error, and the connection is closed at once.
  return { ...refused, closes: layer === 'user' && judgement === 'refuse' }
}

function textOf(finding: Finding): string {
  if (finding.outcome === 'indeterminate') return 'this could not be tested now, try again later'
  if (finding.layer === 'dialup') return 'mail from dialup hosts is not taken'
  if (finding.layer === 'relay') return 'your host is an open relay'
  return 'the sender address does not exist'
}
