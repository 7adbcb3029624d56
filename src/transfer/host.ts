/**
 * Host: the sessions of one thread to one mailhost, leased to one transaction at a time.
 *
 * Sessions are few and precious (a Postfix mailhost allows about 50 per client): SessionCap bounds
 * them over all threads. A transaction that finds none waits in line. A session whose recipients
 * are answered is *parked*: its transaction goes on with it if its client is quick, but whoever
 * waits may take it, and after `linkParkMs` it is given up; the envelope is replayed then
 * (transfer.ts). So a slow client or a running test never holds one against others.
 *
 * A mailhost that cannot be opened is away for a while (`isAway`), unless other sessions to it
 * live: then it has merely enough of them, and those who wait go on waiting. One that accepts and
 * says nothing for `waitMs` hands those who waited on as well. Nobody comes to a mailhost twice, so
 * a wait ends after `waitMs` for each mailhost of the route, whatever they do.
 */
import { linkParkMs, mailhostAwayFirstMs, tlsPlainMs } from '../base/limits.ts'
import type { ConnectionId, Engine } from '../io/engine.ts'
import type { Reply } from '../smtp/reply.ts'
import { ReplyMemo } from '../smtp/reply-memo.ts'
import type { Identity } from './identity.ts'
import { Link, type LinkOwner, type LinkTenant } from './link.ts'
import { type Mailhost, type Route, type TransferPolicy, transferReplies } from './mailhost.ts'
import type { SessionCap } from './session-cap.ts'

/** A transaction that wants a session. */
export interface PoolTenant extends LinkTenant {
  readonly identity: Identity
  readonly route: Route
  /** A session is leased to it; called inside `acquire` or later. */
  onLink(link: Link): void
  /** No session is to be had. Never called inside `acquire`. */
  onNoLink(reply: Reply): void
  /** Its parked session was taken away. */
  onLinkTaken(): void
}

/** What the pool needs of its thread. */
export interface PoolPlace {
  readonly engine: Engine
  readonly cap: SessionCap
  /** Others than our threads wait for sessions to this mailhost, or this one was kept for long. */
  isWanted?(mailhost: Mailhost, id: ConnectionId): boolean
  /** From now on the events of this connection belong to the link. */
  adopt(id: ConnectionId, link: Link): void
  /** A bug of ours met the link in a sweep: it ends, the others go on. */
  onLinkFault(link: Link, error: unknown): void
  /** What an operator should know of the mailhost, in words behind its address. */
  tellOf(mailhost: Mailhost, what: string): void
}

/** What a host asks of its pool. */
export interface HostOwner {
  readonly policy: TransferPolicy
  /** How long a transaction waits here, now. */
  readonly waitMs: number
  /** EHLO was answered. */
  onKeywords(mailhost: Mailhost, keywords: ReadonlyMap<string, string>): void
  /** The mailhost is away: these transactions want another. */
  onAway(host: Host, waiters: readonly Waiter[]): void
}

/** One waiting transaction. */
export interface Waiter {
  readonly tenant: PoolTenant
  readonly sinceMs: number
  /** Mailhosts that it waited for before this one. */
  readonly tried: readonly Host[]
}

/** The sessions to one mailhost. */
export class Host implements LinkOwner {
  readonly mailhost: Mailhost
  /** The current policy names this mailhost: false after a reload that left it out. */
  isNamed = true
  /** A session broke or the service has just started: EHLO is to be asked (anew). */
  mustAsk = true
  readonly replies = new ReplyMemo()
  readonly #place: PoolPlace
  readonly #owner: HostOwner
  readonly #links = new Set<Link>()
  /** Ready and unused; the last one put away is taken first. */
  readonly #idle: Link[] = []
  /** Leased but to be taken back if need be, with the time; the longest parked first. */
  readonly #parked = new Map<Link, number>()
  #waiters: Waiter[] = []
  #opening = 0
  #failures = 0
  #isToldAway = false
  #isToldIdentity = false
  #openAgainMs = 0
  #plainUntilMs = 0
  #nowMs: number

  constructor(place: PoolPlace, owner: HostOwner, mailhost: Mailhost, nowMs: number) {
    this.#place = place
    this.#owner = owner
    this.mailhost = mailhost
    this.#nowMs = nowMs
    // Another may have been told away in this slot, before a reload that left it out.
    place.cap.tellAway(mailhost.slot, false)
  }

  /** It could not be opened lately and no session to it lives. */
  get isAway(): boolean {
    return this.#nowMs < this.#openAgainMs && this.#links.size === this.#opening
  }

  /** It failed the last time and is being tried again: whoever can goes elsewhere meanwhile. */
  get isDoubtful(): boolean {
    return this.#failures > 0 && !this.#isAlive
  }

  /** A session has been ready and has not ended. */
  get #isAlive(): boolean {
    return this.#links.size > this.#opening
  }

  /** Link: TLS failed within the last `tlsPlainMs`. */
  get isWithoutTls(): boolean {
    return this.#nowMs < this.#plainUntilMs
  }

  /** Link: STARTTLS was refused or the handshake failed; or TLS stands. */
  onTlsTried(isSecure: boolean): void {
    this.#plainUntilMs = isSecure ? 0 : this.#nowMs + tlsPlainMs
  }

  /** Sessions of this thread. */
  get sessions(): number {
    return this.#links.size
  }

  /** Sessions that a transaction holds. */
  get leased(): number {
    let count = 0
    for (const link of this.#links) if (link.tenant !== undefined) count++
    return count
  }

  /** Transactions that wait for one. */
  get waiting(): number {
    return this.#waiters.length
  }

  /**
   * Leases a session to the tenant, at once or when one is free. @param tried mailhosts that it
   * waited for before.
   */
  acquire(tenant: PoolTenant, tried: readonly Host[]): void {
    this.#waiters.push({ tenant, sinceMs: this.#nowMs, tried })
    this.#serve()
  }

  /** The tenant waits no more. */
  cancel(tenant: PoolTenant): void {
    this.#waiters = this.#waiters.filter((waiter) => waiter.tenant !== tenant)
  }

  /** The tenant's recipients are answered: whoever waits may have its session. */
  park(link: Link): void {
    this.#parked.set(link, this.#nowMs)
    if (this.#waiters.length > 0) this.#serve()
  }

  /** The tenant goes on with its parked session. */
  unpark(link: Link): void {
    this.#parked.delete(link)
  }

  /** The transaction is over or given up; replies still due are read and dropped first. */
  release(link: Link): void {
    this.#parked.delete(link)
    if (link.unlease()) this.onLinkQuiet(link)
  }

  /** Opens a session that asks EHLO, if one is due. */
  ask(): void {
    if (this.mustAsk && this.isNamed && this.#opening === 0) this.#open()
  }

  /** Nobody is sent here any more: unused sessions are given back, and none is opened in vain. */
  retire(): void {
    this.isNamed = false
    this.#quitIdle()
    if (this.#waiters.length > 0) return
    for (const link of [...this.#links]) if (!link.wasReady) link.discard()
  }

  /** Link: greeting and EHLO are done. */
  onLinkReady(link: Link): void {
    this.#owner.onKeywords(this.mailhost, link.keywords)
    this.#opening--
    this.#failures = 0
    this.#openAgainMs = 0
    this.mustAsk = false
    this.#tellAway(false)
    this.#tellIdentity(link)
    this.#putAway(link)
  }

  /** Link: released earlier, now in step again. */
  onLinkQuiet(link: Link): void {
    const { sessionsMax } = this.#owner.policy
    const isWanted = this.#isWanted(link)
    const mustYield = isWanted || this.#place.cap.shouldYield(this.mailhost.slot, sessionsMax)
    if (link.isSpent || !this.isNamed || mustYield) link.quit()
    else this.#putAway(link)
  }

  /** Link: gone. */
  onLinkClosed(link: Link): void {
    this.#links.delete(link)
    this.#parked.delete(link)
    this.#place.cap.release(this.mailhost.slot)
    const at = this.#idle.indexOf(link)
    if (at >= 0) this.#idle.splice(at, 1)
    const isGivenUp = !link.wasReady && !link.isLost
    if (link.mayGoPlain || isGivenUp) this.#opening--
    else if (!link.wasReady) this.#noteFailure()
    else if (link.isLost) this.#noteLoss()
    this.#serve()
  }

  /** Deadlines: waits, parked and idle sessions, slow mailhosts, what other threads wait for. */
  sweep(nowMs: number): void {
    this.#nowMs = nowMs
    for (const link of [...this.#links]) this.#sweepLink(link)
    this.#sweepWaiters()
    this.#sweepParked()
    this.#sweepIdle()
    this.#place.cap.waiting(this.mailhost.slot, this.#waiters.length)
    this.#serve()
    this.ask()
  }

  /** Gives those who wait what can be had: an unused session, a new one, a parked one. */
  #serve(): void {
    while (this.#waiters.length > 0) {
      const link = this.#idle.pop()
      if (link !== undefined) this.#putAway(link)
      else if (!this.#isOneMissing || !this.#open()) break
    }
    while (this.#isOneMissing && this.#parked.size > 0) this.#takeParked()
  }

  /** Somebody waits for whom no session is being opened. */
  get #isOneMissing(): boolean {
    // With PROXY each waits for one of his own; his last, which is settling, goes first.
    const isPersonal = this.#owner.policy.clientIdentity === 'proxy'
    return isPersonal ? this.#nextIdentity() !== undefined : this.#waiters.length > this.#opening
  }

  /** The first who may use the link gets it; else it is kept unused. */
  #putAway(link: Link): void {
    const { policy } = this.#owner
    if (!link.suits(policy)) {
      link.quit()
      return
    }
    const { clientIdentity } = policy
    const isPersonal = clientIdentity === 'proxy' || link.proxyFor !== undefined
    const waiter = isPersonal ? this.#takeWaiterOf(link.proxyFor) : this.#waiters.shift()
    if (waiter !== undefined) {
      link.lease(waiter.tenant, clientIdentity, waiter.tenant.identity)
      waiter.tenant.onLink(link)
    } else if (isPersonal || !this.isNamed) link.quit()
    else {
      link.idleSinceMs = this.#nowMs
      this.#idle.push(link)
    }
  }

  #takeWaiterOf(identity: Identity | undefined): Waiter | undefined {
    const at = this.#waiters.findIndex(({ tenant }) => tenant.identity === identity)
    return at < 0 ? undefined : this.#waiters.splice(at, 1)[0]
  }

  /** The first waiting client for whom no PROXY connection is open yet. */
  #nextIdentity(): Identity | undefined {
    if (this.#owner.policy.clientIdentity !== 'proxy') return undefined
    const named = new Set([...this.#links].map((link) => link.proxyFor))
    return this.#waiters.find(({ tenant }) => !named.has(tenant.identity))?.tenant.identity
  }

  #open(): boolean {
    const { policy } = this.#owner
    const isProbing = this.#failures > 0
    if (isProbing && (this.#nowMs < this.#openAgainMs || this.#opening > 0)) return false
    const { cap, engine } = this.#place
    if (!cap.take(this.mailhost.slot, policy.sessionsMax)) return false
    let link: Link | undefined
    try {
      link = new Link(engine, this, this.mailhost, policy, this.#nextIdentity())
    } finally {
      // The engine had no room and has thrown: the place would never come back.
      if (link === undefined) cap.release(this.mailhost.slot)
    }
    this.#opening++
    this.#links.add(link)
    this.#place.adopt(link.id, link)
    return true
  }

  #takeParked(): void {
    const [link] = this.#parked.keys()
    if (link === undefined) return
    const tenant = link.tenant as PoolTenant | undefined
    tenant?.onLinkTaken()
    this.release(link)
  }

  #noteFailure(): void {
    this.#opening--
    const pauseMs = Math.min(mailhostAwayFirstMs * 2 ** this.#failures, this.#owner.policy.retryMs)
    this.#failures++
    // Tried again by the sweep, whether or not anybody waits for it.
    this.mustAsk = true
    this.#openAgainMs = this.#nowMs + pauseMs
    if (!this.isAway) return
    this.#tellAway(true)
    const waiters = this.#waiters
    this.#waiters = []
    this.#owner.onAway(this, waiters)
  }

  #tellAway(isAway: boolean): void {
    if (this.#isToldAway === isAway) return
    this.#isToldAway = isAway
    this.#place.cap.tellAway(this.mailhost.slot, isAway)
    const what = isAway ? 'cannot be reached; mail waits with its senders' : 'is back'
    this.#place.tellOf(this.mailhost, what)
  }

  #tellIdentity({ keywords }: Link): void {
    const { clientIdentity } = this.#owner.policy
    const verb = clientIdentity.toUpperCase()
    const isMissing = /^X/.test(verb) && !keywords.has(verb)
    if (isMissing && !this.#isToldIdentity) {
      this.#place.tellOf(
        this.mailhost,
        `offers no ${verb}: it learns of clients from Received: alone`,
      )
    }
    this.#isToldIdentity = isMissing
  }

  // What ended this session (a restart, a time-out) may have ended the unused ones, unseen so far:
  // whoever tries again gets a fresh one.
  #noteLoss(): void {
    this.mustAsk = true
    this.#quitIdle()
  }

  #quitIdle(): void {
    for (const link of [...this.#idle]) link.quit()
  }

  #sweepLink(link: Link): void {
    try {
      link.sweep(this.#nowMs)
    } catch (error) {
      this.#place.onLinkFault(link, error)
    }
  }

  #sweepWaiters(): void {
    const oldestMs = this.#nowMs - this.#owner.waitMs
    const late: Waiter[] = []
    while ((this.#waiters[0]?.sinceMs ?? this.#nowMs) < oldestMs) {
      const waiter = this.#waiters.shift()
      if (waiter !== undefined) late.push(waiter)
    }
    // It accepts and says nothing: the next mailhost may be well.
    const isMute = this.#opening > 0 && !this.#isAlive
    if (isMute && late.length > 0) this.#owner.onAway(this, late)
    else for (const { tenant } of late) tenant.onNoLink(transferReplies.noSession)
  }

  #sweepParked(): void {
    for (const [link, sinceMs] of this.#parked) {
      if (this.#nowMs - sinceMs < linkParkMs) return
      const tenant = link.tenant as PoolTenant | undefined
      tenant?.onLinkTaken()
      link.resetEnvelope()
      this.release(link)
    }
  }

  #isWanted({ id }: Link): boolean {
    return this.#place.isWanted?.(this.mailhost, id) === true
  }

  #sweepIdle(): void {
    const others = this.#place.cap.othersWaiting(this.mailhost.slot)
    const isOld = (link: Link) => this.#nowMs - link.idleSinceMs > this.#owner.policy.idleMs
    const mayGo = (link: Link, at: number) => at < others || this.#isWanted(link) || isOld(link)
    for (const link of this.#idle.filter(mayGo)) link.quit()
  }
}
