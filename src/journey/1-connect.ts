/**
 * Stage 1, connect: what is known of the client before it says anything. The gate has refused what
 * the lists refuse and sent the greeting; here stands what it let through, and the question for a
 * trusted name, whose answer must be there when the tests would begin.
 *
 * Order: trusted network > blacklist > trusted name > whitelist > the tests.
 */
import type { Finding } from '../checks/finding.ts'
import { concludeDropped } from './conclude.ts'
import type { Session } from './session.ts'

/** The first sign of life, which may be that its time is over: silence counts from accept. */
export function openConnection(session: Session): void {
  const { client, ports, compiled } = session
  if (client.isTrusted) return
  if (client.verdictClass !== 0) {
    const lists = ports.lists.listsOf(client.verdictClass)
    observe(session, { layer: 'connect', outcome: 'positive', name: 'blacklist', evidence: lists })
  }
  if (client.isEarlyTalker && compiled.policy.earlyTalker !== 'off') {
    const evidence = ['talked before the greeting']
    observe(session, { layer: 'protocol', outcome: 'positive', name: 'early-talker', evidence })
  }
  const hasUse = compiled.hasActiveTests || compiled.policy.headers.mode !== 'off'
  if (compiled.policy.hasTrustedNames && hasUse) askForTrustedName(session)
}

/** Asks whether the client's name is a trusted one; once per connection. */
export function askForTrustedName(session: Session): void {
  session.trust = 'asked'
  session.ports.questions.trustedName(session.client.address)
}

/** The connection is gone: what runs for it is given up. */
export function loseConnection(session: Session, nowMs: number): void {
  session.reading = 'nothing'
  session.held = undefined
  concludeDropped(session, 'client-gone', nowMs)
  if (session.trust === 'asked') session.ports.questions.forget()
  session.isGone = true
}

function observe(session: Session, finding: Finding): void {
  session.observed ??= finding
  session.ports.records.finding(finding)
}
