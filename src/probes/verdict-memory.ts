/**
 * Verdict memory: what is known of hosts, senders, recipients and domains, under which key, and for
 * how long. The verdict cache behind it keeps what stands here.
 *
 * What is *not* there is kept under the exact address; what is there also answers for the addresses
 * that rewriters make of it (sender-key.ts). So a forged rewrite never condemns its neighbours.
 */
import { recipientUnknownKeepMsMax, tryLaterKeepMsMax } from '../base/limits.ts'
import type { Finding } from '../checks/finding.ts'
import { exactKey, type Mailbox, senderKey } from '../checks/sender-key.ts'
import { hostKey, hostKeysIn } from './guard.ts'
import type { ProbeSettings } from './settings.ts'
import { makeFinding } from './tools.ts'
import type { UserResult } from './user-test.ts'
import type { CachedVerdict, DomainFact, VerdictCache } from './verdict-cache.ts'

/** Which of the host tests are asked for an address. */
export interface HostTests {
  readonly relay: boolean
  readonly dialup: boolean
}

/** Whose existence is asked for: a sender's at its exchangers, a recipient's at our mailhost. */
export type MailboxRole = 'user' | 'recipient'

const keyHeads = { user: { box: 'u', domain: 'd' }, recipient: { box: 'r', domain: 'e' } } as const

/** The memory of one broker. */
export class VerdictMemory {
  readonly #cache: VerdictCache
  readonly #keep: ProbeSettings['keep']
  readonly #wallNow: () => number

  constructor(cache: VerdictCache, keep: ProbeSettings['keep'], wallNow: () => number) {
    this.#cache = cache
    this.#keep = keep
    this.#wallNow = wallNow
  }

  /** What is known of a host under this key (`hostCacheKey`). */
  host(key: string): Finding | undefined {
    return this.#finding(key)
  }

  /** Answers the finding with its time. */
  keepHost(key: string, finding: Finding): Finding {
    return this.#put(key, finding, this.#keepMs(finding))
  }

  /** What is known of a mailbox, or of its whole domain. */
  mailbox(role: MailboxRole, mailbox: Mailbox): Finding | undefined {
    const fact = this.domainFact(role, mailbox.domain)
    if (fact === 'accepts-all') {
      return makeFinding(role, 'negative', fact, [`${mailbox.domain} accepts every user`])
    }
    if (fact === 'refuses-us') {
      return makeFinding(role, 'indeterminate', fact, [`${mailbox.domain} refuses us`])
    }
    const exact = this.#finding(mailboxCacheKey(role, mailbox))
    if (exact !== undefined || role === 'recipient') return exact
    return this.#finding(`u:${senderKey(mailbox)}`)
  }

  /** Answers the finding with its time. */
  keepMailbox(role: MailboxRole, mailbox: Mailbox, { finding, fact }: UserResult): Finding {
    if (fact !== undefined) this.#keepFact(role, mailbox.domain, fact)
    if (fact === 'accepts-all') return finding
    const isShared = role === 'user' && finding.outcome === 'negative'
    const key = isShared ? `u:${senderKey(mailbox)}` : mailboxCacheKey(role, mailbox)
    const usualMs = this.#keepMs(finding)
    const isUnknownHere = role === 'recipient' && finding.outcome === 'positive'
    // A mailbox may be made at any time here, and its first mail must not be refused for hours.
    const keepMs = isUnknownHere ? Math.min(usualMs, recipientUnknownKeepMsMax) : usualMs
    return this.#put(key, finding, keepMs)
  }

  /** What a domain is known for. */
  domainFact(role: MailboxRole, domain: string): DomainFact | undefined {
    return this.#get(`${keyHeads[role].domain}:${domain}`)?.fact
  }

  #keepFact(role: MailboxRole, domain: string, fact: DomainFact): void {
    const { acceptsAllMs, refusesUsMs } = this.#keep
    const foundAtMs = this.#wallNow()
    const keepMs = fact === 'refuses-us' ? refusesUsMs : acceptsAllMs
    const key = `${keyHeads[role].domain}:${domain}`
    this.#cache.put(key, { fact, foundAtMs, untilMs: foundAtMs + keepMs })
  }

  #get(key: string): CachedVerdict | undefined {
    return this.#cache.get(key, this.#wallNow())
  }

  #finding(key: string): Finding | undefined {
    const verdict = this.#get(key)
    if (verdict?.finding === undefined) return undefined
    return { ...verdict.finding, foundAtMs: verdict.foundAtMs }
  }

  #put(key: string, finding: Finding, keepMs: number): Finding {
    const foundAtMs = this.#wallNow()
    const untilMs = foundAtMs + keepMs
    if (keepMs > 0) this.#cache.put(key, { finding, foundAtMs, untilMs })
    return { ...finding, foundAtMs }
  }

  /** How long a finding is true; what we did not ask for lack of budget is not kept at all. */
  #keepMs(finding: Finding): number {
    const keep = this.#keep
    if (finding.name === 'not-now' || finding.name === 'our-fault') return 0
    if (finding.name === 'try-later') return Math.min(keep.indeterminateMs, tryLaterKeepMsMax)
    if (finding.outcome === 'indeterminate') return keep.indeterminateMs
    if (finding.layer === 'relay') return keep.relayMs
    if (finding.layer === 'dialup') return keep.dialupMs
    return finding.outcome === 'positive' ? keep.userUnknownMs : keep.userExistsMs
  }
}

/** The key of a host's verdict: another one where other tests are asked. */
export function hostCacheKey(address: string, tests: HostTests): string {
  return `h:${hostKey(address)}:${tests.relay ? 'r' : ''}${tests.dialup ? 'd' : ''}`
}

/**
 * Keeps what is known of the hosts in a prefix no longer than `untilMs`; 0 forgets it. Of a prefix
 * wider than 256 hosts nothing is changed.
 */
export function endHostVerdicts(cache: VerdictCache, prefix: string, untilMs: number): void {
  for (const host of hostKeysIn(prefix)) {
    for (const tests of ['r', 'd', 'rd']) {
      const key = `h:${host}:${tests}`
      const verdict = cache.get(key, 0)
      if (verdict !== undefined && verdict.untilMs > untilMs)
        cache.put(key, { ...verdict, untilMs })
    }
  }
}

/** Since when findings count against the host with this key; -Infinity: ever. */
export function countsSinceMs(cache: VerdictCache, host: string): number {
  return cache.get(`f:${host}`, Date.now())?.foundAtMs ?? Number.NEGATIVE_INFINITY
}

/**
 * Only what is found from now on counts against the host: kept as long as a sender's verdict, which
 * may be met again and is not the host's own to end.
 */
export function countFrom(cache: VerdictCache, host: string, wallMs: number, keepMs: number): void {
  cache.put(`f:${host}`, { foundAtMs: wallMs, untilMs: wallMs + keepMs })
}

/** The key under which one mailbox is asked for, once at a time. */
export function mailboxCacheKey(role: MailboxRole, mailbox: Mailbox): string {
  return `${keyHeads[role].box}:${exactKey(mailbox)}`
}
