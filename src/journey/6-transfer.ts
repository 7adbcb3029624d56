/**
 * Stage 6, transfer: the mailhost's answers become the client's replies, unchanged in class and
 * code. 250 at the end of data is said for the mailhost's 250 alone; whatever is in doubt is 4xx.
 */
import type { Reply } from '../smtp/reply.ts'
import { replyText } from '../smtp/reply-text.ts'
import { messageOctetsMax } from './2-hello.ts'
import { endRefused } from './5-message.ts'
import { concludeDelivered, concludeRefused } from './conclude.ts'
import { refuseMessage, streamStash } from './message-flow.ts'
import { close, namedRefusal, refusal, say } from './reply.ts'
import type { Refusal, Session, Transaction } from './session.ts'

/** The mailhost's reply to the oldest recipient offered. */
export function takeRecipientReply(session: Session, reply: Reply, nowMs: number): void {
  const transaction = session.transaction
  const mailbox = transaction?.recipientsOffered.shift()
  if (transaction === undefined || mailbox === undefined) return
  session.waitingSinceMs = nowMs
  if (reply.code >= 200 && reply.code < 300) {
    transaction.recipients.push(mailbox)
    say(session, replyText(reply))
    return
  }
  const refused = refusalBy(session, transaction, reply)
  transaction.recipientsRefused.push(mailbox)
  transaction.refusal = refused
  if (!refused.closes) {
    say(session, refused.reply)
    return
  }
  concludeRefused(session, refused, nowMs)
  close(session, refused.reply)
}

/** The mailhost's reply to DATA. */
export function takeDataReply(session: Session, reply: Reply, nowMs: number): void {
  const transaction = session.transaction
  const message = transaction?.message
  if (transaction === undefined || message === undefined || message.phase !== 'opening') return
  session.waitingSinceMs = nowMs
  if (reply.code === 354) {
    streamStash(session, message)
    if (message.hasEnded) session.ports.transfer.endOfData()
    return
  }
  refuseByMailhost(session, transaction, refusalBy(session, transaction, reply), nowMs)
}

/** The mailhost's reply to the final dot. */
export function takeDeliveryReply(session: Session, reply: Reply, nowMs: number): void {
  const transaction = session.transaction
  const message = transaction?.message
  if (transaction === undefined || message === undefined) return
  if (session.waiting !== 'delivery' || message.phase !== 'streaming') return
  session.waiting = 'nothing'
  session.isTransferFull = false
  transaction.isBegun = false
  if (reply.code === 250) {
    const text = replyText(reply)
    session.junkCommands = 0
    concludeDelivered(session, text, nowMs)
    say(session, text)
    return
  }
  message.refusal = refusalBy(session, transaction, reply)
  endRefused(session, message, nowMs)
}

/** The mailhost is gone, or has answered nothing for too long: what is open fails for now. */
export function loseLink(session: Session, how: 'away' | 'silent', nowMs: number): void {
  const transaction = session.transaction
  if (transaction === undefined) return
  const { codes, text } = losses[how]
  const lost = namedRefusal(session, transaction, 'transfer', 'mailhost-lost', codes, text)
  while (transaction.recipientsOffered.length > 0 && session.transaction === transaction) {
    const mailbox = transaction.recipientsOffered.shift() ?? ''
    transaction.recipientsRefused.push(mailbox)
    transaction.refusal = lost
    say(session, lost.reply)
  }
  const phase = transaction.message?.phase
  if (phase === 'opening' || phase === 'streaming') {
    refuseByMailhost(session, transaction, lost, nowMs)
  } else if (transaction.isBegun && transaction.message === undefined) {
    session.ports.transfer.release()
  }
}

/** What the client is told then. */
const losses = {
  away: { codes: '451 4.4.1', text: 'the mailhost is away, try again' },
  silent: { codes: '451 4.4.2', text: 'the mailhost does not answer' },
} as const

/** Refuses the message now if it is over, else at its end. */
function refuseByMailhost(
  session: Session,
  transaction: Transaction,
  refused: Refusal,
  nowMs: number,
): void {
  const message = transaction.message
  if (message === undefined) return
  refuseMessage(session, transaction, message, refused, messageOctetsMax(session))
  if (!message.hasEnded) return
  session.waiting = 'nothing'
  endRefused(session, message, nowMs)
}

/**
 * A mailhost's refusal, unchanged; or the transfer's own. What is no refusal where one was due is a
 * doubt: 451.
 */
function refusalBy(session: Session, transaction: Transaction, reply: Reply): Refusal {
  const { code, enhanced, lines, finding } = reply
  const named = (name: string, codes: string, text: string): Refusal =>
    namedRefusal(session, transaction, 'transfer', name, codes, text)
  if (finding !== undefined) return named(finding, `${code} ${enhanced}`, lines.join(' '))
  const said = replyText(reply)
  const mailhostReply = said.trimEnd()
  if (code < 400 || code > 599) {
    const { codes, text } = losses.away
    return { ...named('mailhost-unclear', codes, text), mailhostReply }
  }
  const refused = refusal('transfer', 'mailhost-refused', said, [])
  // RFC 5321 §3.8: after 421 the channel is closed, towards our client too.
  return { ...refused, mailhostReply, closes: code === 421 }
}
