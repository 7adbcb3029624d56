/**
 * Pool: where a transaction gets its session to a mailhost, one pool a thread.
 *
 * It chooses the mailhost of a route (the first that is not away), moves those who wait to the next
 * when one goes away, and knows what all mailhosts offer. The sessions themselves are kept by one
 * Host for each mailhost.
 *
 * No timer and no clock here: the edge calls `sweep` every `poolSweepMs` with the milliseconds of a
 * clock that nobody sets.
 */
import { Capabilities } from './capabilities.ts'
import { Host, type HostOwner, type PoolPlace, type PoolTenant, type Waiter } from './host.ts'
import type { Link } from './link.ts'
import { type Mailhost, mailhostsOf, type TransferPolicy, transferReplies } from './mailhost.ts'

/** The sessions of one thread to all mailhosts. */
export class Pool implements HostOwner {
  readonly capabilities = new Capabilities()
  /** Stress mode: who waits for a session waits less. */
  isStressed = false
  readonly #place: PoolPlace
  readonly #hosts = new Map<number, Host>()
  /** Mailhosts that have not answered EHLO since start, nor failed to. */
  readonly #unasked = new Set<number>()
  #onAsked: (() => void) | undefined
  #policy: TransferPolicy
  #nowMs: number

  /** Opens a session to every mailhost at once, to ask what it offers. */
  constructor(place: PoolPlace, policy: TransferPolicy, nowMs: number) {
    this.#place = place
    this.#policy = policy
    this.#nowMs = nowMs
    this.configure(policy)
  }

  get policy(): TransferPolicy {
    return this.#policy
  }

  get waitMs(): number {
    return this.isStressed ? this.#policy.stressWaitMs : this.#policy.waitMs
  }

  /** Sessions of this thread that a transaction holds, and transactions that wait for one. */
  get demand(): { readonly leased: number; readonly waiting: number } {
    let leased = 0
    let waiting = 0
    for (const host of this.#hosts.values()) {
      leased += host.leased
      waiting += host.waiting
    }
    return { leased, waiting }
  }

  /** Sessions of this thread. */
  get sessions(): number {
    let count = 0
    for (const host of this.#hosts.values()) count += host.sessions
    return count
  }

  /**
   * A new policy; sessions to mailhosts that it does not name are given back when they are free.
   */
  configure(policy: TransferPolicy): void {
    this.#policy = policy
    const mailhosts = mailhostsOf(policy)
    this.capabilities.configure(mailhosts)
    for (const host of this.#hosts.values()) host.isNamed = false
    for (const mailhost of mailhosts) {
      const host = this.#hostOf(mailhost)
      host.isNamed = true
      if (host.mustAsk) this.#unasked.add(mailhost.slot)
      host.ask()
    }
    for (const host of this.#hosts.values()) {
      if (host.isNamed) continue
      host.retire()
      this.#noteAsked(host.mailhost)
    }
  }

  /** Calls back once every mailhost has answered EHLO, or has failed to. */
  whenAsked(onAsked: () => void): void {
    this.#onAsked = onAsked
    this.#noteAsked(undefined)
  }

  /**
   * Wants a session in the tenant's route: `onLink` at once if one is free, else `onLink` or
   * `onNoLink` later. False: every mailhost of the route is away; nothing will come.
   */
  acquire(tenant: PoolTenant): boolean {
    const host = this.#usableHost(tenant, [])
    host?.acquire(tenant, [])
    return host !== undefined
  }

  /** The tenant waits no more. */
  cancel(tenant: PoolTenant): void {
    for (const host of this.#hosts.values()) host.cancel(tenant)
  }

  /** The tenant's recipients are answered: others may have the session if they need it. */
  park(link: Link): void {
    this.#hostOf(link.mailhost).park(link)
  }

  /** The tenant goes on with its parked session. */
  unpark(link: Link): void {
    this.#hostOf(link.mailhost).unpark(link)
  }

  /** The transaction is over or given up between two commands. */
  release(link: Link): void {
    if (!link.isClosed) this.#hostOf(link.mailhost).release(link)
  }

  /** Time passes; called every `poolSweepMs`. */
  sweep(nowMs: number): void {
    this.#nowMs = nowMs
    for (const host of this.#hosts.values()) host.sweep(nowMs)
  }

  /** The service stops and the last client is gone: so go the sessions. */
  retire(): void {
    for (const host of this.#hosts.values()) host.retire()
  }

  /** Host: a mailhost has answered EHLO. */
  onKeywords(mailhost: Mailhost, keywords: ReadonlyMap<string, string>): void {
    this.capabilities.learn(mailhost, keywords)
    this.#noteAsked(mailhost)
  }

  /** Host: a mailhost is away. */
  onAway(host: Host, waiters: readonly Waiter[]): void {
    this.#noteAsked(host.mailhost)
    for (const waiter of waiters) {
      const { tenant } = waiter
      const tried = [...waiter.tried, host]
      const next = this.#usableHost(tenant, tried)
      if (next === undefined) tenant.onNoLink(transferReplies.away)
      else next.acquire(tenant, tried)
    }
  }

  #noteAsked(mailhost: Mailhost | undefined): void {
    if (mailhost !== undefined) this.#unasked.delete(mailhost.slot)
    if (this.#unasked.size > 0) return
    this.#onAsked?.()
    this.#onAsked = undefined
  }

  #usableHost(tenant: PoolTenant, tried: readonly Host[]): Host | undefined {
    let doubtful: Host | undefined
    for (const mailhost of tenant.route.mailhosts) {
      const host = this.#hostOf(mailhost)
      if (tried.includes(host) || host.isAway) continue
      if (!host.isDoubtful) return host
      doubtful ??= host
    }
    return doubtful
  }

  #hostOf(mailhost: Mailhost): Host {
    const known = this.#hosts.get(mailhost.slot)
    if (known !== undefined) return known
    const host = new Host(this.#place, this, mailhost, this.#nowMs)
    this.#hosts.set(mailhost.slot, host)
    return host
  }
}
