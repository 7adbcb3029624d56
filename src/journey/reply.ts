/**
 * What is said to the client, and how a connection is closed.
 */
import type { Layer } from '../checks/finding.ts'
import { replyLine } from '../smtp/reply-text.ts'
import { concludeConnection, idOf } from './conclude.ts'
import type { Refusal, Session, Transaction } from './session.ts'

/** Queues reply text with CRLF. */
export function say(session: Session, text: string): void {
  if (!session.ports.client.reply(text)) session.isClogged = true
}

/**
 * Says the last thing; what the client still sends is dropped. `isDone`: it said QUIT, or has said
 * nothing for too long.
 */
export function close(session: Session, text: string, isDone = false): void {
  if (session.reading === 'nothing') return
  session.reading = 'nothing'
  session.held = undefined
  if (text !== '') session.ports.client.reply(text)
  session.ports.client.close(isDone)
}

/** A faulty command: counted; too many close the connection. */
export function sayFault(session: Session, text: string, nowMs: number): void {
  say(session, text)
  countError(session, nowMs)
}

/** One error more; too many close the connection. */
export function countError(session: Session, nowMs: number): void {
  session.errors++
  const { policy, isStressed } = session.compiled
  if (session.errors < (isStressed ? policy.stressErrorsMax : policy.errorsMax)) return
  const text = replyLine(421, '4.7.0', 'too many errors, closing')
  refuseConnection(session, refusal('protocol', 'too-many-errors', text, []), nowMs)
}

/** Ends transaction and connection with a refusal. */
export function refuseConnection(
  session: Session,
  refused: Refusal,
  nowMs: number,
  isDone = false,
): void {
  if (session.reading === 'nothing') return
  concludeConnection(session, refused, nowMs)
  close(session, refused.reply, isDone)
}

/** A refusal of a whole reply line; 4xx is a tempfail. */
export function refusal(
  layer: Layer,
  finding: string,
  reply: string,
  evidence: readonly string[],
): Refusal {
  const action = reply.startsWith('4') ? 'tempfail' : 'refuse'
  return { layer, finding, action, reply, evidence, closes: false }
}

/**
 * A refusal whose text names layer and id, so that a postmaster can ask and an operator find it.
 */
export function namedRefusal(
  session: Session,
  transaction: Transaction,
  layer: Layer,
  finding: string,
  codes: string,
  text: string,
  evidence: readonly string[],
): Refusal {
  const id = idOf(session, transaction)
  return refusal(layer, finding, `${codes} ${layer}: ${text}, id=${id}\r\n`, evidence)
}
