/**
 * Stage 3, envelope: MAIL, RCPT, RSET. RFC 5321 §3.3, §4.1.1.2, §4.1.1.3.
 *
 * MAIL is answered here; RCPT is answered by the mailhost, once our own rules permit it: only
 * recipient domains of ours, in the plain form, for everybody (B20: the proxy is no relay).
 */
import { isRoutingLocalPart, looksLikeRelayForm, type Path, parsePath } from '../smtp/address.ts'
import {
  type MailParameters,
  type ParameterFault,
  parseMailParameters,
  parseRecipientParameters,
} from '../smtp/parameters.ts'
import { replyLine } from '../smtp/reply-text.ts'
import { messageOctetsMax } from './2-hello.ts'
import { beginTests, isExempt, refuseMail, testsPermit } from './4-tests.ts'
import { concludeDropped, concludeRefused } from './conclude.ts'
import { protocolOf } from './received.ts'
import { close, countError, namedRefusal, refusal, say, sayFault } from './reply.ts'
import type { Refusal, Session, Transaction } from './session.ts'

/** MAIL; `argument` is what stands behind the verb and its space. */
export function proceedMail(session: Session, argument: string, nowMs: number): void {
  const untimely = untimelyMail(session)
  if (untimely !== '') {
    if (untimely.startsWith('421')) close(session, untimely)
    else sayFault(session, untimely, nowMs)
    return
  }
  const path = hasPrefix(argument, 'FROM:') ? parsePath(argument, 5, false) : undefined
  if (path === undefined) {
    const isForm = hasPrefix(argument, 'FROM:<')
    const text = isForm ? badSender : replyLine(501, '5.5.2', 'MAIL FROM:<address> is wanted')
    sayFault(session, text, nowMs)
    return
  }
  const parameters = parseMailParameters(argument.slice(path.end), session.offered)
  const fault = faultOf(parameters.fault) || utf8Fault(session, path, parameters)
  if (fault !== '') {
    sayFault(session, fault, nowMs)
    return
  }
  openTransaction(session, path, parameters, nowMs)
}

/** RCPT. @returns false when it cannot be answered yet: the line is read again later. */
export function proceedRecipient(session: Session, argument: string, nowMs: number): boolean {
  const transaction = session.transaction
  const path = parsePath(argument, 3, true)
  const local = localReply(session, transaction, argument, path)
  if (local !== undefined) {
    // Replies keep the order of the commands: earlier ones are still with the mailhost.
    if (transaction !== undefined && transaction.recipientsOffered.length > 0) return false
    if (path !== undefined && local.layer === 'recipient') note(transaction, path.mailbox, local)
    say(session, local.reply)
    if (local.finding !== 'too-many-recipients') countError(session, nowMs)
    return true
  }
  if (transaction === undefined || path === undefined) return true
  if (transaction.recipientRefusal !== undefined) {
    if (transaction.recipientsOffered.length > 0) return false
    note(transaction, path.mailbox, transaction.recipientRefusal)
    say(session, transaction.recipientRefusal.reply)
    transaction.recipientRefusal = undefined
    return true
  }
  const isTested = !isExempt(session, path.mailbox)
  if (isTested && !testsPermitRecipient(session, transaction, path, nowMs)) return false
  const refused = isTested ? transaction.testsRefusal : undefined
  if (refused !== undefined) {
    if (transaction.recipientsOffered.length > 0) return false
    refuseByTests(session, transaction, path.mailbox, refused, nowMs)
    return true
  }
  offerRecipient(session, transaction, path, argument, nowMs)
  return true
}

/** RSET: drops the transaction. */
export function proceedReset(session: Session, nowMs: number): void {
  concludeDropped(session, 'reset', nowMs)
  say(session, replyLine(250, '2.0.0', 'reset'))
}

const senderTaken = replyLine(250, '2.1.0', 'sender ok')
const badSender = replyLine(501, '5.1.7', 'the sender address is not of the form <local@domain>')
const badRecipient = 'the recipient is not of the form <local@domain>'

/** Why MAIL may not come now, '' when it may. */
function untimelyMail(session: Session): string {
  const { policy } = session.compiled
  if (session.helo === '') return replyLine(503, '5.5.1', 'send EHLO or HELO first')
  if (session.transaction !== undefined) return replyLine(503, '5.5.1', 'nested MAIL')
  if (session.isStopping) return replyLine(421, '4.3.2', 'shutting down')
  if (policy.transactionsMax > 0 && session.transactions >= policy.transactionsMax) {
    return replyLine(421, '4.7.0', 'too many messages in this connection')
  }
  return ''
}

function openTransaction(
  session: Session,
  path: Path,
  parameters: MailParameters,
  nowMs: number,
): void {
  session.transactions++
  const transaction: Transaction = {
    id: '',
    startedAtMs: nowMs,
    sender: path.mailbox,
    mailArguments: `<${path.mailbox}>${parameters.text}`,
    isUtf8: parameters.isUtf8,
    isBegun: false,
    isWhitelisted: false,
    owesMailReply: false,
    tests: 'unasked',
    testedRecipient: '',
    recipientRefusal: undefined,
    testsRefusal: undefined,
    observed: undefined,
    evidence: [],
    recipients: [],
    recipientsRefused: [],
    recipientsOffered: [],
    refusal: undefined,
    message: undefined,
    statedOctets: parameters.sizeOctets,
  }
  session.transaction = transaction
  const refused = sizeRefusal(session, transaction)
  if (refused !== undefined) {
    say(session, refused.reply)
    concludeRefused(session, refused, nowMs)
    return
  }
  if (session.compiled.policy.testsAt === 'mail' && !beginTests(session, transaction, '', nowMs)) {
    transaction.owesMailReply = true
    return
  }
  replyToMail(session)
}

/** RFC 1870 §6.1: for good where no such message is taken, for now where stress is the reason. */
function sizeRefusal(session: Session, transaction: Transaction): Refusal | undefined {
  const { policy, isStressed } = session.compiled
  const octets = transaction.statedOctets
  const octetsMax = messageOctetsMax(session)
  const stressMax = policy.stressSizeOctetsMax
  const evidence = [`SIZE=${octets}`]
  if (octets > octetsMax) return tooLarge(session, transaction, octetsMax, evidence)
  if (!isStressed || stressMax === 0 || octets <= stressMax) return undefined
  const text = `too busy for more than ${stressMax} octets, try again later`
  const name = 'message-too-large'
  return namedRefusal(session, transaction, 'protocol', name, '452 4.3.1', text, evidence)
}

/** A message that is larger than we and the mailhosts take. */
export function tooLarge(
  session: Session,
  transaction: Transaction,
  octetsMax: number,
  evidence: readonly string[] = [],
): Refusal {
  const text = `larger than ${octetsMax} octets`
  const name = 'message-too-large'
  return namedRefusal(session, transaction, 'protocol', name, '552 5.3.4', text, evidence)
}

/** Answers a MAIL whose reply has waited for the tests, once they permit or refuse it. */
export function continueMail(session: Session, nowMs: number): void {
  const transaction = session.transaction
  if (transaction?.owesMailReply !== true || session.waiting !== 'nothing') return
  const isSettled = beginTests(session, transaction, '', nowMs)
  if (!isSettled && transaction.tests !== 'provisional') return
  transaction.owesMailReply = false
  session.idleSinceMs = nowMs
  if (transaction.testsRefusal === undefined) replyToMail(session)
  else refuseMail(session, transaction.testsRefusal, nowMs)
}

function replyToMail(session: Session): void {
  say(session, senderTaken)
}

/** The reply that RCPT gets from us alone, undefined when it may go on. */
function localReply(
  session: Session,
  transaction: Transaction | undefined,
  argument: string,
  path: Path | undefined,
): Refusal | undefined {
  if (transaction === undefined || transaction.message !== undefined) {
    return syntaxFault(replyLine(503, '5.5.1', 'RCPT needs MAIL, and comes before the message'))
  }
  if (!hasPrefix(argument, 'TO:')) {
    return syntaxFault(replyLine(501, '5.5.2', 'RCPT TO:<address> is wanted'))
  }
  const { recipientsMax } = session.compiled.policy
  if (countOfRecipients(transaction) >= recipientsMax) {
    const text = 'too many recipients'
    const name = 'too-many-recipients'
    return namedRefusal(session, transaction, 'recipient', name, '452 4.5.3', text)
  }
  if (path === undefined || isOddForm(argument, path)) {
    return unreadableRecipient(session, transaction, argument)
  }
  const parameters = parseRecipientParameters(argument.slice(path.end), session.offered)
  const fault = faultOf(parameters.fault) || utf8RecipientFault(transaction, path)
  if (fault !== '') return syntaxFault(fault)
  if (isOurs(session, path)) return undefined
  return relayDenied(session, transaction, 'relay-denied', [path.mailbox])
}

function countOfRecipients(transaction: Transaction): number {
  const { recipients, recipientsRefused, recipientsOffered } = transaction
  return recipients.length + recipientsRefused.length + recipientsOffered.length
}

/** A null path, and a bare local part other than postmaster, are no recipients (§4.1.1.3). */
function isOddForm(argument: string, path: Path): boolean {
  if (path.local === '') return true
  if (path.domain === '' && path.local.toLowerCase() !== 'postmaster') return true
  const next = argument.charCodeAt(path.end)
  return !Number.isNaN(next) && next !== 0x20
}

/** No readable recipient: said as a relay attempt where it looks like one. */
function unreadableRecipient(
  session: Session,
  transaction: Transaction,
  argument: string,
): Refusal {
  const text = argument.slice(argument.indexOf('<') + 1)
  const inner = text.endsWith('>') ? text.slice(0, -1) : text
  if (!argument.startsWith('<', 3) || !looksLikeRelayForm(inner)) {
    const codes = '501 5.1.3'
    return namedRefusal(session, transaction, 'recipient', 'bad-recipient', codes, badRecipient, [
      argument,
    ])
  }
  return relayDenied(session, transaction, 'relay-form', [argument])
}

function relayDenied(
  session: Session,
  transaction: Transaction,
  finding: string,
  evidence: readonly string[],
): Refusal {
  const text = 'we do not take mail for this address'
  return namedRefusal(session, transaction, 'recipient', finding, '550 5.7.1', text, evidence)
}

/** Is it a plain address in a domain of ours, or a trusted client's partner's? Only these go on. */
function isOurs(session: Session, path: Path): boolean {
  if (path.hasSourceRoute || isRoutingLocalPart(path.local)) return false
  const { domains, partners } = session.compiled
  if (path.domain === '' || domains.has(path.domain)) return true
  return session.isTrusted && partners.has(path.domain)
}

function testsPermitRecipient(
  session: Session,
  transaction: Transaction,
  path: Path,
  nowMs: number,
): boolean {
  if (transaction.testedRecipient === '') transaction.testedRecipient = path.mailbox
  if (session.compiled.policy.testsAt !== 'data') {
    return testsPermit(session, transaction, 'rcpt', nowMs)
  }
  beginTests(session, transaction, path.mailbox, nowMs)
  session.waiting = 'nothing' // DATA waits, not RCPT.
  return true
}

function refuseByTests(
  session: Session,
  transaction: Transaction,
  mailbox: string,
  refused: Refusal,
  nowMs: number,
): void {
  transaction.recipientsRefused.push(mailbox)
  if (!refused.closes) {
    say(session, refused.reply)
    return
  }
  concludeRefused(session, refused, nowMs)
  close(session, refused.reply)
}

function offerRecipient(
  session: Session,
  transaction: Transaction,
  path: Path,
  argument: string,
  nowMs: number,
): void {
  const { transfer } = session.ports
  if (!transaction.isBegun) {
    transaction.isBegun = true
    transfer.begin(transaction.mailArguments, session.helo, protocolOf(session))
  }
  const parameters = parseRecipientParameters(argument.slice(path.end), session.offered)
  transaction.recipientsOffered.push(path.mailbox)
  session.waitingSinceMs = nowMs
  transfer.recipient(`<${path.mailbox}>${parameters.text}`, path.domain)
}

function note(transaction: Transaction | undefined, mailbox: string, refused: Refusal): void {
  if (transaction === undefined) return
  if (refused.finding !== 'too-many-recipients') transaction.recipientsRefused.push(mailbox)
  transaction.refusal = refused
}

function syntaxFault(text: string): Refusal {
  return refusal('protocol', 'syntax', text, [])
}

function faultOf(fault: ParameterFault | undefined): string {
  if (fault === undefined) return ''
  if (fault === 'unknown') return replyLine(555, '5.5.4', 'a parameter that is not offered')
  if (fault === 'size-syntax') return replyLine(501, '5.5.4', 'SIZE wants up to 20 digits')
  return replyLine(501, '5.5.4', 'malformed parameters')
}

function utf8Fault(_session: Session, path: Path, parameters: MailParameters): string {
  if (!path.isUtf8 || parameters.isUtf8) return ''
  return replyLine(553, '5.6.7', 'an address that is not ASCII needs SMTPUTF8')
}

function utf8RecipientFault(transaction: Transaction, path: Path): string {
  if (!path.isUtf8 || transaction.isUtf8) return ''
  return replyLine(553, '5.6.7', 'an address that is not ASCII needs SMTPUTF8')
}

/** Does the argument begin so, in any case? `prefix` is upper case. */
function hasPrefix(argument: string, prefix: string): boolean {
  if (argument.length < prefix.length) return false
  for (let i = 0; i < prefix.length; i++) {
    const unit = argument.charCodeAt(i)
    const isLower = unit >= 0x61 && unit <= 0x7a
    if ((isLower ? unit - 0x20 : unit) !== prefix.charCodeAt(i)) return false
  }
  return true
}
