/**
 * Probing: the active tests of an instance, on the main thread: broker, names, cache, feedback.
 *
 * With every test off nothing is opened, asked or kept. A reload makes a new broker of the new
 * settings over the same cache; what runs in the old one still reaches it. A store that cannot be
 * opened costs the memory of earlier verdicts, never mail: they are kept in memory then.
 */
import { join } from 'node:path'
import type { RootDatabase } from 'lmdb'
import { messageOf } from '../base/errors.ts'
import { storeSweepEveryMs, verdictsInMemoryMax } from '../base/limits.ts'
import type { Finding } from '../checks/finding.ts'
import type { Config } from '../config/schema.ts'
import type { Log } from '../log/records.ts'
import { ProbeBroker, type ProbeRecord } from '../probes/broker.ts'
import { converse } from '../probes/converse.ts'
import { DnsNameService } from '../probes/dns.ts'
import { Feedback, type Listing } from '../probes/feedback.ts'
import type { ProbeSettings, TestMode } from '../probes/settings.ts'
import { MemoryVerdictCache, type VerdictCache } from '../probes/verdict-cache.ts'
import { openStore } from '../store/open-store.ts'
import { VerdictStore } from '../store/verdict-store.ts'
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
  /** A finding that lists its host. */
  readonly onListing: (listing: Listing) => void
}

/** The active tests of one instance. */
export class Probing {
  /** Where the serving threads' questions go. */
  readonly desk: BrokerDesk
  readonly #lists: ListService
  readonly #log: Log
  readonly #onListing: (listing: Listing) => void
  readonly #good = new Map<string, number>()
  #settings: ProbeSettings
  #headersMode: TestMode
  #cache: VerdictCache
  #root: RootDatabase | undefined
  #store: VerdictStore | undefined
  #isClosed = false
  #names: DnsNameService
  #broker: ProbeBroker
  #feedback: Feedback
  #timer: NodeJS.Timeout | undefined

  /** Throws OperatingError for a pattern file that cannot be read. */
  constructor(parts: ProbingParts) {
    this.#lists = parts.lists
    this.#log = parts.log
    this.#onListing = parts.onListing
    this.#settings = probeSettingsOf(parts.config, parts.recipientDomains)
    this.#headersMode = parts.config.tests.headers.mode
    this.#cache = this.#openCache(parts.config)
    this.#names = new DnsNameService(dnsSettingsOf(parts.config))
    this.#broker = this.#newBroker(parts.config)
    this.#feedback = this.#newFeedback(parts.config)
    this.desk = new BrokerDesk({
      broker: () => this.#broker,
      names: () => this.#names,
      isTrustedName: (name) => this.#lists.isTrustedName(name),
      onFindings: (address, findings) => this.#onFindings(address, findings),
    })
  }

  /** The broker of the present settings. */
  get broker(): ProbeBroker {
    return this.#broker
  }

  /** What has been found out. */
  get cache(): VerdictCache {
    return this.#cache
  }

  /** New settings, after a reload. Throws like the constructor and changes nothing then. */
  configure(config: Config, recipientDomains: readonly string[]): void {
    const before = { settings: this.#settings, isOn: this.#broker.isOn }
    try {
      this.#settings = probeSettingsOf(config, recipientDomains)
      this.#broker = this.#newBroker(config)
    } catch (error) {
      this.#settings = before.settings
      throw error
    }
    this.#headersMode = config.tests.headers.mode
    this.#broker.switch(before.isOn)
    this.#names = new DnsNameService(dnsSettingsOf(config))
    this.#feedback = this.#newFeedback(config)
    if (this.#root === undefined) this.#cache = this.#openCache(config)
  }

  /** A finding of a journey. Those of the tests came with their answer; headers are taken here. */
  onFinding(address: string, finding: Finding): void {
    if (finding.layer === 'headers' && actsOn(this.#headersMode)) this.#feedBack(address, finding)
  }

  /** The mailhost accepted a message of this client. */
  onDelivered(address: string): void {
    this.#feedback.onDelivered(address)
  }

  /** An operator removed a listing: what counted against the address is forgotten. */
  onRemoved(prefix: string): void {
    this.#feedback.onRemoved(prefix.split('/')[0] ?? prefix)
  }

  /** Writes what waits and gives everything back. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#broker.switch(false)
    this.#names.close()
    this.#isClosed = true
    await this.#store?.close()
    await this.#root?.close()
  }

  #openCache(config: Config): VerdictCache {
    const isAnyOn = Object.values(this.#settings.modes).some((mode) => mode !== 'off')
    if (!isAnyOn) return new MemoryVerdictCache(1)
    try {
      const root = openStore(join(config.store.path, 'probes'), (what, detail) =>
        this.#tellStore(what, detail),
      )
      const onFault = (detail: string): void => this.#tellStore('fault', detail)
      const store = new VerdictStore(root, config.cache.entriesMax, onFault)
      this.#root = root
      this.#store = store
      this.#timer = setInterval(() => void store.sweep(Date.now()), storeSweepEveryMs)
      this.#timer.unref()
      return store
    } catch (error) {
      this.#tellStore('fault', `${messageOf(error)}; verdicts are kept in memory`)
      return new MemoryVerdictCache(verdictsInMemoryMax)
    }
  }

  #newBroker(config: Config): ProbeBroker {
    const { cache } = this
    return new ProbeBroker({
      settings: this.#settings,
      names: this.#names,
      patterns: readNamePatterns(config, (text) => this.#tellWarning(text)),
      converse,
      cache,
      exemptions: this.#lists,
      now: Date.now,
      onProbe: (record) => this.#tellProbe(record),
    })
  }

  #newFeedback(config: Config): Feedback {
    return new Feedback({
      settings: feedbackSettingsOf(config),
      now: Date.now,
      isExempt: (prefix) => this.#lists.isFeedbackExempt(prefix),
      list: this.#onListing,
      goodAtMs: (key) => this.#good.get(key) ?? 0,
      noteGood: (key, nowMs) => this.#noteGood(key, nowMs),
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

  #noteGood(key: string, nowMs: number): void {
    this.#good.delete(key)
    this.#good.set(key, nowMs)
    if (this.#good.size <= verdictsInMemoryMax) return
    const oldest = this.#good.keys().next().value
    if (oldest !== undefined) this.#good.delete(oldest)
  }

  #tellProbe({ time, test, subject, finding, ms }: ProbeRecord): void {
    if (this.#isClosed) return
    this.#log.record({
      event: 'probe',
      time,
      client: test === 'host' ? subject : '',
      test: finding.layer,
      key: subject,
      target: '',
      outcome: finding.outcome,
      finding: finding.name,
      isCached: false,
      ms,
      evidence: finding.evidence,
    })
  }

  #tellListed(client: string, { layer, outcome, name, evidence }: Finding): void {
    const finding = `listed-${name}`
    this.#log.record({
      event: 'finding',
      time: Date.now(),
      client,
      layer,
      finding,
      outcome,
      evidence,
    })
  }

  #tellWarning(detail: string): void {
    this.#log.record({ event: 'service', time: Date.now(), what: 'warning', detail })
  }

  #tellStore(what: string, detail: string): void {
    if (this.#isClosed) return
    this.#log.record({ event: 'store', time: Date.now(), what, detail })
  }
}

/** Does the policy act on findings of a test of this mode? Observed ones never feed back. */
function actsOn(mode: TestMode): boolean {
  return mode === 'enforce' || mode === 'tempfail'
}
