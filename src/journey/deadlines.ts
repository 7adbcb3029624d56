/**
 * Deadlines: how long anybody may be waited for. RFC 5321 §4.5.3.2, shorter in stress mode.
 *
 * The client port holds one deadline. It is set anew only when it would fire too late; one that
 * fires early is set again for the rest, so a usual command costs no call.
 */
import { answerWaitMs, dataOctetsPerMinuteMin, mailhostWaitMs } from '../base/limits.ts'
import { giveUpWaiting } from './4-tests.ts'
import { loseLink } from './6-transfer.ts'
import { timeoutsNow } from './policy.ts'
import { refuseConnection } from './reply.ts'
import type { Session } from './session.ts'

const minuteMs = 60_000

/** Makes sure that the deadline fires in time. */
export function watch(session: Session, nowMs: number): void {
  if (session.reading === 'nothing' || session.isGone) return
  // A handshake has a time of its own, `tls.handshake_wait`: nothing can be said inside it.
  if (session.waiting === 'tls') return
  const due = dueAt(session)
  if (session.armedUntilMs !== 0 && session.armedUntilMs <= due) return
  session.armedUntilMs = due
  session.ports.client.deadline(Math.max(1, due - nowMs))
}

/** The deadline fired: whoever is late bears the consequence. */
export function expire(session: Session, nowMs: number): void {
  session.armedUntilMs = 0
  if (session.reading === 'nothing' || nowMs < dueAt(session)) return
  if (session.waiting === 'trust' || session.waiting === 'verdict') {
    giveUpWaiting(session, nowMs)
  } else if (isMailhostAwaited(session)) {
    loseLink(session, 'silent', nowMs)
  } else if (isRateKept(session, nowMs)) {
    session.rateSinceMs = nowMs
    session.rateOctets = octetsOf(session)
  } else {
    // It says nothing, so its end need not be awaited.
    refuseConnection(session, 'client-timeout', '421 4.4.2', 'timeout, closing', nowMs, [], true)
  }
}

function dueAt(session: Session): number {
  const { waiting, waitingSinceMs } = session
  if (waiting === 'trust' || waiting === 'verdict') return waitingSinceMs + answerWaitMs
  if (isMailhostAwaited(session)) return waitingSinceMs + mailhostWaitMs
  const ownDue = ownDueAt(session)
  return isRateWatched(session) ? Math.min(ownDue, session.rateSinceMs + minuteMs) : ownDue
}

/** Until when the client may say nothing. */
function ownDueAt(session: Session): number {
  const timeouts = timeoutsNow(session.compiled)
  const { idleSinceMs } = session
  if (session.reading !== 'commands') return idleSinceMs + timeouts.dataMs
  const isFirst = session.commands === 0
  const next = idleSinceMs + (isFirst ? timeouts.firstCommandMs : timeouts.commandMs)
  if (session.held === undefined && session.lineOctetsDropped === 0) return next
  const line = Math.max(session.lineSinceMs, idleSinceMs) + timeouts.lineMs
  // The first command has its time as a whole, whenever its first octet comes.
  return isFirst ? Math.min(line, next) : line
}

function isMailhostAwaited(session: Session): boolean {
  if (session.waiting === 'delivery' || session.isTransferFull) return true
  const transaction = session.transaction
  if (transaction === undefined) return false
  const isPausedForOpening = transaction.message?.phase === 'opening' && session.isPaused
  return transaction.recipientsOffered.length > 0 || isPausedForOpening
}

/** Inside a message, which goes on between two chunks of BDAT: there it holds a mailhost, too. */
function isRateWatched({ reading, transaction }: Session): boolean {
  return reading !== 'commands' || transaction?.message !== undefined
}

/** Inside a message: has the minute brought enough, and the last octet not long ago? */
function isRateKept(session: Session, nowMs: number): boolean {
  if (!isRateWatched(session) || nowMs >= ownDueAt(session)) return false
  const isSilent = session.idleSinceMs <= session.rateSinceMs
  return isSilent || octetsOf(session) - session.rateOctets >= dataOctetsPerMinuteMin
}

/** Octets of the message so far; of a chunk that belongs to none, which is dropped, its own. */
function octetsOf({ transaction, chunkOctets, chunkOctetsLeft }: Session): number {
  return transaction?.message?.octets ?? chunkOctets - chunkOctetsLeft
}
