/**
 * How many connections an address has and how many it began lately. Twin of native/gate/ledger.
 *
 * The key of a host is its IPv4 address or its IPv6 /64. Rates are counted in fixed windows that
 * begin with an address's first connection. Bounded: an address beyond the bound is not counted;
 * those that are over are looked for every 10 s at the most.
 */
import { ipv6Groups } from '../base/ip-address.ts'
import { countedAddressesMax } from '../base/limits.ts'

interface Count {
  connections: number
  windowStartMs: number
  begunInWindow: number
}

/** The limits to judge by, 0 = none. */
export interface CountLimits {
  readonly perAddressMax: number
  readonly rateMax: number
  readonly rateWindowMs: number
}

/** `counted`: it holds a place, to be given back; `uncounted`: admitted without one. */
export type Admission = 'counted' | 'uncounted' | 'per-address' | 'rate'

const sweepEveryMs = 10_000

/** Connections and rates by host. */
export class ClientCounts {
  readonly #counts = new Map<string, Count>()
  #nextSweepMs = 0

  /** Counts a new connection in, unless it is one too many. */
  admit(address: string, limits: CountLimits, nowMs: number): Admission {
    if (limits.perAddressMax === 0 && limits.rateMax === 0) return 'uncounted'
    if (nowMs >= this.#nextSweepMs) this.#sweep(limits, nowMs)
    const count = this.#countOf(hostKey(address), nowMs)
    if (count === undefined) return 'uncounted'
    if (nowMs - count.windowStartMs >= limits.rateWindowMs) {
      count.windowStartMs = nowMs
      count.begunInWindow = 0
    }
    count.begunInWindow += 1
    if (limits.perAddressMax > 0 && count.connections >= limits.perAddressMax) return 'per-address'
    if (limits.rateMax > 0 && count.begunInWindow > limits.rateMax) return 'rate'
    count.connections += 1
    return 'counted'
  }

  /** Gives back the place of a `counted` connection. */
  release(address: string): void {
    const count = this.#counts.get(hostKey(address))
    if (count !== undefined && count.connections > 0) count.connections -= 1
  }

  /** Undefined for a new host where there is no room. */
  #countOf(key: string, nowMs: number): Count | undefined {
    const known = this.#counts.get(key)
    if (known !== undefined || this.#counts.size >= countedAddressesMax) return known
    const count = { connections: 0, windowStartMs: nowMs, begunInWindow: 0 }
    this.#counts.set(key, count)
    return count
  }

  #sweep(limits: CountLimits, nowMs: number): void {
    this.#nextSweepMs = nowMs + sweepEveryMs
    for (const [key, count] of this.#counts) {
      const isOld = nowMs - count.windowStartMs >= limits.rateWindowMs
      if (count.connections === 0 && isOld) this.#counts.delete(key)
    }
  }
}

/** IPv4: the address; IPv6: its first four groups (/64). Takes the forms of `plainAddress`. */
function hostKey(address: string): string {
  return address.includes(':') ? ipv6Groups(address).slice(0, 4).join(':') : address
}
