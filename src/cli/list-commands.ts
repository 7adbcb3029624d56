/**
 * What a running instance answers about the lists that it keeps: `list-show`, `list-add`,
 * `list-import` and `list-remove` of its control socket.
 *
 * `dynamic` and `whitelist`; the lists of files are changed in their files. An operator's change is
 * in force at once and on disk before it is answered.
 */
import { OperatingError } from '../base/errors.ts'
import type { Config } from '../config/schema.ts'
import type { ControlHandler } from '../control/control-server.ts'
import type { RunningProxy } from '../edge/running-proxy.ts'
import { reportLine } from '../lists/list-report.ts'
import { type DynamicEntry, type DynamicList, prefixKey } from '../store/dynamic-list.ts'
import type { Learnt } from '../store/learnt.ts'
import type { WhitelistStore } from '../store/whitelist-store.ts'
import { addressKey } from '../tables/address-table.ts'
import { type Given, textOf, usage } from './given.ts'

/** The parts of a running instance that the lists are. */
export interface ListParts {
  readonly proxy: Pick<RunningProxy, 'dynamic' | 'status'>
  readonly learnt: Pick<Learnt, 'store' | 'dynamic' | 'whitelist'> | undefined
}

/** What became of a part of an import. */
export interface ImportAnswer {
  readonly added: number
  /** Entries that are none, by their place in what was asked. */
  readonly refused: readonly { readonly at: number; readonly why: string }[]
}

/** How entries are added: one by one in memory, then all of them at once to the disk. */
interface Adding {
  /** Throws OperatingError: USAGE where the text is no entry, else the list takes none. */
  readonly add: (text: string) => unknown
  /** Throws OperatingError STORE_FAULT. */
  readonly keep: (last: string) => void
}

/**
 * Entries of a list in one answer: the next ones are asked for by the last one's name, or `next`.
 */
const shownMax = 10_000

/** Characters of an operator's words for an entry, so that a part of a list stays an answer. */
const reasonMax = 1000

const neverBlockRemedy =
  'enter a network outside it, or take it out of that list and run activemx reload'

/** The lists of a running instance as its commands see them. */
export class ListCommands {
  readonly #parts: ListParts
  readonly #config: () => Config

  constructor(parts: ListParts, config: () => Config) {
    this.#parts = parts
    this.#config = config
  }

  /** The handlers of the control socket. */
  handlers(): Readonly<Record<string, ControlHandler>> {
    return {
      'list-show': (given) => this.#show(textOf(given, 'list'), String(given['after'] ?? '')),
      'list-add': (given) => this.#add(given),
      'list-import': (given) => this.#import(given),
      'list-remove': (given) => this.#remove(textOf(given, 'list'), textOf(given, 'entry')),
    }
  }

  /** The entries behind the one that is named; none: there are no more. */
  #show(list: string, after: string): readonly unknown[] {
    const wallMs = Date.now()
    if (list === 'whitelist') {
      const entries = this.#whitelist().list(after, wallMs)
      return firstOf(entries, ({ address }) => address !== after).map((entry) => ({
        entry: entry.address,
        reason: entry.source,
        seenAtMs: entry.seenMs,
        expiresAtMs: Number.isFinite(entry.expiresMs) ? entry.expiresMs : 0,
      }))
    }
    if (list === 'dynamic') return this.#showDynamic(after, wallMs)
    return after === '' ? this.#showLoaded(list) : []
  }

  /** First what no store keeps, `#PLACE` for place, then what it keeps. */
  #showDynamic(after: string, wallMs: number): readonly unknown[] {
    const place = after === '' ? '#0' : after
    const from = place.startsWith('#') ? Number(place.slice(1)) : undefined
    const notKept = from === undefined ? [] : this.#notKept(wallMs, from)
    if (notKept.length === shownMax) return notKept
    const behind = from === undefined ? after : ''
    const kept = this.#parts.learnt?.dynamic.entries(wallMs, behind) ?? []
    const entries = firstOf(kept, ({ prefix }) => prefix !== behind)
    return [...notKept, ...entries.map(({ prefix, ...rest }) => ({ entry: prefix, ...rest }))]
  }

  /** What a full store, or none, did not take is in force all the same. */
  #notKept(wallMs: number, from: number): readonly unknown[] {
    const { learnt, proxy } = this.#parts
    if (learnt !== undefined && learnt.store.lost() === 0) return []
    const reason = 'not in the store: goes with a restart'
    const entries = firstOf(proxy.dynamic.notKept(wallMs, from), () => true)
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

  #add(given: Given): unknown {
    const text = textOf(given, 'entry')
    const { add, keep } = this.#adding(given)
    const entry = add(text)
    keep(text)
    return entry
  }

  /** What is no entry is named and left out; once the list takes no more, no other is tried. */
  #import(given: Given): ImportAnswer {
    const { add, keep } = this.#adding(given)
    const refused: { at: number; why: string }[] = []
    let last = ''
    let added = 0
    for (const [at, text] of textsOf(given, 'entries').entries()) {
      try {
        add(text)
        last = text
        added++
      } catch (error) {
        if (!(error instanceof OperatingError)) throw error
        if (error.code !== 'USAGE') {
          keep(last)
          throw error
        }
        refused.push({ at, why: error.message })
      }
    }
    keep(last)
    return { added, refused }
  }

  #adding(given: Given): Adding {
    const list = textOf(given, 'list')
    const ttlMs = typeof given['ttlMs'] === 'number' ? given['ttlMs'] : undefined
    const reason = typeof given['reason'] === 'string' ? given['reason'] : ''
    if (reason.length > reasonMax) throw usage(`reason: write at most ${reasonMax} characters`)
    if (list === 'whitelist') return this.#addingSenders(reason || 'operator', ttlMs)
    return this.#addingPrefixes(list, reason, ttlMs ?? this.#config().feedback.ttlMs)
  }

  #addingSenders(source: string, ttlMs: number | undefined): Adding {
    const whitelist = this.#whitelist()
    const addresses: string[] = []
    const add = (text: string): unknown => {
      const entry = addressKey(text)
      if (entry === undefined) throw usage(`entry ${text}: write an e-mail address`)
      addresses.push(entry)
      return { entry }
    }
    const keep = (last: string): void => {
      if (!whitelist.addMany(addresses, source, Date.now(), ttlMs)) throw notKept(last)
    }
    return { add, keep }
  }

  #addingPrefixes(list: string, reason: string, ttlMs: number): Adding {
    const dynamic = this.#dynamic(list)
    const add = (text: string): unknown => {
      const prefix = prefixKey(text)
      if (prefix === undefined) throw usage(`entry ${text}: write an address or network`)
      const against = this.#parts.proxy.dynamic.reasonAgainst(prefix)
      if (against !== '') throw usage(`entry ${prefix}: ${against}; ${neverBlockRemedy}`)
      const addedAtMs = Date.now()
      const expiresAtMs = ttlMs === 0 ? 0 : addedAtMs + ttlMs
      const entry: DynamicEntry = {
        prefix,
        source: 'operator',
        reason,
        evidence: [],
        addedAtMs,
        expiresAtMs,
      }
      const store = this.#parts.learnt?.store
      if (store?.isFull === true) throw storeFull(prefix, store.sizeMaxOctets)
      this.#parts.proxy.dynamic.onAdded(entry, addedAtMs)
      dynamic.add(entry)
      return entry
    }
    return { add, keep: (last) => this.#keep(last) }
  }

  async #remove(list: string, text: string): Promise<{ readonly removed: boolean }> {
    if (list === 'whitelist') return { removed: this.#removeSender(text) }
    checkKept(list)
    const prefix = prefixKey(text)
    if (prefix === undefined) return { removed: false }
    const kept = this.#parts.learnt?.dynamic
    const table = this.#parts.proxy.dynamic
    const wallMs = Date.now()
    const isThere = kept?.get(prefix, wallMs) !== undefined || table.holds(prefix)
    if (!isThere) return { removed: false }
    kept?.remove(prefix)
    table.onRemoved(prefix)
    this.#keep(prefix)
    return { removed: true }
  }

  #removeSender(text: string): boolean {
    const removed = this.#whitelist().remove(text)
    if (removed !== undefined) return removed
    const message = `entry ${text}: not removed from the store: the log says what is wrong`
    throw new OperatingError('STORE_FAULT', message)
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

/** Throws OperatingError USAGE. */
function textsOf(given: Given, name: string): readonly string[] {
  const value = given[name]
  if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value
  throw usage(`${name} is missing`)
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
