/**
 * Lists: everything that [lists] names, loaded, kept fresh, and joined to gate and threads.
 *
 * The tables keep their objects and handles from load to load, so a reload only swaps what is in
 * them; the rules of the verdict classes are made anew and go to the gate with the next policy
 * (`onChange`), those for the moment between before the tables (`onRules`). What cannot be loaded
 * is told, and its last good state serves. After a restart with unchanged lists the snapshot of the
 * blacklist serves until they are loaded. Whatever serves, a list that is void by its own word or
 * its feed's age serves no longer.
 */
import { messageOf } from '../base/errors.ts'
import { feedsStartWaitMs } from '../base/limits.ts'
import { prefixesTouch } from '../base/prefix-holds.ts'
import { Turns } from '../base/turns.ts'
import { allMailhosts } from '../config/mailhosts.ts'
import type { Config } from '../config/schema.ts'
import { newCpuPool, type OwnedCpuPool } from '../cpu-pool.ts'
import { type FeedConfig, Feeds } from '../feeds/feeds.ts'
import { listNameOf } from '../lists/list-name.ts'
import { type ListReport, type LoadProgress, refusedReport } from '../lists/list-report.ts'
import {
  dynamicListName,
  type ListsConfig,
  type ListTables,
  type LoadedLists,
  loadLists,
} from '../lists/load-lists.ts'
import { chooseForm } from '../tables/choose-form.ts'
import type { IpTable } from '../tables/ip-table.ts'
import { widenedPrefix } from '../tables/widened-prefix.ts'
import { BlacklistSnapshot, type KeptBlacklist, stampOf } from './blacklist-snapshot.ts'
import { classRulesOf, rulesMeanwhile } from './class-rules.ts'
import type { DynamicTable } from './dynamic-entries.ts'
import { inlinePool } from './inline-pool.ts'
import type { ExemptTables, ListService } from './list-service.ts'
import type { Holding } from './look-up.ts'
import type { GateTables } from './policies.ts'
import { within } from './within.ts'

/** So often it is looked whether a list is void: its end is by the wall clock, which may be set. */
const validityCheckMs = 60_000

/** Who hears of loads. */
export interface ListsListener {
  onReport(report: ListReport): void
  /** Something of the lists failed, and what serves instead. */
  onFault(detail: string): void
  /** Rules of the gate have changed, for tables that are published next. */
  onRules(): void
  /** Rules or tables of the gate have changed. */
  onChange(): void
}

/** The lists of an instance. Owned by the main thread. */
export class Lists implements ListService {
  readonly #pool: OwnedCpuPool = newCpuPool()
  readonly #listener: ListsListener
  readonly #feeds: Feeds
  readonly #snapshot: BlacklistSnapshot
  readonly #turns = new Turns()
  #isClosed = false
  #config: Config
  #loaded: LoadedLists | undefined
  #balancers: IpTable
  #gate: GateTables
  #timer: NodeJS.Timeout | undefined
  /** Waits for the end of the list that is void first. */
  #validity: NodeJS.Timeout | undefined
  #loading: LoadProgress | undefined

  /**
   * Loads everything, the blacklist at once from its snapshot where that is of the same lists; they
   * follow by themselves. Rejects with OperatingError when names clash or tables cannot be made.
   * @param feedsWaitMs how long feeds that are due are waited for
   */
  static async open(
    config: Config,
    listener: ListsListener,
    feedsWaitMs = feedsStartWaitMs,
  ): Promise<Lists> {
    const lists = new Lists(config, listener)
    try {
      if (await lists.#restore(config)) void lists.#refresh()
      else await lists.#loadFirst(config, feedsWaitMs)
      return lists
    } catch (fault) {
      await lists.close()
      throw fault
    }
  }

  constructor(config: Config, listener: ListsListener) {
    this.#config = config
    this.#listener = listener
    this.#feeds = new Feeds(cacheOf(config))
    this.#snapshot = new BlacklistSnapshot(cacheOf(config))
    this.#balancers = balancersOf(config)
    this.#gate = { blacklist: 0, trusted: 0, proxyProtocolFrom: 0, classRules: [] }
  }

  get gate(): GateTables {
    return this.#gate
  }

  get exempt(): ExemptTables {
    const { relay, dialup } = this.tables ?? {}
    return { relay: relay?.handle ?? 0, dialup: dialup?.handle ?? 0 }
  }

  /** The tables of the last load. */
  get tables(): ListTables | undefined {
    return this.#loaded?.tables
  }

  /** What became of each list at the last load. */
  get reports(): readonly ListReport[] {
    return this.#loaded?.reports ?? []
  }

  get loading(): LoadProgress | undefined {
    return this.#loading
  }

  get hasTrustedNames(): boolean {
    return (this.#loaded?.tables.trustedNames.size ?? 0) > 0
  }

  tableOf(handle: number): ((address: string) => number) | undefined {
    const tables = [this.tables?.blacklist, this.tables?.trusted, this.#balancers]
    const table = tables.find((one, at) => one !== undefined && handleOf(one, at) === handle)
    return table === undefined ? undefined : (address) => table.lookupClass(address)
  }

  isTrustedName(name: string): boolean {
    return this.tables?.trustedNames.has(name) ?? false
  }

  isRelayExempt(address: string): boolean {
    return holds(this.tables?.relay, address)
  }

  isDialupExempt(address: string): boolean {
    return holds(this.tables?.dialup, address)
  }

  neverBlockReason(prefix: string): string {
    return this.#loaded?.neverBlock.reasonForPrefix(prefix) ?? ''
  }

  /** Special-purpose space and the mailhosts are exempt too, as in every feed. */
  isFeedbackExempt(prefix: string): boolean {
    if (this.neverBlockReason(prefix) !== '') return true
    if (prefix.includes(':')) {
      const exempt6 = this.#loaded?.exempt6 ?? []
      return exempt6.some((other) => prefixesTouch(other, prefix) === true)
    }
    const { trusted, relay, dialup } = this.tables ?? {}
    const addresses = addressesOf(this.#widened(prefix))
    return addresses.some((address) =>
      [trusted, relay, dialup].some((table) => holds(table, address)),
    )
  }

  holdingsOf(address: string): readonly Holding[] {
    const { blacklist, trusted, relay, dialup, neverBlock } = this.tables ?? {}
    const tables = { trusted, blacklist, relay, dialup, never_block: neverBlock }
    return Object.entries(tables).flatMap(([kind, table]) =>
      (table?.explain(address) ?? []).map(({ list, prefix, file = '', line = 0 }) => ({
        kind: kind as Holding['kind'],
        list,
        entry: prefix,
        file,
        line,
      })),
    )
  }

  nameHoldingsOf(name: string): readonly Holding[] {
    const rule = this.tables?.trustedNames.find(name)
    if (rule === undefined) return []
    const { name: entry, list = '', file = '', line = 0 } = rule
    return [{ kind: 'trusted', list, entry, file, line }]
  }

  enterDynamic({ prefix, ttlMs }: Parameters<DynamicTable['enterDynamic']>[0]): void {
    const end = ttlMs === 0 ? {} : { ttlMs }
    this.tables?.blacklist.add(prefix, { list: dynamicListName, ...end })
  }

  // Nothing is compiled into this list, so its exclusion may end as soon as it has taken effect.
  removeDynamic(prefix: string): string {
    this.tables?.blacklist.remove(prefix, { list: dynamicListName, ttlMs: 1 })
    return this.#widened(prefix)
  }

  /**
   * The whitelist is asked in the serving threads (native-edge.ts), or by whoever holds the store.
   */
  isWhitelisted(): boolean {
    return false
  }

  listsOf(verdictClass: number): readonly string[] {
    return this.tables?.blacklist.listsOf(verdictClass) ?? []
  }

  /** Fetches what is due and loads all lists; the old ones serve until all new ones are there. */
  async reload(config: Config): Promise<void> {
    await this.#feeds.refresh(feedsOf(config))
    await this.#turns.take(() => this.#load(config))
  }

  /** A feed that does not come at once keeps nobody waiting: what was fetched last serves. */
  async #loadFirst(config: Config, feedsWaitMs: number): Promise<void> {
    await within(this.#feeds.refresh(feedsOf(config)), feedsWaitMs)
    const isLate = this.#feeds.isFetching
    await this.#turns.take(() => this.#load(config))
    if (isLate) void this.#refresh()
  }

  /** Serves from the snapshot and the small lists; false where the blacklist has to be loaded. */
  async #restore(config: Config): Promise<boolean> {
    let kept: KeptBlacklist | undefined
    try {
      kept = await this.#snapshot.load(this.#pool, this.#stampOf(config))
    } catch (fault) {
      this.#listener.onFault(`${messageOf(fault)}; the lists are loaded instead`)
    }
    if (kept === undefined) return false
    const { image, validUntilMs } = kept
    const loaded = await this.#loadLists({ ...config.lists, blacklist: [] }, config)
    const { handle } = loaded.tables.blacklist
    await this.#pool.run('publishImages', { images: [{ handle, image }] })
    this.#loaded = loaded
    this.#gate = this.#gateTables()
    this.#endAt(Math.min(validUntilMs, validUntilOf(loaded.reports)))
    return true
  }

  async #loadLists(lists: ListsConfig, config: Config): Promise<LoadedLists> {
    const before = this.#gate.classRules
    const beforePublish = (): void => {
      const { blacklist } = this.tables ?? {}
      if (blacklist !== undefined) this.#setRules(rulesMeanwhile(config, blacklist, before))
    }
    try {
      return await loadLists(lists, { ...this.#partsOf(config), beforePublish }, this.#loaded)
    } catch (fault) {
      this.#setRules(before)
      throw fault
    } finally {
      this.#loading = undefined
    }
  }

  #setRules(classRules: GateTables['classRules']): void {
    if (this.#isClosed || this.#gate.classRules === classRules) return
    this.#gate = { ...this.#gate, classRules }
    this.#listener.onRules()
  }

  #stampOf(config: Config): string {
    return stampOf(config, (file) => this.#feeds.stateOf(file)?.path ?? file)
  }

  /** Loads what is there; whoever wants feeds fetched has done so. */
  async #load(config: Config): Promise<void> {
    if (this.#isClosed) return
    const stamp = this.#stampOf(config)
    const loaded = await this.#loadLists(config.lists, config)
    if (this.#isClosed) return
    this.#loaded = loaded
    const balancers = balancersOf(config)
    this.#balancers.close()
    this.#balancers = balancers
    this.#config = config
    this.#gate = this.#gateTables()
    for (const report of this.#loaded.reports) this.#listener.onReport(report)
    this.#listener.onChange()
    this.#refreshLater()
    this.#endAt(validUntilOf(loaded.reports))
    void this.#saveSnapshot(loaded, stamp)
  }

  /** Where that fails, files and lines stay in memory, and the next start loads the lists. */
  async #saveSnapshot({ tables, reports }: LoadedLists, stamp: string): Promise<void> {
    const validUntilMs = validUntilOf(reports.filter(({ kind }) => kind === 'blacklist'))
    try {
      await this.#snapshot.save(this.#pool, tables.blacklist, stamp, validUntilMs)
    } catch (fault) {
      if (!this.#isClosed) this.#listener.onFault(messageOf(fault))
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    clearTimeout(this.#validity)
    this.#feeds.close()
    await this.#pool.close()
  }

  #refreshLater(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#refresh(), refreshMsOf(this.#config))
    this.#timer.unref()
  }

  // A fault of a load that nobody waits for changes nothing: what served goes on while it is valid.
  async #refresh(): Promise<void> {
    try {
      await this.#feeds.refresh(feedsOf(this.#config))
      await this.#turns.take(() => this.#load(this.#config))
    } catch (fault) {
      if (this.#isClosed) return
      this.#listener.onFault(`${messageOf(fault)}; the lists of the last load serve`)
      this.#refreshLater()
    }
  }

  /** What serves is valid until then, unless it is loaded anew before. Milliseconds since 1970. */
  #endAt(validUntilMs: number): void {
    clearTimeout(this.#validity)
    if (this.#isClosed || validUntilMs === Number.POSITIVE_INFINITY) return
    const waitMs = Math.min(Math.max(validUntilMs - Date.now(), 0), validityCheckMs)
    this.#validity = setTimeout(() => {
      if (Date.now() < validUntilMs) this.#endAt(validUntilMs)
      else void this.#turns.take(() => this.#expire())
    }, waitMs)
    this.#validity.unref()
  }

  /**
   * A list is void: the others are loaded without it, whatever a fetch is waiting for. Where that
   * fails there is no blacklist rather than an old one.
   */
  async #expire(): Promise<void> {
    if (this.#isClosed) return
    try {
      await this.#load(this.#config)
    } catch (fault) {
      if (this.#isClosed) return
      this.#listener.onFault(`${messageOf(fault)}; a list is void, no blacklist serves`)
      await this.#dropBlacklist(messageOf(fault))
    }
  }

  /** Only the small lists stay; what there was of blacklists is reported as refused. */
  async #dropBlacklist(why: string): Promise<void> {
    const dropped = this.#config.lists.blacklist.map((list) => {
      const { name, file } = list
      return refusedReport(name === '' ? listNameOf(file) : name, file, why)
    })
    try {
      const lists = { ...this.#config.lists, blacklist: [] }
      const loaded = await this.#loadLists(lists, this.#config)
      if (this.#isClosed) return
      this.#loaded = { ...loaded, reports: [...dropped, ...loaded.reports] }
      this.#gate = this.#gateTables()
      this.#endAt(validUntilOf(loaded.reports))
      this.#listener.onChange()
    } catch (fault) {
      if (!this.#isClosed) this.#listener.onFault(`${messageOf(fault)}; restart the service`)
    }
  }

  #partsOf(config: Config) {
    const isSmall = Object.values(config.lists).every(
      (one) => !Array.isArray(one) || one.length === 0,
    )
    return {
      // Nothing to read is not worth a thread.
      pool: isSmall ? inlinePool : this.#pool,
      formOf: chooseForm,
      cache: cacheOf(config),
      store: config.store.path,
      ownNetworks: allMailhosts(config).map(({ address }) => ({
        prefix: address,
        reason: 'mailhost of ours',
      })),
      feedOf: (file: string) => this.#feeds.stateOf(file),
      onProgress: (progress: LoadProgress) => {
        this.#loading = progress
      },
    }
  }

  #widened(prefix: string): string {
    return widenedPrefix(this.#config.lists.blacklistForm, prefix)
  }

  #gateTables(): GateTables {
    const tables = this.#loaded?.tables
    if (tables === undefined) return this.#gate
    return {
      blacklist: handleOf(tables.blacklist, 0),
      trusted: handleOf(tables.trusted, 1),
      proxyProtocolFrom: handleOf(this.#balancers, 2),
      classRules: classRulesOf(this.#config, tables.blacklist),
    }
  }
}

/** Every address of an IPv4 prefix of /24 or longer. */
function addressesOf(prefix: string): readonly string[] {
  const [address = '', bits = '32'] = prefix.split('/')
  const [, network, last] = /^(\d+\.\d+\.\d+\.)(\d+)$/.exec(address) ?? []
  if (network === undefined) return [address]
  const count = Math.min(256, 2 ** (32 - Number(bits)))
  return Array.from({ length: count }, (_, at) => `${network}${Number(last) + at}`)
}

function holds(table: IpTable | undefined, address: string): boolean {
  return table !== undefined && table.lookupClass(address) !== 0
}

/** The native handle, or one that only the gate's twin knows. */
function handleOf(table: IpTable, at: number): number {
  return table.handle === 0 ? -1 - at : table.handle
}

function balancersOf({ listen }: Config): IpTable {
  const form = chooseForm({ name: 'prefix', folder: '' })
  return form.fromPrefixes(
    listen.proxyProtocolFrom.map((prefix) => ({ prefix, list: 'proxy_protocol_from' })),
  )
}

function cacheOf({ lists, store }: Config): string {
  return lists.cache === '' ? `${store.path}/lists` : lists.cache
}

function feedsOf({ lists }: Config): readonly FeedConfig[] {
  const all = [lists.blacklist, lists.trusted, lists.relay, lists.dialup, lists.neverBlock].flat()
  return all
    .filter(({ file }) => Feeds.isFeed(file))
    .map(({ file, everyMs }) => ({ url: file, everyMs }))
}

/** The end of the list that is void first; milliseconds since 1970, Infinity = none. */
function validUntilOf(reports: readonly ListReport[]): number {
  return Math.min(...reports.map((one) => one.validUntilMs))
}

/** The shortest `every` of all lists. */
function refreshMsOf({ lists }: Config): number {
  const all = [lists.blacklist, lists.trusted, lists.relay, lists.dialup, lists.neverBlock].flat()
  return Math.min(3_600_000, ...all.map(({ everyMs }) => everyMs))
}
