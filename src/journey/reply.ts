/**
 * What is said to the client, and how a connection is closed.
 */
import type { Layer } from '../checks/finding.ts'
import { concludeConnection, idOf, recordIdOf } from './conclude.ts'
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
  refuseConnection(session, 'too-many-errors', '421 4.7.0', 'too many errors, closing', nowMs)
}

/**
 * Ends transaction and connection with a refusal of the protocol. @param codes '' where nothing can
 * be said
 */
export function refuseConnection(
  session: Session,
  finding: string,
  codes: string,
  text: string,
  nowMs: number,
  evidence: readonly string[] = [],
  isDone = false,
): void {
  if (session.reading === 'nothing') return
  const id = recordIdOf(session)
  const named = id === '' ? text : `${text}, id=${id}`
  const reply = codes === '' ? '' : `${codes} protocol: ${named}\r\n`
  concludeConnection(session, refusal('protocol', finding, reply, evidence), id, nowMs)
  close(session, reply, isDone)
}

/** A refusal of a whole reply line; 4xx is a tempfail. */
export function refusal(
  layer: Layer,
  finding: string,
  reply: string,
  evidence: readonly string[],
): Refusal {
  const action = reply.startsWith('4') ? 'tempfail' : 'refuse'
  return { layer, finding, action, reply, mailhostReply: '', evidence, closes: false }
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
  evidence: readonly string[] = [],
): Refusal {
  const id = idOf(session, transaction)
  return refusal(layer, finding, `${codes} ${layer}: ${text}, id=${id}\r\n`, evidence)
}
