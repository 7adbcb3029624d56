/**
 * Feedback: what the tests find out about a host ends its next connection at step 1.
 *
 * A positive finding of a layer that feeds back, and that is not merely observed, counts against the
 * client's address; enough independent ones enter it in the dynamic blacklist with its evidence and
 * an end. Several bad hosts and no good one in a /24 enter the block. Never entered: trusted,
 * never-block, relay- or dialup-exempt addresses, nor for `user` and `headers` findings a host that
 * delivered accepted mail within 30 days, since any sender may be forged on a good host. IPv6 hosts
 * are their /64. What is learnt between restarts is the list's and the good hosts' (the store's);
 * the counts begin anew. No I/O here: the parts do it.
 */

import { formatPrefix, maskOf, newPrefixCell, parseAddress } from '../base/ip-address.ts'
import {
  feedbackGoodHostMs,
  feedbackHostsMax,
  feedbackIndependentMs,
  feedbackNoteEveryMs,
} from '../base/limits.ts'
import type { Finding, Layer } from '../checks/finding.ts'
import { hostKey, networkKey } from './guard.ts'

/** [feedback], as plain values. */
export interface FeedbackSettings {
  readonly layers: readonly Layer[]
  /** Independent findings that make an entry. */
  readonly findings: number
  readonly ttlMs: number
  /** Bad hosts in a /24 that make the block an entry; 0 = never. */
  readonly promoteHosts: number
}

/** One entry of the dynamic list, as it is to be made. */
export interface Listing {
  /** `192.0.2.7/32`, `192.0.2.0/24`, `2001:db8::/64`. */
  readonly prefix: string
  /** Name of the finding, or `bad-neighbours`. */
  readonly reason: string
  readonly evidence: readonly string[]
  readonly ttlMs: number
}

/** The world as feedback sees it. */
export interface FeedbackParts {
  readonly settings: FeedbackSettings
  readonly now: () => number
  /** Trusted, never-block, relay- or dialup-exempt: does any such network touch the prefix? */
  isExempt(prefix: string): boolean
  /** Enters the listing: table, gate and store, at once. */
  list(listing: Listing): void
  /** When the host or network last delivered accepted mail, 0 = never. By key. */
  goodAtMs(key: string): number
  noteGood(key: string, nowMs: number): void
}

interface Suspect {
  findings: number
  lastMs: number
}

/** Counts findings and makes listings. Main thread. */
export class Feedback {
  readonly #parts: FeedbackParts
  readonly #suspects = new Map<string, Suspect>()
  readonly #badNetworks = new Map<string, Map<string, number>>()

  constructor(parts: FeedbackParts) {
    this.#parts = parts
  }

  /** A finding that the policy acted on. Returns whether it made a listing. */
  onFinding(address: string, finding: Finding): boolean {
    const { settings, now } = this.#parts
    if (finding.outcome !== 'positive' || !settings.layers.includes(finding.layer)) return false
    const nowMs = now()
    const prefix = hostPrefix(address)
    if (prefix === '' || this.#parts.isExempt(prefix)) return false
    if (mayBeForged(finding.layer) && this.#isGood(hostKey(address), nowMs)) return false
    if (!this.#isEnough(hostKey(address), nowMs)) return false
    const { ttlMs } = settings
    this.#parts.list({ prefix, reason: finding.name, evidence: finding.evidence, ttlMs })
    this.#promote(address, nowMs)
    return true
  }

  /** The mailhost accepted a message of this client. */
  onDelivered(address: string): void {
    const nowMs = this.#parts.now()
    for (const key of [hostKey(address), `net ${networkKey(address)}`]) {
      const isNoted = nowMs - this.#parts.goodAtMs(key) < feedbackNoteEveryMs
      if (!isNoted) this.#parts.noteGood(key, nowMs)
    }
  }

  /** An entry was removed by an operator: what counted against it is forgotten. */
  onRemoved(address: string): void {
    this.#suspects.delete(hostKey(address))
    this.#badNetworks.get(networkKey(address))?.delete(hostKey(address))
  }

  #isGood(key: string, nowMs: number): boolean {
    return nowMs - this.#parts.goodAtMs(key) < feedbackGoodHostMs
  }

  /** Findings less than `feedbackIndependentMs` apart are one. */
  #isEnough(key: string, nowMs: number): boolean {
    const { findings } = this.#parts.settings
    const suspect = this.#suspects.get(key) ?? { findings: 0, lastMs: Number.NEGATIVE_INFINITY }
    if (nowMs - suspect.lastMs >= feedbackIndependentMs) {
      suspect.findings++
      suspect.lastMs = nowMs
    }
    this.#suspects.delete(key)
    this.#suspects.set(key, suspect)
    if (this.#suspects.size > feedbackHostsMax) forgetOldest(this.#suspects)
    return suspect.findings >= findings
  }

  /** Enough hosts of the /24 are listed now, and no good one is in it: the block is. */
  #promote(address: string, nowMs: number): void {
    const { settings } = this.#parts
    const prefix = networkPrefix(address)
    if (prefix === '' || settings.promoteHosts === 0) return
    const key = networkKey(address)
    const hosts = this.#badNetworks.get(key) ?? new Map<string, number>()
    hosts.set(hostKey(address), nowMs + settings.ttlMs)
    this.#badNetworks.set(key, hosts)
    if (this.#badNetworks.size > feedbackHostsMax) forgetOldest(this.#badNetworks)
    for (const [host, untilMs] of hosts) {
      if (untilMs <= nowMs) hosts.delete(host)
    }
    const isBad = hosts.size >= settings.promoteHosts && !this.#isGood(`net ${key}`, nowMs)
    if (!isBad || this.#parts.isExempt(prefix)) return
    const evidence = [`${hosts.size} bad hosts in the block, no good one`]
    this.#parts.list({ prefix, reason: 'bad-neighbours', evidence, ttlMs: settings.ttlMs })
  }
}

/** A finding of these layers may be about a forged sender on a host that is otherwise good. */
function mayBeForged(layer: Layer): boolean {
  return layer !== 'relay' && layer !== 'dialup'
}

/** The prefix of a host: an IPv4 address, the /64 of an IPv6 one; '' for no address. */
export function hostPrefix(address: string): string {
  return prefixOf(address, 32, 64)
}

function networkPrefix(address: string): string {
  return prefixOf(address, 24, 0)
}

function prefixOf(address: string, length4: number, length6: number): string {
  const cell = newPrefixCell()
  if (parseAddress(address, cell) !== '' || cell.family === 0) return ''
  const length = cell.family === 4 ? length4 : length6
  if (length === 0) return ''
  const words = [...cell.words].map((word, index) => {
    const bits = Math.min(32, Math.max(0, length - index * 32))
    return (word & maskOf(bits)) >>> 0
  })
  return formatPrefix(cell.family, words, length)
}

function forgetOldest(map: Map<string, unknown>): void {
  const oldest = map.keys().next().value
  if (oldest !== undefined) map.delete(oldest)
}
