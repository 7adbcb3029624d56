/**
 * Mailhosts, routes and the policy of the transfer: what the configuration says about where mail
 * goes.
 *
 * Plain frozen values; the pool and the links act on them. A reload replaces the policy as a whole.
 */
import type { Reply } from '../smtp/reply.ts'

/** A protected mail server. */
export interface Mailhost {
  /** IP address: names are resolved before a policy is made. */
  readonly address: string
  readonly port: number
  /** Index of its counters in SessionCap; one per address and port, stable over reloads. */
  readonly slot: number
}

/** Mailhosts in order of preference: the next is tried when one is away. */
export interface Route {
  readonly mailhosts: readonly Mailhost[]
}

/** How the mailhost learns who the client is. */
export type ClientIdentity = 'none' | 'xforward' | 'xclient' | 'proxy'

/** What the configuration's [mailhost] comes to. */
export interface TransferPolicy {
  /** Our name in EHLO. */
  readonly name: string
  /** STARTTLS to the mailhosts: never, where offered, or nothing without it. RFC 3207. */
  readonly tls: 'off' | 'opportunistic' | 'required'
  /** Whom sessions trust and by whose hand they are made; others are not used under this policy. */
  readonly trust: string
  /** Sessions to one mailhost over all threads. */
  readonly sessionsMax: number
  /** How long a transaction waits for a session before 451 4.3.2. */
  readonly waitMs: number
  /** The same in stress mode. */
  readonly stressWaitMs: number
  readonly clientIdentity: ClientIdentity
  /** Wait for a connection before the next mailhost is tried. */
  readonly connectWaitMs: number
  /** Wait for the reply to a command, and for progress inside a body. */
  readonly replyWaitMs: number
  /** Wait for the reply to the final dot. */
  readonly finalReplyWaitMs: number
  /** How long an unused session stays open. */
  readonly idleMs: number
  /** Transactions of one session; 0 = no limit. */
  readonly transactionsPerSessionMax: number
  /** How long a mailhost that failed again and again is left alone. */
  readonly retryMs: number
  readonly route: Route
  /** Routes of their own by recipient domain, lower case; `*.example.org` as in [recipients]. */
  readonly domainRoutes: ReadonlyMap<string, Route>
}

/**
 * The route of a recipient's domain: its own, that of the nearest `*.` above it, or the default.
 */
export function routeOf(policy: TransferPolicy, domain: string): Route {
  if (policy.domainRoutes.size === 0) return policy.route
  const lower = domain.toLowerCase()
  const own = policy.domainRoutes.get(lower)
  if (own !== undefined) return own
  for (let dot = lower.indexOf('.'); dot >= 0; dot = lower.indexOf('.', dot + 1)) {
    const above = policy.domainRoutes.get(`*${lower.slice(dot)}`)
    if (above !== undefined) return above
  }
  return policy.route
}

/** Do both lead to the same mailhosts? A reload makes every route anew. */
export function isSameRoute(one: Route, other: Route): boolean {
  if (one === other) return true
  const slots = other.mailhosts.map(({ slot }) => slot)
  const { length } = one.mailhosts
  return length === slots.length && one.mailhosts.every(({ slot }, at) => slot === slots[at])
}

/** Every mailhost that a policy names, once each. */
export function mailhostsOf(policy: TransferPolicy): readonly Mailhost[] {
  const bySlot = new Map<number, Mailhost>()
  for (const route of [policy.route, ...policy.domainRoutes.values()]) {
    for (const mailhost of route.mailhosts) bySlot.set(mailhost.slot, mailhost)
  }
  return [...bySlot.values()]
}

/** The transfer's own replies; all temporary, since every doubt is. */
export const transferReplies = {
  away: own('mailhost-away', '4.4.1', 'the mailhost is not available, try again later'),
  noSession: own('no-session', '4.3.2', 'no session to the mailhost is free'),
  otherRoute: own(
    'other-route',
    '4.5.3',
    'a recipient of another mailhost: send it in a transaction of its own',
  ),
  lost: own('mailhost-lost', '4.4.2', 'connection to the mailhost was lost'),
  changed: own('mailhost-changed', '4.3.0', 'the mailhost changed its mind, try again later'),
} as const

function own(finding: string, enhanced: string, text: string): Reply {
  return { code: 451, enhanced, lines: [text], finding }
}
