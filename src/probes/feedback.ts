/**
 * Feedback: what the tests find out about a host ends its next connection at step 1.
 *
 * A positive finding of a layer that feeds back, and that is not merely observed, counts against
 * the client's address; enough independent ones enter it in the dynamic blacklist with its evidence
 * and an end. A verdict that is kept counts once, by the time of its probe, and is kept no longer
 * than until a further one would count, or the entry ends: then the host is asked anew. Several bad
 * hosts and no good one in a /24 enter the block. Never entered: trusted, never-block, relay- or
 * dialup-exempt addresses, nor for `user` and `headers` findings a host that delivered accepted
 * mail lately, since any sender may be forged on a good host. IPv6 hosts are their /64, and their
 * block a /56. The list and the good hosts are in the store; after a restart the hosts of the list
 * still count towards their block, findings towards a host begin anew, and what was found before
 * an entry or a removal counts no more. No I/O here: the parts do it.
 */

import { formatPrefix, maskOf, newPrefixCell, parseAddress } from '../base/ip-address.ts'
import { feedbackHostsMax, feedbackIndependentMs, feedbackNoteEveryMs } from '../base/limits.ts'
import type { Finding, Layer } from '../checks/finding.ts'
import { hostKey, hostKeysIn } from './guard.ts'

/** [feedback], as plain values. */
export interface FeedbackSettings {
  readonly layers: readonly Layer[]
  /** Independent findings that make an entry. */
  readonly findings: number
  readonly ttlMs: number
  /** Bad hosts in a /24 (IPv6: /64s in a /56) that make the block an entry; 0 = never. */
  readonly promoteHosts: number
  /** A host that delivered accepted mail within this time is good. */
  readonly goodForMs: number
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
  /** The wall clock: findings and good hosts are known from before a restart. */
  readonly wallNow: () => number
  /** Trusted, never-block, relay- or dialup-exempt: does any such network touch the prefix? */
  isExempt(prefix: string): boolean
  /** Enters the listing: table, gate and store, at once. */
  list(listing: Listing): void
  /** What is known of the hosts in the prefix is kept no longer; 0 = it is forgotten. */
  endVerdicts(prefix: string, untilMs: number): void
  /** When the host or network last delivered accepted mail, 0 = never. By key. */
  goodAtMs(key: string): number
  noteGood(key: string, wallMs: number): void
  /** Since when findings count against a host, by key; it outlives a restart. -Infinity: ever. */
  countsSinceMs(key: string): number
  /** Only what is found from now on counts against it. */
  countFrom(key: string, wallMs: number): void
}

interface Suspect {
  /** Counted since the last entry or removal. */
  findings: number
  /** When the last that counts was found, or the count began anew. */
  lastMs: number
  /** Until then the host's verdict says nothing new. */
  untilMs: number
}

/** Counts findings and makes listings. Main thread. */
export class Feedback {
  /** A reload sets new ones; what was counted stays. */
  settings: FeedbackSettings
  readonly #parts: FeedbackParts
  readonly #suspects = new Map<string, Suspect>()
  readonly #badNetworks = new Map<string, Map<string, number>>()

  constructor(settings: FeedbackSettings, parts: FeedbackParts) {
    this.settings = settings
    this.#parts = parts
  }

  /** A listing of ours that was made before a restart: its host still counts towards its block. */
  onKnown(prefix: string, untilMs: number): void {
    const address = prefix.split('/')[0] ?? ''
    if (prefix === hostPrefix(address)) this.#countBad(address, untilMs)
  }

  /** A finding that the policy acted on. Returns whether it made a listing. */
  onFinding(address: string, finding: Finding): boolean {
    const { settings } = this
    if (finding.outcome !== 'positive' || !settings.layers.includes(finding.layer)) return false
    const wallMs = this.#parts.wallNow()
    const prefix = hostPrefix(address)
    if (prefix === '' || this.#parts.isExempt(prefix)) return false
    if (mayBeForged(finding.layer) && this.#isGood(hostKey(address), wallMs)) return false
    const suspect = this.#count(hostKey(address), finding.foundAtMs ?? wallMs)
    const isEnough = suspect.findings >= settings.findings
    const { ttlMs } = settings
    if (isEnough) {
      this.#parts.list({ prefix, reason: finding.name, evidence: finding.evidence, ttlMs })
      const untilMs = ttlMs === 0 ? Number.POSITIVE_INFINITY : wallMs + ttlMs
      Object.assign(suspect, { findings: 0, lastMs: wallMs, untilMs })
      this.#countFrom(hostKey(address), wallMs)
      this.#promote(address, wallMs)
    }
    if (!mayBeForged(finding.layer)) this.#parts.endVerdicts(prefix, suspect.untilMs)
    return isEnough
  }

  /** The mailhost accepted a message of this client. */
  onDelivered(address: string): void {
    const wallMs = this.#parts.wallNow()
    for (const key of [hostKey(address), networkPrefix(address)]) {
      if (key === '') continue
      const isNoted = wallMs - this.#parts.goodAtMs(key) < feedbackNoteEveryMs
      if (!isNoted) this.#parts.noteGood(key, wallMs)
    }
  }

  /**
   * An operator removed an entry, of a host or of a block: what is known and what counted against
   * it is forgotten. Of a block wider than 256 hosts, which is never our own, nothing is.
   */
  onRemoved(prefix: string): void {
    const address = prefix.split('/')[0] ?? ''
    const block = networkPrefix(address)
    const wallMs = this.#parts.wallNow()
    for (const key of hostKeysIn(prefix)) {
      this.#note(key, { findings: 0, lastMs: wallMs, untilMs: 0 })
      this.#countFrom(key, wallMs)
    }
    this.#parts.endVerdicts(prefix, 0)
    if (prefix === block) this.#badNetworks.delete(block)
    else this.#badNetworks.get(block)?.delete(hostKey(address))
  }

  #isGood(key: string, wallMs: number): boolean {
    return wallMs - this.#parts.goodAtMs(key) < this.settings.goodForMs
  }

  /** Only a sender's verdict may be met again: those of the host itself end with the entry. */
  #countFrom(key: string, wallMs: number): void {
    if (this.settings.layers.includes('user')) this.#parts.countFrom(key, wallMs)
  }

  /** Findings less than `feedbackIndependentMs` apart are one, and none counts twice. */
  #count(key: string, foundAtMs: number): Suspect {
    const known = this.#suspects.get(key)
    const suspect = known ?? { findings: 0, lastMs: this.#parts.countsSinceMs(key), untilMs: 0 }
    const apartMs = suspect.findings === 0 ? 1 : feedbackIndependentMs
    if (foundAtMs - suspect.lastMs >= apartMs) {
      suspect.findings++
      suspect.lastMs = foundAtMs
      suspect.untilMs = foundAtMs + feedbackIndependentMs
    }
    this.#note(key, suspect)
    return suspect
  }

  #note(key: string, suspect: Suspect): void {
    this.#suspects.delete(key)
    this.#suspects.set(key, suspect)
    if (this.#suspects.size > feedbackHostsMax) forgetOldest(this.#suspects)
  }

  /** Enough hosts of the block are listed now, and no good one is in it: the block is. */
  #promote(address: string, wallMs: number): void {
    const { promoteHosts, ttlMs } = this.settings
    const prefix = networkPrefix(address)
    if (prefix === '' || promoteHosts === 0) return
    const hosts = this.#countBad(address, ttlMs === 0 ? Number.POSITIVE_INFINITY : wallMs + ttlMs)
    for (const [host, untilMs] of hosts) {
      if (untilMs <= wallMs) hosts.delete(host)
    }
    const isBad = hosts.size >= promoteHosts && !this.#isGood(prefix, wallMs)
    if (!isBad || this.#parts.isExempt(prefix)) return
    const evidence = [`${hosts.size} bad hosts in the block, no good one`]
    this.#parts.list({ prefix, reason: 'bad-neighbours', evidence, ttlMs })
  }

  /** The bad hosts of the address's block, this one with them. */
  #countBad(address: string, untilMs: number): Map<string, number> {
    const key = networkPrefix(address)
    const hosts = this.#badNetworks.get(key) ?? new Map<string, number>()
    hosts.set(hostKey(address), untilMs)
    this.#badNetworks.delete(key)
    this.#badNetworks.set(key, hosts)
    if (this.#badNetworks.size > feedbackHostsMax) forgetOldest(this.#badNetworks)
    return hosts
  }
}

/** A finding of these layers may be about a forged sender on a host that is otherwise good. */
function mayBeForged(layer: Layer): boolean {
  return layer !== 'relay' && layer !== 'dialup'
}

/** The prefix of a host: an IPv4 address, the /64 of an IPv6 one; '' for no address. */
function hostPrefix(address: string): string {
  return prefixOf(address, 32, 64)
}

/** The block of a host: the /24 of an IPv4 address, the /56 of an IPv6 one; '' for no address. */
function networkPrefix(address: string): string {
  return prefixOf(address, 24, 56)
}

function prefixOf(address: string, length4: number, length6: number): string {
  const cell = newPrefixCell()
  if (parseAddress(address, cell) !== '' || cell.family === 0) return ''
  const length = cell.family === 4 ? length4 : length6
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
