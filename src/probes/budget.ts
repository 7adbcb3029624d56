/**
 * Budget: how often we ask, so that a flood of forged senders does not make a flood of questions.
 *
 * RateBudget counts per key with a bucket that refills evenly; BackOff leaves a host alone that
 * said it is busy; Breaker stops all asking when most of it fails. All three are bounded and pure:
 * time comes in as milliseconds.
 */
import { budgetKeysMax } from '../base/limits.ts'
import type { Rate } from './settings.ts'

interface Bucket {
  level: number
  atMs: number
}

/** At most `rate.count` takes per key and window; full buckets at the start. */
export class RateBudget {
  #rate: Rate
  readonly #buckets = new Map<string, Bucket>()

  constructor(rate: Rate) {
    this.#rate = rate
  }

  /** Another rate from now on; what was taken stays taken. */
  configure(rate: Rate): void {
    this.#rate = rate
  }

  /** Is there room for one more? Takes nothing. */
  hasRoom(key: string, nowMs: number): boolean {
    return this.#rate.count === 0 || this.#levelOf(key, nowMs) >= 1
  }

  /** Takes one if there is room. A full table forgets the key that was used longest ago. */
  take(key: string, nowMs: number): boolean {
    if (this.#rate.count === 0) return true
    const level = this.#levelOf(key, nowMs)
    if (level < 1) return false
    this.#buckets.delete(key)
    this.#buckets.set(key, { level: level - 1, atMs: nowMs })
    if (this.#buckets.size > budgetKeysMax) forgetOldest(this.#buckets)
    return true
  }

  /** What was taken came to nothing: nobody was asked. */
  giveBack(key: string, nowMs: number): void {
    const bucket = this.#buckets.get(key)
    // Without a limit there is no level: 0 / 0 would stay one that is never reached.
    if (bucket === undefined || this.#rate.count === 0) return
    bucket.level = Math.min(this.#rate.count, this.#levelOf(key, nowMs) + 1)
    bucket.atMs = nowMs
  }

  #levelOf(key: string, nowMs: number): number {
    const { count, windowMs } = this.#rate
    const bucket = this.#buckets.get(key)
    if (bucket === undefined) return count
    return Math.min(count, bucket.level + ((nowMs - bucket.atMs) * count) / windowMs)
  }
}

/** The longest that a busy host is left alone. */
const backOffMsMax = 86_400_000

/** Leaves a host alone after 421 or 450, for twice as long each time. */
export class BackOff {
  #firstMs: number
  readonly #hosts = new Map<string, { untilMs: number; stepMs: number }>()

  constructor(firstMs: number) {
    this.#firstMs = firstMs
  }

  /** Another first wait; who rests goes on resting. */
  configure(firstMs: number): void {
    this.#firstMs = firstMs
  }

  isResting(key: string, nowMs: number): boolean {
    return (this.#hosts.get(key)?.untilMs ?? 0) > nowMs
  }

  onBusy(key: string, nowMs: number): void {
    const last = this.#hosts.get(key)
    const stepMs = Math.min(last === undefined ? this.#firstMs : last.stepMs * 2, backOffMsMax)
    this.#hosts.delete(key)
    this.#hosts.set(key, { untilMs: nowMs + stepMs, stepMs })
    if (this.#hosts.size > budgetKeysMax) forgetOldest(this.#hosts)
  }

  onServed(key: string): void {
    this.#hosts.delete(key)
  }
}

/** Networks whose last results the breaker judges by, and the least of them. */
const breakerWindow = 100
const breakerResultsMin = 20

interface Result {
  /** As registered: what one owner may have any number of names in. */
  readonly domain: string
  readonly isFailure: boolean
}

/**
 * Opens when a share of the last results failed; after its wait it begins anew. A network has one
 * vote, its last result, and so has a registered domain: a client chooses whom we ask, and neither
 * one dead exchanger that is asked for many made-up senders nor one domain with names in many dead
 * networks must end all asking.
 */
export class Breaker {
  #share: number
  #waitMs: number
  /** By network, the one heard last at the end. */
  readonly #results = new Map<string, Result>()
  #openUntilMs = 0

  constructor(share: number, waitMs: number) {
    this.#share = share
    this.#waitMs = waitMs
  }

  /** Other limits; what was heard stays, and an open one stays open. */
  configure(share: number, waitMs: number): void {
    this.#share = share
    this.#waitMs = waitMs
  }

  isOpen(nowMs: number): boolean {
    return this.#openUntilMs > nowMs
  }

  /** What asking a host in this network for this domain came to. */
  onResult(network: string, domain: string, isFailure: boolean, nowMs: number): void {
    this.#results.delete(network)
    this.#results.set(network, { domain: registeredDomain(domain), isFailure })
    if (this.#results.size > breakerWindow) forgetOldest(this.#results)
    const votes = new Map([...this.#results.values()].map((each) => [each.domain, each.isFailure]))
    const failures = [...votes.values()].filter((each) => each).length
    if (votes.size < breakerResultsMin || failures < this.#share * votes.size) return
    this.#openUntilMs = nowMs + this.#waitMs
    this.#results.clear()
  }
}

/**
 * The last two labels. Of `example.co.uk` that is too much: all of its neighbours share one vote,
 * which opens the breaker later, never wrongly.
 */
function registeredDomain(domain: string): string {
  return domain.split('.').slice(-2).join('.')
}

function forgetOldest(map: Map<string, unknown>): void {
  const oldest = map.keys().next().value
  if (oldest !== undefined) map.delete(oldest)
}
