/**
 * Stage 5, message: DATA and BDAT, the octets of the message, and the header filter. RFC 5321
 * §4.1.1.4, RFC 3030.
 *
 * The 354 is ours. The header is collected and judged before the mailhost gets DATA; from then on
 * octets are passed on as they come. A message that is refused is read to its end and dropped, the
 * refusal comes there, and the mailhost never sees it whole. No stray CR, LF or NUL travels on, and
 * octets whose meaning the next one decides are kept back until it has come.
 *
 *   header ──judged──▶ opening ──354──▶ streaming        any phase ──refusal──▶ dropping
 */
import { BodyRewriter } from '../smtp/body-rewriter.ts'
import {
  bareCrFlag,
  bareLfFlag,
  hasEnded,
  nulFlag,
  scannedIndex,
  scannedState,
  strayFlags,
  undecidedOctets,
} from '../smtp/body-scanner.ts'
import { writeText } from '../smtp/octets.ts'
import { replyLine } from '../smtp/reply-text.ts'
import { messageOctetsMax } from './2-hello.ts'
import { tooLarge } from './3-envelope.ts'
import { isExempt, knowsTrust, testsPermit } from './4-tests.ts'
import { concludeRefused } from './conclude.ts'
import { openMessage, pass, passSettled, refuseMessage } from './message-flow.ts'
import { receivedField } from './received.ts'
import { close, namedRefusal, refuseConnection, say, sayFault } from './reply.ts'
import type { Message, Refusal, Session, Transaction } from './session.ts'
import { takeStash } from './stash.ts'

/** DATA. @returns false when it must wait for the tests. */
export function proceedData(session: Session, nowMs: number): boolean {
  const transaction = session.transaction
  const untimely = untimelyMessage(transaction)
  if (transaction === undefined || untimely !== '' || transaction.message !== undefined) {
    sayFault(session, untimely || replyLine(503, '5.5.1', 'DATA does not follow BDAT'), nowMs)
    return true
  }
  const permission = mayBegin(session, transaction, nowMs)
  if (permission === 'later') return false
  if (permission !== 'now') {
    concludeRefused(session, permission, nowMs)
    if (permission.closes) close(session, permission.reply)
    else say(session, permission.reply)
    return true
  }
  transaction.message = newMessage(session, transaction, false)
  session.reading = 'data'
  watchRate(session, nowMs)
  say(session, '354 end with <CRLF>.<CRLF>\r\n')
  return true
}

/** BDAT. @returns false when it must wait for the tests. */
export function proceedChunk(
  session: Session,
  octets: number,
  isLast: boolean,
  nowMs: number,
): boolean {
  const transaction = session.transaction
  if (octets > 2 * messageOctetsMax(session)) {
    const text = 'chunk larger than any message may be'
    refuseConnection(session, 'message-too-large', '552 5.3.4', text, nowMs)
    return true
  }
  const untimely = untimelyMessage(transaction)
  const isFirst = transaction?.message === undefined
  if (transaction !== undefined && untimely === '' && isFirst) {
    const permission = mayBegin(session, transaction, nowMs)
    if (permission === 'later') return false
    const message = newMessage(session, transaction, true)
    transaction.message = message
    // The chunk comes all the same: it is dropped, and the refusal is its one reply.
    if (permission !== 'now') {
      refuseMessage(session, transaction, message, permission, messageOctetsMax(session))
    }
  }
  session.reading = 'chunk'
  session.chunkOctets = octets
  session.chunkOctetsLeft = octets
  session.chunkIsLast = isLast
  session.chunkRefusal = untimely || replyLine(503, '5.5.1', 'no transaction for this chunk')
  // One minute for all chunks of a message, however they are cut.
  if (isFirst) watchRate(session, nowMs)
  if (octets === 0) endChunk(session, nowMs)
  return true
}

/** Reads message octets of DATA. @returns the index behind what was read. */
export function takeData(
  session: Session,
  chunk: Uint8Array,
  start: number,
  end: number,
  nowMs: number,
): number {
  const transaction = session.transaction
  const message = transaction?.message
  if (transaction === undefined || message === undefined) return end
  const before = message.scanState
  const result = session.compiled.scanBody(chunk, start, end, before)
  const index = scannedIndex(result)
  const state = scannedState(result)
  message.scanState = state
  const isEnd = hasEnded(state)
  // The dot line is not the message's, whichever of its octets came before.
  message.octets += index - start - (isEnd ? 3 : 0)
  checkMessage(session, transaction, message, (state & strayFlags) !== 0)
  if (message.phase !== 'dropping') {
    const settledEnd = isEnd ? index - 3 : index - undecidedOctets(state)
    passSettled(session, transaction, message, before, chunk, start, settledEnd, nowMs)
  }
  if (isEnd) endMessage(session, transaction, message, nowMs)
  else checkDropped(session, message, nowMs)
  return index
}

/** Reads octets of a BDAT chunk. @returns the index behind what was read. */
export function takeChunk(
  session: Session,
  chunk: Uint8Array,
  start: number,
  end: number,
  nowMs: number,
): number {
  const index = Math.min(end, start + session.chunkOctetsLeft)
  session.chunkOctetsLeft -= index - start
  const transaction = session.transaction
  const message = transaction?.message
  if (transaction !== undefined && message !== undefined) {
    message.octets += index - start
    const octets = message.rewriter?.rewrite(chunk, start, index)
    checkMessage(session, transaction, message, message.rewriter?.hasStray === true)
    if (message.phase !== 'dropping' && octets !== undefined) {
      pass(session, transaction, message, octets, nowMs)
    }
  }
  if (session.chunkOctetsLeft === 0) endChunk(session, nowMs)
  return index
}

function untimelyMessage(transaction: Transaction | undefined): string {
  if (transaction === undefined) return replyLine(503, '5.5.1', 'MAIL and RCPT come first')
  if (transaction.recipients.length > 0) return ''
  return replyLine(554, '5.5.1', 'no valid recipients')
}

/**
 * Do the tests permit the message now, later, or not at all? A recipient may stand here for whom
 * nothing was asked: call-ahead said of an earlier one that it does not exist. Then the tests are
 * asked now, and not about a recipient, since the mailhost has taken all that are left.
 */
function mayBegin(
  session: Session,
  transaction: Transaction,
  nowMs: number,
): 'now' | 'later' | Refusal {
  const isForExempt = transaction.recipients.every((to) => isExempt(session, to))
  const isTested = transaction.tests !== 'unasked' || !isForExempt
  if (isTested && !testsPermit(session, transaction, 'data', nowMs)) return 'later'
  const isFiltered = session.compiled.policy.headers.mode !== 'off'
  if (isFiltered && !knowsTrust(session, transaction, nowMs)) return 'later'
  const refused = transaction.testsRefusal
  return refused === undefined || isForExempt ? 'now' : refused
}

function newMessage(session: Session, transaction: Transaction, isChunked: boolean): Message {
  const received = receivedField(session, transaction)
  const stash = takeStash(received.length)
  return {
    phase: 'header',
    isChunked,
    octets: 0,
    dropOctetsMax: Number.POSITIVE_INFINITY,
    scanState: 0,
    stash,
    stashOctets: writeText(stash, received),
    headerStart: received.length,
    hasEnded: false,
    rewriter: isChunked ? new BodyRewriter(false, true) : undefined,
    refusal: undefined,
  }
}

function watchRate(session: Session, nowMs: number): void {
  session.rateSinceMs = nowMs
  session.rateOctets = session.transaction?.message?.octets ?? 0
}

/** Size and stray octets of what has come so far. */
function checkMessage(
  session: Session,
  transaction: Transaction,
  message: Message,
  hasStray: boolean,
): void {
  if (message.phase === 'dropping') return
  const octetsMax = messageOctetsMax(session)
  // What may become the dot line does not count yet.
  if (message.octets - undecidedOctets(message.scanState) > octetsMax) {
    const refused = tooLarge(session, transaction, octetsMax)
    refuseMessage(session, transaction, message, refused, 2 * octetsMax)
    return
  }
  if (!hasStray || session.compiled.policy.stray === 'normalise') return
  const refused = strayRefusal(session, transaction, message)
  refuseMessage(session, transaction, message, refused, octetsMax)
}

/** One name for all three, so that the verdict does not depend on how the octets were cut. */
function strayRefusal(session: Session, transaction: Transaction, message: Message): Refusal {
  const { scanState } = message
  const evidence = []
  if ((scanState & bareCrFlag) !== 0) evidence.push('bare CR')
  if ((scanState & bareLfFlag) !== 0) evidence.push('bare LF')
  if ((scanState & nulFlag) !== 0) evidence.push('NUL')
  const text = 'bare CR, bare LF or NUL in the message'
  return namedRefusal(session, transaction, 'protocol', 'stray-octet', '554 5.6.0', text, evidence)
}

/** More is coming than is worth reading: the refusal now, and close. */
function checkDropped(session: Session, message: Message, nowMs: number): void {
  if (message.phase !== 'dropping' || message.octets <= message.dropOctetsMax) return
  const refused = message.refusal
  if (refused === undefined) return
  concludeRefused(session, refused, nowMs)
  close(session, refused.reply)
}

/** The chunk is whole: its reply, and with the last one the end of the message. */
function endChunk(session: Session, nowMs: number): void {
  session.reading = 'commands'
  const transaction = session.transaction
  const message = transaction?.message
  if (transaction === undefined || message === undefined) {
    sayFault(session, session.chunkRefusal, nowMs)
    return
  }
  if (message.phase === 'dropping') {
    endRefused(session, message, nowMs)
    return
  }
  if (!session.chunkIsLast) {
    say(session, replyLine(250, '2.0.0', `${session.chunkOctets} octets received`))
    return
  }
  const rest = message.rewriter?.finish()
  const hasStray = message.rewriter?.hasStray === true
  checkMessage(session, transaction, message, hasStray)
  if (rest !== undefined) pass(session, transaction, message, rest, nowMs)
  endMessage(session, transaction, message, nowMs)
}

/** The end of data has come from the client. */
function endMessage(
  session: Session,
  transaction: Transaction,
  message: Message,
  nowMs: number,
): void {
  session.reading = 'commands'
  message.hasEnded = true
  if (message.phase === 'header') {
    openMessage(session, transaction, message, message.stashOctets, nowMs)
  }
  if (message.phase === 'dropping') {
    endRefused(session, message, nowMs)
    return
  }
  session.waiting = 'delivery'
  session.waitingSinceMs = nowMs
  if (message.phase === 'streaming') session.ports.transfer.endOfData()
}

/** The end of a message that was refused. */
export function endRefused(session: Session, message: Message, nowMs: number): void {
  const refused = message.refusal
  if (refused === undefined) return
  concludeRefused(session, refused, nowMs)
  if (refused.closes) close(session, refused.reply)
  else say(session, refused.reply)
}
