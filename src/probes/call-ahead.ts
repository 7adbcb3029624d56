/**
 * Call-ahead: does the recipient exist at our own mailhost? Off by default.
 *
 * Asked before the tests, so that nobody in the world is questioned for a recipient that is not
 * there: a dictionary attack costs its own mailhost's answers alone, and those are kept. The
 * conversation is that of the active user test, with our mailhosts in the place of the domain's
 * exchangers; the guard, which forbids every probe of theirs, is not asked.
 */
import type { Outcome } from '../checks/finding.ts'
import type { Mailbox } from '../checks/sender-key.ts'
import type { Attempt } from './caller.ts'
import type { MailhostRoute, ProbeSettings } from './settings.ts'
import type { ProbePlan } from './smtp-probe.ts'
import { makeFinding } from './tools.ts'
import { readUserReport, type UserResult, userPlan } from './user-test.ts'

/** The outside of a call-ahead. */
export interface CallAheadTools {
  readonly settings: ProbeSettings
  attempt(address: string, port: number, plan: ProbePlan): Promise<Attempt>
  randomLocalPart(): string
}

/** Asks the mailhosts of the recipient's domain in order until one takes the connection. */
export async function callAhead(
  mailbox: Mailbox,
  isEachAsked: boolean,
  tools: CallAheadTools,
): Promise<UserResult> {
  const { settings } = tools
  const facts: string[] = []
  const verdict = (outcome: Outcome, name: string) => makeFinding('recipient', outcome, name, facts)
  const plan = { ...userPlan(mailbox, isEachAsked, settings, tools.randomLocalPart()) }
  let last: Attempt['kind'] = 'unreachable'
  for (const { address, port } of mailhostsOf(settings.mailhostRoutes, mailbox.domain)) {
    const target = `${address}:${port}`
    const attempt = await tools.attempt(address, port, { ...plan, depth: 'rcpt' })
    if (attempt.kind === 'made') {
      facts.push(`asked mailhost ${target}`)
      const { dialogue } = attempt.report
      return { ...readUserReport(attempt.report, facts, verdict), dialogue, target }
    }
    facts.push(`mailhost ${target} ${attempt.kind}: ${attempt.reason}`)
    last = attempt.kind
  }
  const name = last === 'not-now' || last === 'our-fault' ? last : 'unreachable'
  return { finding: verdict('indeterminate', name), dialogue: facts, target: '' }
}

/** The route of its own domain, of the nearest `*.` above it, or the one for all. */
function mailhostsOf(routes: readonly MailhostRoute[], domain: string): MailhostRoute['mailhosts'] {
  const routeFor = (name: string) => routes.find((route) => route.domains.includes(name))
  let found = routeFor(domain)
  for (let dot = domain.indexOf('.'); found === undefined && dot >= 0; ) {
    found = routeFor(`*${domain.slice(dot)}`)
    dot = domain.indexOf('.', dot + 1)
  }
  return (found ?? routes.find((route) => route.domains.length === 0))?.mailhosts ?? []
}
