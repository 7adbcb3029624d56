/**
 * Records that the main thread makes: of what the gate refused (the conclusion of those
 * connections) and of the lists that were loaded.
 */
import type { Layer } from '../checks/finding.ts'
import {
  filledReply,
  type GatePolicy,
  type Refusal,
  type RefusalCause,
  ruleOf,
} from '../io/gate.ts'
import type { VerdictRecord } from '../journey/record.ts'
import { type ListReport, reasonsOf } from '../lists/list-report.ts'
import type { FeedLogRecord } from '../log/records.ts'

const layers: Readonly<Record<RefusalCause, Layer>> = {
  blacklist: 'connect',
  'early-talker': 'protocol',
  'per-address': 'connect',
  rate: 'connect',
  overload: 'connect',
  'proxy-header': 'protocol',
  stopping: 'connect',
}

/** The record of a refused connection. `listsOf` names the lists of a verdict class. */
export function recordOfRefusal(
  refusal: Refusal,
  policy: GatePolicy,
  listsOf: (verdictClass: number) => readonly string[],
): VerdictRecord {
  const isSilent = refusal.action === 'reset' || refusal.action === 'drop'
  const reply = isSilent ? '' : replyOf(refusal, policy)
  const isListed = refusal.cause === 'blacklist'
  return {
    time: refusal.time,
    id: refusal.id,
    client: refusal.address,
    port: refusal.port,
    helo: '',
    sender: '',
    recipients: [],
    recipientsRefused: [],
    layer: layers[refusal.cause],
    finding: refusal.cause,
    action: refusal.action,
    reply: filledReply(reply, refusal.address, refusal.id).trimEnd(),
    evidence: isListed ? listsOf(refusal.verdictClass) : evidenceOf(refusal),
    mailhostReply: '',
    octets: refusal.octets,
    ms: 0,
    tls: '',
  }
}

/** The record of a list that was looked at. */
export function recordOfList(report: ListReport): FeedLogRecord {
  const reasons = report.setAside.map(({ prefix, reason }) => `${prefix} set aside: ${reason}`)
  return {
    event: 'feed',
    time: Date.now(),
    list: report.list,
    result: resultOf(report),
    prefixes: report.entryCount,
    setAside: report.setAsideCount,
    detail: [...reasonsOf(report), ...reasons],
  }
}

/** A fetch that failed is why an older list serves, or none. */
function resultOf({ outcome, fetch }: ListReport): string {
  if (outcome === 'expired') return outcome
  if (fetch?.outcome === 'failed') return fetch.outcome
  if (outcome === 'last-good') return 'refused'
  return outcome === 'loaded' && fetch?.outcome === 'unchanged' ? fetch.outcome : outcome
}

function replyOf({ cause, verdictClass }: Refusal, policy: GatePolicy): string {
  switch (cause) {
    case 'blacklist':
      return ruleOf(policy.classRules, verdictClass)?.reply ?? ''
    case 'early-talker':
      return policy.earlyTalkerReply
    case 'per-address':
    case 'rate':
      return policy.limitReply
    case 'overload':
      return policy.overloadReply
    case 'stopping':
      return policy.stoppingReply
    case 'proxy-header':
      return ''
  }
}

function evidenceOf({ octets }: Refusal): readonly string[] {
  return octets > 0 ? [`${octets} octets before the greeting`] : []
}
