/**
 * Caller: the one place from which a probe connects to anybody.
 *
 * Before each connection: the switch (off: those that run are not cut), the breaker, the guard,
 * back-off, the budgets of host, network and all, and the number in flight. It knows whom we are
 * asking right now, which is what the rule against circles asks for. A TLS handshake that fails is
 * tried once more without TLS, within the same rules.
 */

import { callAheadInFlightMax } from '../base/limits.ts'
import { BackOff, Breaker, RateBudget } from './budget.ts'
import type { Conversation, Converse, Target } from './converse.ts'
import { hostKey, networkKey, TargetGuard } from './guard.ts'
import type { ProbeSwitch } from './probe-switch.ts'
import type { ProbeSettings } from './settings.ts'
import type { ProbePlan } from './smtp-probe.ts'
import { targetOf } from './tools.ts'

/** A connection that was not tried, and why; or what came of it. */
export type Attempt =
  | Conversation
  | { readonly kind: 'forbidden' | 'not-now'; readonly reason: string }

/** Makes connections within the rules of probing. */
export class Caller {
  #settings: ProbeSettings
  readonly #converse: Converse
  readonly #switch: ProbeSwitch
  readonly #now: () => number
  #guard: TargetGuard
  readonly #perHost: RateBudget
  readonly #perNetwork: RateBudget
  readonly #total: RateBudget
  readonly #backOff: BackOff
  readonly #breaker: Breaker
  readonly #asked = new Map<string, Set<Promise<unknown>>>()
  #inFlight = 0
  #mailhostCalls = 0

  constructor(
    settings: ProbeSettings,
    converse: Converse,
    probeSwitch: ProbeSwitch,
    now: () => number,
  ) {
    this.#settings = settings
    this.#converse = converse
    this.#switch = probeSwitch
    this.#now = now
    this.#guard = new TargetGuard(settings.ownNetworks, settings.allowLoopback)
    this.#perHost = new RateBudget(settings.perHost)
    this.#perNetwork = new RateBudget(settings.perNetwork)
    this.#total = new RateBudget(settings.total)
    this.#backOff = new BackOff(settings.backOffMs)
    this.#breaker = new Breaker(settings.breakerShare, settings.breakerWaitMs)
  }

  /** New settings: what was asked, and who rests, counts on. */
  configure(settings: ProbeSettings): void {
    this.#settings = settings
    this.#guard = new TargetGuard(settings.ownNetworks, settings.allowLoopback)
    this.#perHost.configure(settings.perHost)
    this.#perNetwork.configure(settings.perNetwork)
    this.#total.configure(settings.total)
    this.#backOff.configure(settings.backOffMs)
    this.#breaker.configure(settings.breakerShare, settings.breakerWaitMs)
  }

  /** Conversations now. */
  get inFlight(): number {
    return this.#inFlight
  }

  /** What runs against a host now, to be waited for; undefined: nothing does. */
  runningAgainst(address: string): Promise<unknown> | undefined {
    const running = this.#asked.get(hostKey(address))
    return running === undefined ? undefined : Promise.allSettled(running)
  }

  /** Marks a host as being asked until the work ends. */
  mark<T>(address: string, work: Promise<T>): Promise<T> {
    const key = hostKey(address)
    const running = this.#asked.get(key) ?? new Set()
    running.add(work)
    this.#asked.set(key, running)
    const unmark = (): void => {
      running.delete(work)
      if (running.size === 0 && this.#asked.get(key) === running) this.#asked.delete(key)
    }
    work.then(unmark, unmark)
    return work
  }

  /**
   * Connects and converses, or says why not. `domain`: whose exchanger is asked, for the breaker;
   * '' = it learns nothing from the outcome. A fault of ours counts against nobody.
   */
  async attempt(
    address: string,
    serverName: string,
    plan: ProbePlan,
    domain: string,
  ): Promise<Attempt> {
    const forbidden = this.#guard.reasonAgainst(address)
    if (forbidden !== '') return { kind: 'forbidden', reason: forbidden }
    const reason = this.#reasonToWait(address)
    if (reason !== '') return { kind: 'not-now', reason }
    const target = targetOf(this.#settings, address, serverName)
    const first = await this.#converseMarked(target, plan)
    const isTlsBroken = first.kind === 'made' && first.report.end === 'tls-failed'
    const isAskedAgain = isTlsBroken && this.#reasonToWait(address) === ''
    const attempt = isAskedAgain
      ? await this.#converseMarked(target, { ...plan, isTlsTried: false })
      : first
    if (attempt.kind === 'our-fault') this.#giveBack(address)
    else this.#learn(address, attempt, domain)
    return attempt
  }

  /** Asks a mailhost of ours: no guard, no budget but the number at once. */
  async attemptMailhost(address: string, port: number, plan: ProbePlan): Promise<Attempt> {
    if (!this.#switch.isOn) return { kind: 'not-now', reason: 'probing is switched off' }
    if (this.#mailhostCalls >= callAheadInFlightMax) {
      return { kind: 'not-now', reason: 'too many questions to the mailhosts' }
    }
    this.#mailhostCalls++
    try {
      return await this.#converse(targetOf(this.#settings, address, '', port), plan)
    } finally {
      this.#mailhostCalls--
    }
  }

  /** Why nothing may be asked of the host now, '' = it may; takes from the budgets then. */
  #reasonToWait(address: string): string {
    const nowMs = this.#now()
    const host = hostKey(address)
    const network = networkKey(address)
    if (!this.#switch.isOn) return 'probing is switched off'
    if (this.#breaker.isOpen(nowMs)) return 'most probes fail, all wait'
    if (this.#backOff.isResting(host, nowMs)) return 'the host said it is busy'
    if (this.#inFlight >= this.#settings.inFlightMax) return 'too many probes in flight'
    if (!this.#perHost.hasRoom(host, nowMs)) return 'budget of the host'
    if (!this.#perNetwork.hasRoom(network, nowMs)) return 'budget of the network'
    if (!this.#total.take('', nowMs)) return 'budget of all probes'
    this.#perHost.take(host, nowMs)
    this.#perNetwork.take(network, nowMs)
    return ''
  }

  async #converseMarked(target: Target, plan: ProbePlan): Promise<Conversation> {
    this.#inFlight++
    try {
      return await this.mark(target.address, this.#converse(target, plan))
    } finally {
      this.#inFlight--
    }
  }

  /** Nobody was asked: nothing was spent. */
  #giveBack(address: string): void {
    const nowMs = this.#now()
    this.#perHost.giveBack(hostKey(address), nowMs)
    this.#perNetwork.giveBack(networkKey(address), nowMs)
    this.#total.giveBack('', nowMs)
  }

  #learn(address: string, attempt: Conversation, domain: string): void {
    const nowMs = this.#now()
    const isMade = attempt.kind === 'made'
    const codes = isMade ? attempt.report.answers.map((answer) => answer.reply.code) : []
    if (codes.some((code) => code === 421 || code === 450)) {
      this.#backOff.onBusy(hostKey(address), nowMs)
    } else if (codes.some((code) => code >= 200 && code < 300)) {
      this.#backOff.onServed(hostKey(address))
    }
    if (domain === '') return
    const isFailure = !isMade || codes.every((code) => code >= 400)
    this.#breaker.onResult(networkKey(address), domain, isFailure, nowMs)
  }
}
