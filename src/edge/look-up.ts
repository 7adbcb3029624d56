/**
 * lookUp: what a running instance knows of an address, a sender or a name, and what it would do.
 *
 * The order is the journey's: trusted network > blacklist > trusted name > whitelist > the tests.
 */
import { OperatingError } from '../base/errors.ts'
import { newPrefixCell, parseAddress } from '../base/ip-address.ts'
import type { Config } from '../config/schema.ts'
import { filledReply, ruleOf } from '../io/gate.ts'
import type { ListKind } from '../lists/list-report.ts'
import { DomainSet } from '../smtp/domain-set.ts'
import type { WhitelistStore } from '../store/whitelist-store.ts'
import type { ListService } from './list-service.ts'

/** One entry of a list that holds the subject. */
export interface Holding {
  readonly kind: ListKind | 'whitelist'
  readonly list: string
  readonly entry: string
  /** File and line, or '' and 0 for what was entered while running. */
  readonly file: string
  readonly line: number
}

/** What is known of a subject. */
export interface LookupAnswer {
  readonly subject: string
  readonly kind: 'address' | 'sender' | 'name'
  /** `trusted`, `whitelisted`, the action of a blacklist, or `unlisted`. */
  readonly verdict: string
  /** In words: which rule, which reply. */
  readonly why: string
  readonly holdings: readonly Holding[]
}

/** Where the answer comes from. */
export interface LookupSources {
  readonly config: Config
  readonly lists: ListService
  readonly recipientDomains: readonly string[]
  /** Absent where the store could not be opened. */
  readonly whitelist: WhitelistStore | undefined
}

/** Looks a subject up. Throws OperatingError USAGE for what is none. */
export function lookUp(subject: string, sources: LookupSources): LookupAnswer {
  if (parseAddress(subject, newPrefixCell()) === '') return ofAddress(subject, sources)
  if (/^[^@\s]+@[^@\s]+$/.test(subject)) return ofSender(subject, sources)
  if (/^[a-z0-9_-]+(?:\.[a-z0-9_-]+)+$/i.test(subject)) return ofName(subject, sources)
  throw new OperatingError('USAGE', `${subject}: write an IP address, local@domain or a host name`)
}

function ofAddress(subject: string, { lists }: LookupSources): LookupAnswer {
  const kind = 'address'
  const holdings = lists.holdingsOf(subject)
  if (holdings.some((one) => one.kind === 'trusted')) {
    const why = 'in a trusted network: every filter is skipped but the recipient domains'
    return { subject, kind, verdict: 'trusted', why, holdings }
  }
  const verdictClass = lists.tableOf(lists.gate.blacklist)?.(subject) ?? 0
  if (verdictClass === 0) {
    const exempt = holdings.map((one) => `${one.kind} list ${one.list}`)
    const why = exempt.length === 0 ? 'in no list' : `not blacklisted; in ${exempt.join(', ')}`
    return { subject, kind, verdict: 'unlisted', why, holdings }
  }
  const rule = ruleOf(lists.gate.classRules, verdictClass)
  const listed = lists.listsOf(verdictClass).join(', ')
  // The id is that of a refusal, and nobody is refused here.
  const reply = filledReply(rule?.reply ?? '', subject, '…').trimEnd()
  const why = `listed in ${listed}: ${reply}`
  return { subject, kind, verdict: rule?.action ?? 'refuse', why, holdings }
}

function ofSender(subject: string, sources: LookupSources): LookupAnswer {
  const { config, whitelist } = sources
  const kind = 'sender'
  const found = whitelist?.find(subject)
  const asRecipient = recipientText(subject.slice(subject.lastIndexOf('@') + 1), sources)
  if (found === undefined) {
    const known = whitelist === undefined ? 'the store is away' : 'not in the whitelist'
    return { subject, kind, verdict: 'unlisted', why: `${known}; ${asRecipient}`, holdings: [] }
  }
  const entry = found.address
  const holdings = [{ kind: 'whitelist', list: 'whitelist', entry, file: '', line: 0 }] as const
  const isAsked = config.whitelist.mode === 'on'
  const effect = isAsked ? 'the active tests are skipped' : 'whitelist.mode = "off": not asked'
  const why = `${found.source}; ${effect}; ${asRecipient}`
  return { subject, kind, verdict: isAsked ? 'whitelisted' : 'unlisted', why, holdings }
}

function ofName(subject: string, sources: LookupSources): LookupAnswer {
  const holdings = sources.lists.nameHoldingsOf(subject)
  const isTrusted = holdings.length > 0
  const asClient = isTrusted
    ? 'a client of this name (forward-confirmed) skips every filter but the recipient domains'
    : 'no trusted name'
  const why = `${asClient}; ${recipientText(subject, sources)}`
  return { subject, kind: 'name', verdict: isTrusted ? 'trusted' : 'unlisted', why, holdings }
}

function recipientText(domain: string, { recipientDomains }: LookupSources): string {
  const isOurs = new DomainSet(recipientDomains).has(domain.toLowerCase())
  return isOurs
    ? `recipients of ${domain} are ours`
    : `recipients of ${domain} are refused: 550 5.7.1`
}
