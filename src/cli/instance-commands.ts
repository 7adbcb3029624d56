/**
 * What a running instance answers on its control socket: one handler a command, over parts that the
 * composition root has made. A part that is not there is a fault that says so.
 */
import { messageOf, OperatingError } from '../base/errors.ts'
import { newPrefixCell, parsePrefix } from '../base/ip-address.ts'
import { Turns } from '../base/turns.ts'
import { differencesOf, inForce } from '../config/differences.ts'
import { faultLine, type LoadedConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import type { ControlHandler } from '../control/control-server.ts'
import { reloadInstance } from '../edge/reload.ts'
import type { RunningProxy } from '../edge/running-proxy.ts'
import { reportLine } from '../lists/list-report.ts'
import type { SystemLog } from '../log/system-log.ts'
import type { DynamicEntry, DynamicList } from '../store/dynamic-list.ts'
import { prefixKey } from '../store/dynamic-list.ts'
import type { Learnt } from '../store/learnt.ts'
import type { WhitelistStore } from '../store/whitelist-store.ts'
import { addressKey } from '../tables/address-table.ts'

/** The parts of a running instance that commands touch. */
export interface InstanceParts {
  /** The configuration file, '' where there is none. */
  readonly file: string
  /** Takes the configuration anew. */
  readonly load: () => LoadedConfig
  readonly log: SystemLog
  readonly proxy: RunningProxy
  /** An operator's change is on disk before it is answered. */
  readonly learnt: Pick<Learnt, 'store' | 'dynamic' | 'whitelist'> | undefined
  /** More commands: probes, cache, lookup. */
  readonly more?: Readonly<Record<string, ControlHandler>>
}

/** What a reload did. */
export interface ReloadAnswer {
  readonly ok: boolean
  readonly changes: readonly string[]
  readonly faults: readonly string[]
  readonly restart: readonly string[]
}

/**
 * Entries of a list in one answer: the next ones are asked for by the last one's name, or `next`.
 */
const shownMax = 10_000

/** Characters of an operator's words for an entry, so that a part of a list stays an answer. */
const reasonMax = 1000

const neverBlockRemedy =
  'enter a network outside it, or take it out of that list and run activemx reload'

/** A running instance as its commands see it; holds which configuration is in force. */
export class InstanceCommands {
  readonly #parts: InstanceParts
  readonly #turns = new Turns()
  #config: Config

  constructor(config: Config, parts: InstanceParts) {
    this.#config = config
    this.#parts = parts
  }

  /**
   * Takes the file anew, opens the log again; a fault is told and the last good one stays whole.
   */
  reload(): Promise<ReloadAnswer> {
    return this.#turns.take(async () => {
      const { load, log } = this.#parts
      const answer = await this.#take(load)
      log.log.record({ event: 'reload', time: Date.now(), ...answer })
      log.reopen()
      return answer
    })
  }

  async #take(load: () => LoadedConfig): Promise<ReloadAnswer> {
    const { log, proxy } = this.#parts
    try {
      const loaded = load()
      if (!loaded.ok) return faulty(loaded.error.map(faultLine))
      const { reload: changes, restart } = differencesOf(this.#config, loaded.value)
      await reloadInstance(loaded.value, log, proxy)
      this.#config = inForce(this.#config, loaded.value)
      return { ok: true, changes, faults: [], restart }
    } catch (error) {
      return faulty([messageOf(error)])
    }
  }

  /** The handlers of the control socket. */
  handlers(): Readonly<Record<string, ControlHandler>> {
    return {
      ...this.#parts.more,
      status: () => ({ ...this.#parts.proxy.status(), pid: process.pid, file: this.#parts.file }),
      reload: () => this.reload(),
      'log-reopen': () => this.#parts.log.reopen(),
      trace: (given, stream) => this.#trace(textOf(given, 'source'), stream.line, stream.gone),
      'list-show': (given) => this.#show(textOf(given, 'list'), String(given['after'] ?? '')),
      'list-add': (given) => this.#add(given),
      'list-remove': (given) => this.#remove(textOf(given, 'list'), textOf(given, 'entry')),
    }
  }

  async #trace(network: string, onLine: (line: string) => void, gone: Promise<void>) {
    if (parsePrefix(network, newPrefixCell()) !== '') {
      throw new OperatingError('USAGE', `source ${network}: write a network such as 192.0.2.0/24`)
    }
    const end = this.#parts.log.trace(network, onLine)
    await gone
    end()
  }

  /** The entries behind the one that is named; none: there are no more. */
  #show(list: string, after: string): readonly unknown[] {
    const nowMs = Date.now()
    if (list === 'whitelist') {
      const entries = this.#whitelist().list(after, nowMs)
      return firstOf(entries, ({ address }) => address !== after).map((entry) => ({
        entry: entry.address,
        reason: entry.source,
        seenAtMs: entry.seenMs,
        expiresAtMs: Number.isFinite(entry.expiresMs) ? entry.expiresMs : 0,
      }))
    }
    if (list === 'dynamic') return this.#showDynamic(after, nowMs)
    return after === '' ? this.#showLoaded(list) : []
  }

  /** First what no store keeps, `#PLACE` for place, then what it keeps. */
  #showDynamic(after: string, nowMs: number): readonly unknown[] {
    const place = after === '' ? '#0' : after
    const from = place.startsWith('#') ? Number(place.slice(1)) : undefined
    const notKept = from === undefined ? [] : this.#notKept(nowMs, from)
    if (notKept.length === shownMax) return notKept
    const behind = from === undefined ? after : ''
    const kept = this.#parts.learnt?.dynamic.entries(nowMs, behind) ?? []
    const entries = firstOf(kept, ({ prefix }) => prefix !== behind)
    return [...notKept, ...entries.map(({ prefix, ...rest }) => ({ entry: prefix, ...rest }))]
  }

  /** What a full store, or none, did not take is in force all the same. */
  #notKept(nowMs: number, from: number): readonly unknown[] {
    const { learnt, proxy } = this.#parts
    if (learnt !== undefined && learnt.store.lost() === 0) return []
    const reason = 'not in the store: goes with a restart'
    const entries = firstOf(proxy.dynamic.notKept(nowMs, from), () => true)
    return entries.map(({ prefix, expiresAtMs, behind }) => ({
      entry: prefix,
      expiresAtMs,
      reason,
      next: `#${behind}`,
    }))
  }

  /** A list that is loaded from a file or feed: what became of it. */
  #showLoaded(list: string): readonly unknown[] {
    const reports = this.#parts.proxy.status().lists.filter((report) => report.list === list)
    if (reports.length === 0) throw usage(`list ${list}: no list of this instance has that name`)
    return reports.map((report) => ({ entry: report.file, reason: reportLine(report) }))
  }

  async #add(given: Readonly<Record<string, unknown>>): Promise<unknown> {
    const list = textOf(given, 'list')
    const text = textOf(given, 'entry')
    const nowMs = Date.now()
    const ttl = typeof given['ttlMs'] === 'number' ? given['ttlMs'] : undefined
    const reason = typeof given['reason'] === 'string' ? given['reason'] : ''
    if (reason.length > reasonMax) throw usage(`reason: write at most ${reasonMax} characters`)
    if (list === 'whitelist') {
      const address = addressKey(text)
      if (address === undefined) throw usage(`entry ${text}: write an e-mail address`)
      const source = reason === '' ? 'operator' : reason
      if (!this.#whitelist().add(address, source, nowMs, ttl)) throw notKept(text)
      return { entry: address }
    }
    const dynamic = this.#dynamic(list)
    const prefix = prefixKey(text)
    if (prefix === undefined) throw usage(`entry ${text}: write an address or network`)
    const against = this.#parts.proxy.dynamic.reasonAgainst(prefix)
    if (against !== '') throw usage(`entry ${prefix}: ${against}; ${neverBlockRemedy}`)
    const ttlMs = ttl ?? this.#config.feedback.ttlMs
    const entry: DynamicEntry = {
      prefix,
      source: 'operator',
      reason,
      evidence: [],
      addedAtMs: nowMs,
      expiresAtMs: ttlMs === 0 ? 0 : nowMs + ttlMs,
    }
    const store = this.#parts.learnt?.store
    if (store?.isFull === true) throw storeFull(prefix, store.sizeMaxOctets)
    this.#parts.proxy.dynamic.onAdded(entry, nowMs)
    dynamic.add(entry)
    this.#keep(prefix)
    return entry
  }

  async #remove(list: string, text: string): Promise<{ readonly removed: boolean }> {
    if (list === 'whitelist') return { removed: this.#whitelist().remove(text) }
    checkKept(list)
    const prefix = prefixKey(text)
    if (prefix === undefined) return { removed: false }
    const kept = this.#parts.learnt?.dynamic
    const table = this.#parts.proxy.dynamic
    const nowMs = Date.now()
    const isThere = kept?.get(prefix, nowMs) !== undefined || table.holds(prefix, nowMs)
    if (!isThere) return { removed: false }
    kept?.remove(prefix)
    table.onRemoved(prefix, nowMs)
    this.#keep(prefix)
    return { removed: true }
  }

  #keep(entry: string): void {
    if (this.#parts.learnt?.store.flush() === false) throw notKept(entry)
  }

  #dynamic(list: string): DynamicList {
    checkKept(list)
    if (this.#parts.learnt === undefined) throw withoutStore()
    return this.#parts.learnt.dynamic
  }

  #whitelist(): WhitelistStore {
    if (this.#parts.learnt === undefined) throw withoutStore()
    return this.#parts.learnt.whitelist
  }
}

function faulty(faults: readonly string[]): ReloadAnswer {
  return { ok: false, changes: [], faults, restart: [] }
}

function textOf(given: Readonly<Record<string, unknown>>, name: string): string {
  const value = given[name]
  if (typeof value === 'string' && value !== '') return value
  throw usage(`${name} is missing`)
}

function usage(message: string): OperatingError {
  return new OperatingError('USAGE', message)
}

function firstOf<T>(entries: Iterable<T>, isMeant: (entry: T) => boolean): readonly T[] {
  const first: T[] = []
  for (const entry of entries) if (isMeant(entry) && first.push(entry) === shownMax) break
  return first
}

/** Lists of files are not changed here. */
function checkKept(list: string): void {
  if (list === 'dynamic') return
  const remedy = 'only dynamic and whitelist are kept here; edit a file and run activemx reload'
  throw usage(`list ${list}: ${remedy}`)
}

function notKept(entry: string): OperatingError {
  const remedy = 'the log says what is wrong; an entry of dynamic holds until a restart'
  return new OperatingError('STORE_FAULT', `entry ${entry}: not written to the store: ${remedy}`)
}

function storeFull(entry: string, octets: number): OperatingError {
  const remedy = 'raise it and restart, or take verdicts away with activemx cache flush'
  const message = `entry ${entry}: not added, store.size_max = ${octets} octets is used: ${remedy}`
  return new OperatingError('STORE_FULL', message)
}

function withoutStore(): OperatingError {
  return new OperatingError('STORE_AWAY', 'the instance runs without its store; see its log')
}
