/**
 * Conclude: the one exit. Exactly one verdict record per transaction, and one per connection that
 * is refused before its first.
 *
 * Every way a transaction can end leads here: delivered, refused, reset, given up, timed out, or
 * met by a bug of ours. What it was waiting for is given up in the same step, so nothing that comes
 * late can touch a successor.
 */
import type { Layer } from '../checks/finding.ts'
import { protocolOf } from './received.ts'
import type { Action } from './record.ts'
import type { Message, Refusal, Session, Transaction } from './session.ts'
import { giveStash } from './stash.ts'

/** What a conclusion says beyond what the transaction itself knows. */
export interface Conclusion {
  readonly layer: Layer
  readonly finding: string
  readonly action: Action
  /** The reply that the client got, CRLF included, '' for none. */
  readonly reply: string
  readonly mailhostReply: string
  readonly evidence: readonly string[]
}

/** The id of a transaction: made when somebody must name it. */
export function idOf(session: Session, transaction: Transaction): string {
  if (transaction.id === '') transaction.id = session.ports.records.newId()
  return transaction.id
}

/** The id of the record that a refusal of the connection will have now, '' for none. */
export function recordIdOf(session: Session): string {
  const { transaction } = session
  if (transaction !== undefined) return idOf(session, transaction)
  return session.conclusions === 0 ? session.ports.records.newId() : ''
}

/** Ends a transaction with its record. Mailhost and questions must be done with, or given up. */
export function conclude(session: Session, conclusion: Conclusion, nowMs: number): void {
  const transaction = session.transaction
  if (transaction === undefined) return
  const id = idOf(session, transaction)
  session.transaction = undefined
  if (transaction.message !== undefined) forgetStash(transaction.message)
  session.conclusions++
  session.ports.records.verdict({
    time: session.ports.records.wallMs(),
    id,
    client: session.client.address,
    port: session.client.port,
    helo: session.helo,
    sender: transaction.sender,
    recipients: transaction.recipients,
    recipientsRefused: transaction.recipientsRefused,
    layer: conclusion.layer,
    finding: conclusion.finding,
    action: conclusion.action,
    reply: conclusion.reply.trimEnd(),
    evidence: conclusion.evidence,
    mailhostReply: conclusion.mailhostReply,
    octets: transaction.message?.octets ?? 0,
    ms: nowMs - transaction.startedAtMs,
    tls: session.tls,
    protocol: protocolOf(session),
  })
}

/** Ends a transaction that the mailhost has taken; what was only observed is named. */
export function concludeDelivered(session: Session, reply: string, nowMs: number): void {
  const transaction = session.transaction
  if (transaction === undefined) return
  const observed = transaction.observed ?? session.observed
  const { evidence } = transaction
  const mailhostReply = reply.trimEnd()
  if (observed !== undefined) {
    const { layer, name: finding } = observed
    const told = [...evidence, ...observed.evidence]
    const action = 'observe'
    conclude(session, { layer, finding, action, reply, mailhostReply, evidence: told }, nowMs)
    return
  }
  const { layer, finding } = passing(session, transaction)
  conclude(session, { layer, finding, action: 'pass', reply, mailhostReply, evidence }, nowMs)
}

/** Ends a transaction with a refusal, giving up mailhost and questions. */
export function concludeRefused(session: Session, refusal: Refusal, nowMs: number): void {
  const transaction = session.transaction
  if (transaction === undefined) return
  giveUp(session, transaction)
  const { layer, finding, action, reply, mailhostReply } = refusal
  const evidence = [...transaction.evidence, ...refusal.evidence]
  conclude(session, { layer, finding, action, reply, mailhostReply, evidence }, nowMs)
}

/**
 * Ends a transaction that nobody goes on with: RSET, a new hello, QUIT, the client gone. If a
 * refusal had happened in it, that is its verdict.
 */
export function concludeDropped(session: Session, finding: string, nowMs: number): void {
  const transaction = session.transaction
  if (transaction === undefined) return
  const { message } = transaction
  const refusal = message?.refusal ?? transaction.testsRefusal ?? transaction.refusal
  if (refusal !== undefined) {
    // What the mailhost said of a recipient it has not said of the message that was under way.
    const isOfMessage = message === undefined || message.refusal !== undefined
    concludeRefused(session, isOfMessage ? refusal : { ...refusal, mailhostReply: '' }, nowMs)
    return
  }
  giveUp(session, transaction)
  const { evidence } = transaction
  const nothing = { reply: '', mailhostReply: '', evidence }
  conclude(session, { ...nothing, layer: 'protocol', finding, action: 'drop' }, nowMs)
}

/**
 * The record of a connection that is refused: with its running transaction, or, when it never had
 * one, of its own; a connection with earlier records needs no further. @param id of `recordIdOf`
 */
export function concludeConnection(
  session: Session,
  refusal: Refusal,
  id: string,
  nowMs: number,
): void {
  if (session.transaction !== undefined) {
    concludeRefused(session, refusal, nowMs)
    return
  }
  if (id === '') return
  session.conclusions++
  session.ports.records.verdict({
    time: session.ports.records.wallMs(),
    id,
    client: session.client.address,
    port: session.client.port,
    helo: session.helo,
    sender: '',
    recipients: [],
    recipientsRefused: [],
    layer: refusal.layer,
    finding: refusal.finding,
    action: refusal.action,
    reply: refusal.reply.trimEnd(),
    evidence: refusal.evidence,
    mailhostReply: '',
    octets: 0,
    ms: nowMs - session.client.acceptedAtMs,
    tls: session.tls,
    protocol: session.helo === '' ? '' : protocolOf(session),
  })
}

/** What was kept of the message is of no use any more. */
function forgetStash(message: Message): void {
  giveStash(message.stash)
  message.stash = nothing
  message.stashOctets = 0
}

const nothing = new Uint8Array(0)

function giveUp(session: Session, transaction: Transaction): void {
  if (transaction.isBegun) session.ports.transfer.abandon()
  session.isTransferFull = false
  if (transaction.tests === 'asked' || transaction.tests === 'provisional') {
    session.ports.questions.forget()
    if (session.trust === 'asked') session.trust = 'unasked'
  }
  session.waiting = 'nothing'
}

/** By which layer a delivered message passed. */
interface Passing {
  readonly layer: Layer
  readonly finding: string
}

const byTrustedNetwork: Passing = { layer: 'connect', finding: 'trusted-network' }
const byTrustedName: Passing = { layer: 'connect', finding: 'trusted-name' }
const byWhitelist: Passing = { layer: 'whitelist', finding: 'whitelisted' }
const byNothing: Passing = { layer: 'transfer', finding: '' }

function passing(session: Session, transaction: Transaction): Passing {
  if (session.client.isTrusted) return byTrustedNetwork
  if (session.isTrusted) return byTrustedName
  return transaction.isWhitelisted ? byWhitelist : byNothing
}
