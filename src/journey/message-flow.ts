/**
 * The flow of a message's octets: collected until the header is judged and the mailhost has said
 * 354, then passed on; or, once refused, dropped. Stage 5 (5-message.ts) says when.
 *
 * Invariants: nothing goes to the mailhost before its 354; no stray CR, LF or NUL ever does; octets
 * whose meaning the next one decides are kept back.
 */
import { headerOctetsMax, passOctetsMin } from '../base/limits.ts'
import { BodyRewriter } from '../smtp/body-rewriter.ts'
import { keptBack, strayFlags } from '../smtp/body-scanner.ts'
import { findHeaderEnd } from '../smtp/header-reader.ts'
import { messageOctetsMax } from './2-hello.ts'
import { judgeHeader } from './header-filter.ts'
import { namedRefusal } from './reply.ts'
import type { Message, Refusal, Session, Transaction } from './session.ts'
import { giveStash, takeStash } from './stash.ts'

/** Passes what was kept back before and [start, settledEnd), rewritten where it must be. */
export function passSettled(
  session: Session,
  transaction: Transaction,
  message: Message,
  before: number,
  chunk: Uint8Array,
  start: number,
  settledEnd: number,
  nowMs: number,
): void {
  // What was kept back has turned out to belong to the final dot line, or is still undecided.
  if (settledEnd < start) return
  const kept = keptBack(before)
  if (message.rewriter === undefined && (message.scanState & strayFlags) !== 0) {
    message.rewriter = new BodyRewriter(true, (before & 0x07) !== 1 && (before & 0x07) !== 2)
  }
  const { rewriter } = message
  if (rewriter !== undefined) {
    if (kept.length > 0) {
      pass(session, transaction, message, rewriter.rewrite(kept, 0, kept.length), nowMs)
    }
    pass(session, transaction, message, rewriter.rewrite(chunk, start, settledEnd), nowMs)
    return
  }
  if (kept.length > 0) pass(session, transaction, message, kept, nowMs)
  if (settledEnd === start) return
  if (message.phase === 'streaming' && session.isChunkLive) {
    if (!session.ports.transfer.bodyForward(start, settledEnd)) session.isTransferFull = true
    return
  }
  pass(session, transaction, message, chunk.subarray(start, settledEnd), nowMs)
}

/** Octets fit for the mailhost: sent on, or collected while it is not ready for them. */
export function pass(
  session: Session,
  transaction: Transaction,
  message: Message,
  octets: Uint8Array,
  nowMs: number,
): void {
  if (message.phase === 'dropping' || octets.length === 0) return
  if (message.phase === 'streaming') {
    if (!session.ports.transfer.body(octets)) session.isTransferFull = true
    return
  }
  const from = message.stashOctets
  append(message, octets)
  if (message.phase !== 'header') return
  const { stash, headerStart, stashOctets } = message
  const headerEnd = findHeaderEnd(stash, headerStart, from, stashOctets)
  if (headerEnd >= 0) openMessage(session, transaction, message, headerEnd, nowMs)
  else if (stashOctets - headerStart > headerOctetsMax) {
    const text = `header longer than ${headerOctetsMax} octets`
    const refused = namedRefusal(
      session,
      transaction,
      'headers',
      'header-too-long',
      '554 5.6.0',
      text,
      [],
    )
    refuseMessage(session, transaction, message, refused, messageOctetsMax(session))
  }
}

/** The rest of a long message goes by unseen while nothing in it is ours to judge. */
export function letRestPass(session: Session): void {
  const message = session.transaction?.message
  if (message === undefined || session.reading !== 'data' || session.held !== undefined) return
  if (message.phase !== 'streaming' || message.rewriter !== undefined) return
  if (session.isTransferFull || message.octets < passOctetsMin) return
  const octetsMax = Math.max(0, messageOctetsMax(session) - message.octets)
  session.ports.client.passBody(message.scanState, octetsMax)
}

/** So many octets went by; the last of them came at `atMs`. */
export function notePassed(
  session: Session,
  octets: number,
  scanState: number,
  atMs: number,
): void {
  session.idleSinceMs = Math.max(session.idleSinceMs, atMs)
  const message = session.transaction?.message
  if (message === undefined) return
  message.octets += octets
  message.scanState = scanState
}

function append(message: Message, octets: Uint8Array): void {
  const length = message.stashOctets + octets.length
  if (length > message.stash.length) {
    const larger = takeStash(Math.max(length, message.stash.length * 2))
    larger.set(message.stash.subarray(0, message.stashOctets))
    giveStash(message.stash)
    message.stash = larger
  }
  message.stash.set(octets, message.stashOctets)
  message.stashOctets = length
}

/** The header is whole: judged, and then the mailhost gets DATA. */
export function openMessage(
  session: Session,
  transaction: Transaction,
  message: Message,
  headerEnd: number,
  nowMs: number,
): void {
  const refused = judgeHeader(session, transaction, message, headerEnd)
  if (refused !== undefined) {
    refuseMessage(session, transaction, message, refused, messageOctetsMax(session))
    return
  }
  message.phase = 'opening'
  session.waitingSinceMs = nowMs
  session.ports.transfer.data()
}

/** Refuses the message: the mailhost is let go at once, the reply waits for the end of data. */
export function refuseMessage(
  session: Session,
  transaction: Transaction,
  message: Message,
  refused: Refusal,
  dropOctetsMax: number,
): void {
  message.refusal = refused
  message.phase = 'dropping'
  message.dropOctetsMax = dropOctetsMax
  giveStash(message.stash)
  message.stash = noOctets
  message.stashOctets = 0
  message.rewriter = undefined
  session.isTransferFull = false
  if (!transaction.isBegun) return
  session.ports.transfer.abandon()
  transaction.isBegun = false
}

/** What was collected goes to the mailhost, which has said 354. */
export function streamStash(session: Session, message: Message): void {
  message.phase = 'streaming'
  const { stash, stashOctets } = message
  message.stash = noOctets
  message.stashOctets = 0
  const hasOctets = stashOctets > 0
  if (hasOctets && !session.ports.transfer.body(stash.subarray(0, stashOctets))) {
    session.isTransferFull = true
  }
  giveStash(stash)
}

const noOctets = new Uint8Array(0)
