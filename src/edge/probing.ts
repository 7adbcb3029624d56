/**
 * Probing: the active tests of an instance, on the main thread: broker, names, cache, feedback.
 *
 * With every test off nothing is asked. A reload gives the broker new settings: budgets, what runs
 * and the switch stay. A store that cannot be opened costs the
 * memory of earlier verdicts, never mail: they are kept in memory then.
 */
import { verdictsInMemoryMax } from '../base/limits.ts'
import type { Finding } from '../checks/finding.ts'
import type { Config } from '../config/schema.ts'
import type { Log } from '../log/records.ts'
import { ProbeBroker } from '../probes/broker.ts'
import { converse } from '../probes/converse.ts'
import { DnsNameService } from '../probes/dns.ts'
import { Feedback, type Listing } from '../probes/feedback.ts'
import { identityFaults } from '../probes/identity.ts'
import type { ProbeRecord } from '../probes/inquiry.ts'
import type { ProbeSwitch } from '../probes/probe-switch.ts'
import { RefusalWatch } from '../probes/refusal-watch.ts'
import type { ProbeSettings, TestMode } from '../probes/settings.ts'
import { MemoryVerdictCache, type VerdictCache } from '../probes/verdict-cache.ts'
import { countFrom, countsSinceMs, endHostVerdicts } from '../probes/verdict-memory.ts'
import type { Learnt } from '../store/learnt.ts'
import { BrokerDesk } from './broker-desk.ts'
import type { ListService } from './list-service.ts'
import {
  dnsSettingsOf,
  feedbackSettingsOf,
  probeSettingsOf,
  readNamePatterns,
} from './probe-settings.ts'

/** What probing works with. */
export interface ProbingParts {
  readonly config: Config
  /** Our domains, with those of the domains file. */
  readonly recipientDomains: readonly string[]
  readonly lists: ListService
  readonly log: Log
  /** What is kept over a restart; undefined: in memory alone. */
  readonly learnt: Learnt | undefined
  /** A finding that lists its host. */
  readonly onListing: (listing: Listing) => void
  /** Shared with the serving threads. */
  readonly probeSwitch: ProbeSwitch
}

/** Probing as `status` tells it. */
export interface ProbesState {
  readonly isOn: boolean
  /** Conversations now. */
  readonly inFlight: number
  /** Questions asked since the start. */
  readonly made: number
  /** Of these, answered by a refusal of us. */
  readonly refusedUs: number
}

/** The active tests of one instance. */
export class Probing {
  /** Where the serving threads' questions go. */
  readonly desk: BrokerDesk
  /** What has been found out. */
  readonly cache: VerdictCache
  readonly #parts: ProbingParts
  readonly #feedback: Feedback
  /** Where there is no store. */
  readonly #good = new Map<string, number>()
  #settings: ProbeSettings
  #isClosed = false
  #made = 0
  readonly #refusals = new RefusalWatch((text) => this.#tellWarning(text))
  #names: DnsNameService
  readonly #broker: ProbeBroker

  /** Throws OperatingError for a pattern file that cannot be read. */
  constructor(parts: ProbingParts) {
    const { config, learnt } = parts
    this.#parts = parts
    this.#settings = probeSettingsOf(config, parts.recipientDomains)
    this.cache = learnt?.verdicts ?? new MemoryVerdictCache(verdictsInMemoryMax)
    this.#names = new DnsNameService(dnsSettingsOf(config))
    this.#broker = this.#newBroker(config, this.#settings, this.#names)
    this.#feedback = this.#newFeedback(config)
    this.desk = new BrokerDesk({
      broker: this.#broker,
      names: () => this.#names,
      isTrustedName: (name) => parts.lists.isTrustedName(name),
      onFindings: (address, findings) => this.#onFindings(address, findings),
    })
    this.#checkIdentity()
  }

  get lists(): ListService {
    return this.#parts.lists
  }

  /** What the probes came to since the start. */
  get state(): ProbesState {
    return {
      isOn: this.#broker.isOn,
      inFlight: this.#broker.inFlight,
      made: this.#made,
      refusedUs: this.#refusals.count,
    }
  }

  /** The one broker, by the present settings. */
  get broker(): ProbeBroker {
    return this.#broker
  }

  /**
   * Makes ready for new settings. Throws like the constructor; nothing has changed before the
   * function that it returns is called, which cannot fail.
   */
  prepare(config: Config, recipientDomains: readonly string[]): () => void {
    const settings = probeSettingsOf(config, recipientDomains)
    const names = new DnsNameService(dnsSettingsOf(config))
    const patterns = readNamePatterns(config, (text) => this.#tellWarning(text))
    const feedbackSettings = feedbackSettingsOf(config)
    return () => {
      this.#broker.configure({ settings, names, patterns })
      this.#settings = settings
      this.#names = names
      this.#feedback.settings = feedbackSettings
      this.#checkIdentity()
    }
  }

  /** Stress mode began or ended: the tests' time budget is another. */
  stress(isStressed: boolean): void {
    this.#broker.stress(isStressed)
  }

  /**
   * A finding of a journey; one of headers is not merely observed. Those of the tests may have come
   * with the broker's answer already: a probe counts once, however often it is told.
   */
  onFinding(address: string, finding: Finding): void {
    if (finding.layer === 'headers') this.#feedBack(address, finding)
    else this.#onFindings(address, [finding])
  }

  /** The mailhost accepted a message of this client. */
  onDelivered(address: string): void {
    this.#feedback.onDelivered(address)
  }

  /** Senders of ours have written to these, through us (`whitelist.learn`). */
  onWritten(addresses: readonly string[]): void {
    const wallMs = Date.now()
    for (const address of addresses) this.#parts.learnt?.whitelist.learn(address, wallMs)
  }

  /** A listing of before a restart is in force. */
  onKnown(prefix: string, expiresAtMs: number): void {
    this.#feedback.onKnown(prefix, expiresAtMs === 0 ? Number.POSITIVE_INFINITY : expiresAtMs)
  }

  /** An operator removed a listing: what counted against the address is forgotten. */
  onRemoved(prefix: string): void {
    this.#feedback.onRemoved(prefix)
  }

  /** Nothing is asked any more. */
  close(): void {
    this.#broker.switch(false)
    this.#names.close()
    this.#isClosed = true
  }

  /** Tells what is wrong with the identity of our probes, when the DNS has answered. */
  #checkIdentity(): void {
    const settings = this.#settings
    if (Object.values(settings.modes).every((mode) => mode === 'off')) return
    void identityFaults(settings, this.#names).then((faults) => {
      for (const fault of this.#isClosed ? [] : faults) this.#tellWarning(fault)
    })
  }

  #newBroker(config: Config, settings: ProbeSettings, names: DnsNameService): ProbeBroker {
    return new ProbeBroker({
      settings,
      names,
      patterns: readNamePatterns(config, (text) => this.#tellWarning(text)),
      converse,
      cache: this.cache,
      exemptions: this.#parts.lists,
      probeSwitch: this.#parts.probeSwitch,
      now: () => performance.now(),
      wallNow: Date.now,
      onProbe: (record) => this.#tellProbe(record),
    })
  }

  #newFeedback(config: Config): Feedback {
    const goodHosts = this.#parts.learnt?.goodHosts
    return new Feedback(feedbackSettingsOf(config), {
      wallNow: Date.now,
      isExempt: (prefix) => this.#parts.lists.isFeedbackExempt(prefix),
      list: this.#parts.onListing,
      endVerdicts: (prefix, untilMs) => endHostVerdicts(this.cache, prefix, untilMs),
      countsSinceMs: (key) => countsSinceMs(this.cache, key),
      countFrom: (key, wallMs) =>
        countFrom(this.cache, key, wallMs, this.#settings.keep.userUnknownMs),
      goodAtMs: (key) => goodHosts?.goodAtMs(key) ?? this.#good.get(key) ?? 0,
      noteGood: (key, wallMs) => {
        if (goodHosts === undefined) this.#noteGood(key, wallMs)
        else goodHosts.note(key, wallMs)
      },
    })
  }

  /** Findings that are observed only never feed back. */
  #onFindings(address: string, findings: readonly Finding[]): void {
    for (const finding of findings) {
      const { layer } = finding
      if (layer !== 'relay' && layer !== 'dialup' && layer !== 'user') continue
      if (actsOn(this.#settings.modes[layer])) this.#feedBack(address, finding)
    }
  }

  #feedBack(address: string, finding: Finding): void {
    if (this.#feedback.onFinding(address, finding)) this.#tellListed(address, finding)
  }

  #noteGood(key: string, wallMs: number): void {
    this.#good.delete(key)
    this.#good.set(key, wallMs)
    if (this.#good.size <= verdictsInMemoryMax) return
    const oldest = this.#good.keys().next().value
    if (oldest !== undefined) this.#good.delete(oldest)
  }

  #tellProbe(probe: ProbeRecord): void {
    if (this.#isClosed) return
    if (probe.target !== '') this.#made++
    this.#refusals.onProbe(probe, performance.now())
    const { time, client, subject, target, finding, ms } = probe
    this.#parts.log.record({
      event: 'probe',
      time,
      client,
      test: finding.layer,
      key: subject,
      target,
      outcome: finding.outcome,
      finding: finding.name,
      ms,
      evidence: finding.evidence,
    })
  }

  #tellListed(client: string, { layer, outcome, name, evidence }: Finding): void {
    const finding = `listed-${name}`
    const time = Date.now()
    this.#parts.log.record({ event: 'finding', time, client, layer, finding, outcome, evidence })
  }

  #tellWarning(detail: string): void {
    this.#parts.log.record({ event: 'service', time: Date.now(), what: 'warning', detail })
  }
}

/** Does the policy act on findings of a test of this mode? Observed ones never feed back. */
function actsOn(mode: TestMode): boolean {
  return mode === 'enforce' || mode === 'tempfail'
}
