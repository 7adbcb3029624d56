/**
 * Commands: cuts the client's octets into lines and gives each to its stage. RFC 5321 §2.3.8, RFC
 * 2920.
 *
 * A line ends with CRLF only. One command at a time: what comes while an answer is outstanding is
 * held, bounded by pausing the client; recipients alone may be under way together. A stage that
 * cannot answer yet leaves its line unread, and it is read again when the answer has come.
 */
import { commandLineOctetsMax, junkCommandsMax, lineDropOctetsMax } from '../base/limits.ts'
import { endWithoutSpaces, type Verb, verbOf } from '../smtp/command.ts'
import { cr, lf, textOf } from '../smtp/octets.ts'
import { replyLine } from '../smtp/reply-text.ts'
import { proceedHello, proceedQuit, proceedStartTls } from './2-hello.ts'
import { proceedMail, proceedRecipient, proceedReset } from './3-envelope.ts'
import { proceedChunk, proceedData, takeChunk, takeData } from './5-message.ts'
import { concludeRefused } from './conclude.ts'
import { judgementOf, timeoutsNow } from './policy.ts'
import { countError, namedRefusal, refuseConnection, say, sayFault } from './reply.ts'
import type { Session } from './session.ts'

/** Takes octets [start, end) behind those that are held. `isLive`: the chunk is the engine's. */
export function takeInput(
  session: Session,
  chunk: Uint8Array,
  start: number,
  end: number,
  nowMs: number,
): void {
  if (session.reading === 'nothing') return
  const { held } = session
  if (held === undefined) {
    session.isChunkLive = true
    // The rest of an over-long line belongs to the time of that line.
    if (session.lineOctetsDropped === 0) session.lineSinceMs = nowMs
    keep(session, chunk, consume(session, chunk, start, end, nowMs), end, nowMs)
    session.isChunkLive = false
    return
  }
  const joined = new Uint8Array(held.length + end - start)
  joined.set(held)
  joined.set(chunk.subarray(start, end), held.length)
  session.held = undefined
  keep(session, joined, consume(session, joined, 0, joined.length, nowMs), joined.length, nowMs)
}

/** Goes on with what is held, after an answer has come. */
export function resumeInput(session: Session, nowMs: number): void {
  const { held } = session
  if (held === undefined || isBlocked(session)) return
  session.held = undefined
  keep(session, held, consume(session, held, 0, held.length, nowMs), held.length, nowMs)
}

/** Does the next command have to wait? */
export function isBlocked(session: Session): boolean {
  return session.waiting !== 'nothing' || session.isClogged
}

/** @returns the index of the first octet that was not consumed. */
function consume(
  session: Session,
  chunk: Uint8Array,
  start: number,
  end: number,
  nowMs: number,
): number {
  let at = start
  while (at < end) {
    const before = at
    if (session.reading === 'commands') at = takeLine(session, chunk, at, end, nowMs)
    else if (session.reading === 'data') at = takeData(session, chunk, at, end, nowMs)
    else if (session.reading === 'chunk') at = takeChunk(session, chunk, at, end, nowMs)
    else return end
    if (at === before) return at
  }
  return at
}

function keep(
  session: Session,
  chunk: Uint8Array,
  start: number,
  end: number,
  nowMs: number,
): void {
  if (session.reading === 'nothing' || start >= end) return
  // A copy, also where the chunk is a Buffer, whose own `slice` is a view of memory used again.
  session.held = Uint8Array.prototype.slice.call(chunk, start, end)
  if (start > 0) session.lineSinceMs = nowMs
}

/** Reads one line. @returns the index behind it, or `start` when it must wait or is not whole. */
function takeLine(
  session: Session,
  chunk: Uint8Array,
  start: number,
  end: number,
  nowMs: number,
): number {
  if (isBlocked(session)) {
    noteIllegalPipelining(session, !session.offered.has('PIPELINING'), nowMs)
    return start
  }
  if (session.lineOctetsDropped > 0) return dropLine(session, chunk, start, end, nowMs)
  const lineEnd = endOfLine(chunk, start, Math.min(end, start + commandLineOctetsMax))
  if (lineEnd < 0) {
    // Recipients before it are answered first: replies keep the order of the commands.
    if (end - start < commandLineOctetsMax || isRecipientOwed(session)) return start
    session.lineSinceMs = nowMs
    sayFault(session, replyLine(500, '5.5.2', 'line too long'), nowMs)
    return dropLine(session, chunk, start, end, nowMs)
  }
  const verb = verbOf(chunk, start, lineEnd)
  if (!execute(session, verb, chunk, start, lineEnd, lineEnd + 2 < end, nowMs)) return start
  session.commands++
  session.idleSinceMs = nowMs
  if (lineEnd + 2 < end) noteIllegalPipelining(session, mustBeLast(session, verb), nowMs)
  return lineEnd + 2
}

/** The index of the CR of CRLF, −1 when there is none in [start, end). */
function endOfLine(chunk: Uint8Array, start: number, end: number): number {
  for (let i = start + 1; i < end; i++) if (chunk[i] === lf && chunk[i - 1] === cr) return i - 1
  return -1
}

/**
 * Drops an over-long line, which has got its 500, up to its CRLF; closes when that does not come.
 */
function dropLine(
  session: Session,
  chunk: Uint8Array,
  start: number,
  end: number,
  nowMs: number,
): number {
  let wasCr = session.isDroppedLineAfterCr
  for (let i = start; i < end; i++) {
    const octet = chunk[i]
    if (octet === lf && wasCr) {
      session.lineOctetsDropped = 0
      session.isDroppedLineAfterCr = false
      session.idleSinceMs = nowMs
      return i + 1
    }
    wasCr = octet === cr
  }
  session.isDroppedLineAfterCr = wasCr
  session.lineOctetsDropped += end - start
  if (session.lineOctetsDropped > lineDropOctetsMax) {
    refuseConnection(session, 'endless-line', '421 4.7.0', 'endless line, closing', nowMs)
  }
  return end
}

/** Has the mailhost a recipient to answer? */
function isRecipientOwed({ transaction }: Session): boolean {
  return transaction !== undefined && transaction.recipientsOffered.length > 0
}

/** Gives the line to its stage. @returns false when it cannot be answered yet. */
function execute(
  session: Session,
  verb: Verb,
  chunk: Uint8Array,
  start: number,
  lineEnd: number,
  hasMoreInput: boolean,
  nowMs: number,
): boolean {
  if (verb !== 'RCPT' && isRecipientOwed(session)) return false
  if (verb !== 'QUIT' && hasLastedTooLong(session, nowMs)) {
    const text = 'this connection lasts too long'
    refuseConnection(session, 'session-too-long', '421 4.4.2', text, nowMs)
    return true
  }
  const end = endWithoutSpaces(chunk, start, lineEnd)
  switch (verb) {
    case 'MAIL':
      proceedMail(session, textOf(chunk, Math.min(start + 5, end), end), nowMs)
      return true
    case 'RCPT':
      return proceedRecipient(session, textOf(chunk, Math.min(start + 5, end), end), nowMs)
    case 'DATA':
      if (end > start + 4) return fault(session, 501, '5.5.4', 'DATA takes no parameter', nowMs)
      return proceedData(session, nowMs)
    case 'BDAT':
      return executeChunk(session, textOf(chunk, Math.min(start + 5, end), end), nowMs)
    case 'STARTTLS': {
      const argument = textOf(chunk, Math.min(start + 9, end), end)
      proceedStartTls(session, argument, hasMoreInput, nowMs)
      return true
    }
    case 'unknown':
      return fault(session, 500, '5.5.2', 'command not known', nowMs)
    case 'control-octet':
      return fault(session, 500, '5.5.2', 'control octet in the command line', nowMs)
    case 'unsupported':
      return fault(session, 502, '5.5.1', 'command not offered', nowMs)
    default:
      executeSimple(session, verb, textOf(chunk, Math.min(start + 5, end), end), nowMs)
      return true
  }
}

/** Has it had its time? A transaction that has begun is finished first. */
function hasLastedTooLong({ compiled, client, transaction }: Session, nowMs: number): boolean {
  const { sessionMs } = timeoutsNow(compiled)
  return transaction === undefined && sessionMs > 0 && nowMs - client.acceptedAtMs > sessionMs
}

/** Commands that may come at any time and need no transaction; too many of them are errors. */
function executeSimple(
  session: Session,
  verb: 'HELO' | 'EHLO' | 'RSET' | 'NOOP' | 'VRFY' | 'HELP' | 'QUIT',
  argument: string,
  nowMs: number,
): void {
  if (verb === 'QUIT') {
    if (argument === '') proceedQuit(session, nowMs)
    else fault(session, 501, '5.5.4', 'QUIT takes no parameter', nowMs)
    return
  }
  switch (verb) {
    case 'HELO':
    case 'EHLO':
      proceedHello(session, verb === 'EHLO', argument, nowMs)
      break
    case 'RSET':
      if (argument === '') proceedReset(session, nowMs)
      else fault(session, 501, '5.5.4', 'RSET takes no parameter', nowMs)
      break
    case 'NOOP':
      say(session, replyLine(250, '2.0.0', 'ok'))
      break
    case 'VRFY':
      say(session, replyLine(252, '2.0.0', 'send mail and see'))
      break
    case 'HELP':
      say(session, replyLine(214, '2.0.0', 'see RFC 5321'))
      break
  }
  if (++session.junkCommands > junkCommandsMax) countError(session, nowMs)
}

// bdat-cmd = "BDAT" SP chunk-size [ SP end-marker ] CR LF, end-marker = "LAST"   RFC 3030 §2
function executeChunk(session: Session, argument: string, nowMs: number): boolean {
  if (!session.offered.has('CHUNKING')) {
    // Its octets would be read as commands: nothing but closing is safe.
    const text = 'BDAT is not offered, closing'
    refuseConnection(session, 'bdat-not-offered', '502 5.5.1', text, nowMs)
    return true
  }
  const [digits = '', marker = '', ...rest] = argument.split(' ')
  const isLast = marker.toUpperCase() === 'LAST'
  const isWellFormed = isSafeNumber(digits) && (isLast || marker === '') && rest.length === 0
  if (isWellFormed) return proceedChunk(session, Number(digits), isLast, nowMs)
  // How long the chunk is cannot be known: the message that it belongs to is over.
  const text = 'BDAT wants a size in decimal digits, and LAST or nothing'
  const { transaction } = session
  if (transaction === undefined) return fault(session, 501, '5.5.4', text, nowMs)
  const refused = namedRefusal(
    session,
    transaction,
    'protocol',
    'malformed-bdat',
    '501 5.5.4',
    text,
  )
  concludeRefused(session, refused, nowMs)
  sayFault(session, refused.reply, nowMs)
  return true
}

/** Decimal digits whose value a double holds exactly. */
function isSafeNumber(digits: string): boolean {
  if (digits === '' || digits.length > 15) return false
  for (let i = 0; i < digits.length; i++) {
    const octet = digits.charCodeAt(i)
    if (octet < 0x30 || octet > 0x39) return false
  }
  return true
}

function fault(
  session: Session,
  code: number,
  enhanced: string,
  text: string,
  nowMs: number,
): true {
  sayFault(session, replyLine(code, enhanced, text), nowMs)
  return true
}

/**
 * Must the client have waited for the reply to this command? RFC 2920 §3.1. NOOP and VRFY, which it
 * names too, are harmless and common in groups: they are let be.
 */
function mustBeLast(session: Session, verb: Verb): boolean {
  if (verb === 'HELO' || verb === 'EHLO' || verb === 'DATA') return true
  if (verb === 'BDAT') return false // its chunk follows
  return !session.offered.has('PIPELINING')
}

/** The client did not wait where it must: told once, and judged by policy. */
function noteIllegalPipelining(session: Session, isIllegal: boolean, nowMs: number): void {
  if (!isIllegal || session.hasIllegalPipelining || session.reading === 'nothing') return
  if (session.isTrusted) return // It skips every filter; what it sends ahead is held like any input.
  const judgement = judgementOf(session.compiled.policy.illegalPipelining)
  // Behind the end of data the message is the mailhost's, and only its answer the client's.
  if (session.waiting === 'delivery' && judgement !== 'observe') return
  session.hasIllegalPipelining = true
  if (judgement === 'pass') return
  const name = 'illegal-pipelining'
  const finding = { layer: 'protocol', outcome: 'positive', name, evidence: [] } as const
  session.ports.records.finding(finding)
  if (judgement === 'observe') {
    session.observed ??= finding
    return
  }
  const codes = judgement === 'refuse' ? '554 5.5.1' : '421 4.5.1'
  refuseConnection(session, name, codes, 'commands sent ahead of our reply, closing', nowMs)
}
