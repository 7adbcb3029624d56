/**
 * loadLists: everything that `[lists]` names becomes tables, on the CPU pool.
 *
 * First the never-block lists, since the guard of the others needs them; then all other lists, side
 * by side; then one image a table. Only when every image is there are they published: a table keeps
 * its object, so gate and threads go on with theirs, and what add() entered stays. If anything
 * throws, the tables of the previous load go on as they were. This thread only hands columns on
 * (moved, not copied).
 *
 * A list that fails does not stop a load: its last good state serves, or nothing, and the report
 * says so.
 */
import { resolve } from 'node:path'
import { OperatingError } from '../base/errors.ts'
import { type PrefixColumns, prefixText } from '../base/prefix-columns.ts'
import type { IpTableFormName } from '../tables/ip-table.ts'
import { type NameRule, type NameTable, newNameTable } from '../tables/name-table.ts'
import { widenedPrefix } from '../tables/widened-prefix.ts'
import { listNameOf } from './list-name.ts'
import type { PlaceDescription } from './list-place.ts'
import type { FeedFetch, ListKind, ListReport, LoadProgress } from './list-report.ts'
import {
  loopbackNetworks,
  type NeverBlockNetwork,
  NeverBlockSpace,
  specialNetworks,
} from './never-block.ts'
import type { ListFormat } from './parse-list.ts'
import { type IpTables, type PublishParts, publishLists } from './publish-lists.ts'
import type { ReadListResult, ReadListTask } from './read-list.ts'

/** A list of exempt or trusted hosts, as configured. */
export interface PlainListConfig {
  readonly name: string
  /** Path, or https:// address of a feed. */
  readonly file: string
}

/** A blacklist, as configured. */
export interface BlacklistListConfig extends PlainListConfig {
  readonly coverageMax: number
  readonly changeMax: number
  readonly shortestPrefix: number
  /** 0 = never. */
  readonly expiresMs: number
  readonly format: ListFormat | 'auto'
}

/** What of the configuration concerns a load; `config.lists` fits. */
export interface ListsConfig {
  readonly allowLoopback: boolean
  readonly keep: 'files' | 'store'
  readonly blacklistForm: IpTableFormName
  readonly badLinesMax: number
  readonly blacklist: readonly BlacklistListConfig[]
  readonly trusted: readonly PlainListConfig[]
  readonly relay: readonly PlainListConfig[]
  readonly dialup: readonly PlainListConfig[]
  readonly neverBlock: readonly PlainListConfig[]
}

/** The tables of a load. Objects stay the same from load to load, but for the names. */
export interface ListTables extends IpTables {
  readonly trustedNames: NameTable
}

/** A feed's state, as src/feeds/ keeps it. */
export interface FeedState {
  /** Path of what was fetched last. */
  readonly path: string
  /** Milliseconds since 1970 of the last answer, also of "not changed"; 0 = never. */
  readonly fetchedMs: number
  /** Absent: none since the start. */
  readonly lastFetch?: FeedFetch | undefined
}

/** What the load is given beside the configuration; `cache` is also for last good lists. */
export interface LoadParts extends PublishParts {
  /** Folder of the store for `keep = "store"`. */
  readonly store: string
  /** Our own networks and the mailhosts: no blacklist may touch them. */
  readonly ownNetworks: readonly NeverBlockNetwork[]
  readonly feedOf: (file: string) => FeedState | undefined
  readonly onProgress?: (progress: LoadProgress) => void
  /** Milliseconds since 1970; absent = now. */
  readonly wallMs?: number
}

/** A load. */
export interface LoadedLists {
  readonly tables: ListTables
  readonly reports: readonly ListReport[]
  /** What the blacklists were judged by. */
  readonly neverBlock: NeverBlockSpace
  /**
   * IPv6 prefixes of every list but the blacklists: a table does not say what lies inside a /64.
   */
  readonly exempt6: readonly string[]
}

/** The name that feedback's own list has. */
export const dynamicListName = 'dynamic'

/** Loads. Rejects with OperatingError LIST_NAME_TAKEN, TABLE_… and keeps `previous` as it was. */
export async function loadLists(
  config: ListsConfig,
  parts: LoadParts,
  previous?: LoadedLists,
): Promise<LoadedLists> {
  const tasks = tasksOf(config, parts)
  const read = readerWith(parts, tasks.neverBlock.length + tasks.others.length)
  const neverBlock = await Promise.all(tasks.neverBlock.map(read))
  const networks = guardedNetworks(config, parts, neverBlock)
  const others = await Promise.all(
    tasks.others.map((task) => read(task.guard === undefined ? task : guardedTask(task, networks))),
  )
  const results = [...neverBlock, ...others]
  const exempt6 = results
    .filter(({ report }) => report.kind !== 'blacklist')
    .flatMap(({ columns }) => prefixes6Of(columns))
  const tables = await publishLists(config.blacklistForm, parts, results, previous?.tables)
  const trustedNames = newNameTable(results.flatMap(namesOf))
  const { length } = results
  parts.onProgress?.({ done: length + 1, total: length + 1, last: 'tables' })
  const reports = results.map((result) => result.report)
  const space = new NeverBlockSpace(networks)
  return { tables: { ...tables, trustedNames }, reports, neverBlock: space, exempt6 }
}

/** The names with the name of their list. */
function namesOf({ names, report: { list } }: ReadListResult): readonly NameRule[] {
  return names.map((rule) => ({ ...rule, list }))
}

interface Tasks {
  readonly neverBlock: readonly ReadListTask[]
  readonly others: readonly ReadListTask[]
}

function tasksOf(config: ListsConfig, parts: LoadParts): Tasks {
  const plain = (kind: ListKind, lists: readonly PlainListConfig[]) => {
    const names = uniqueNames(kind, lists)
    return lists.map((list, at) => taskOf(config, parts, kind, list, names[at] ?? ''))
  }
  const names = uniqueNames('blacklist', config.blacklist)
  const blacklist = config.blacklist.map((list, at): ReadListTask => {
    const task = taskOf(config, parts, 'blacklist', list, names[at] ?? '')
    const feed = parts.feedOf(list.file)
    const validUntilMs =
      feed === undefined || list.expiresMs === 0
        ? task.validUntilMs
        : feed.fetchedMs + list.expiresMs
    const { shortestPrefix, coverageMax, changeMax } = list
    const options = { shortestPrefix, coverageMax, changeMax }
    const parse = { ...task.parse, format: list.format }
    return { ...task, parse, validUntilMs, guard: { options, neverBlock: [] } }
  })
  const exempt = [...plain('relay', config.relay), ...plain('dialup', config.dialup)]
  return {
    neverBlock: plain('never_block', config.neverBlock),
    others: [...blacklist, ...plain('trusted', config.trusted), ...exempt],
  }
}

function taskOf(
  config: ListsConfig,
  parts: LoadParts,
  kind: ListKind,
  { file }: PlainListConfig,
  list: string,
): ReadListTask {
  const sense = kind === 'blacklist' ? 'refuse' : 'permit'
  const mayHoldNames = kind === 'trusted'
  const { badLinesMax } = config
  return {
    kind,
    parse: { list, file, format: 'auto', sense, mayHoldNames, badLinesMax },
    place: placeOf(config, parts, file),
    wallMs: parts.wallMs ?? Date.now(),
    validUntilMs: Number.POSITIVE_INFINITY,
    fetch: parts.feedOf(file)?.lastFetch,
  }
}

function placeOf(config: ListsConfig, parts: LoadParts, file: string): PlaceDescription {
  const source = resolve(parts.feedOf(file)?.path ?? file)
  if (config.keep === 'store') return { kind: 'store', source, store: parts.store }
  return { kind: 'files', source, cache: parts.cache }
}

/** Names of the lists of one kind, as configured or from the file. */
function uniqueNames(kind: ListKind, lists: readonly PlainListConfig[]): readonly string[] {
  const taken = new Map<string, string>()
  if (kind === 'blacklist') taken.set(dynamicListName, 'feedback')
  return lists.map(({ name, file }) => {
    const own = name === '' ? listNameOf(file) : name
    const other = taken.get(own)
    if (other !== undefined) {
      const message = `list ${own} (${file}): the name belongs to ${other}; give it another name`
      throw new OperatingError('LIST_NAME_TAKEN', message)
    }
    taken.set(own, file)
    return own
  })
}

/** Runs tasks on the pool and counts those that are done. */
function readerWith(
  parts: LoadParts,
  lists: number,
): (task: ReadListTask) => Promise<ReadListResult> {
  let done = 0
  return async (task) => {
    const result = (await parts.pool.run('readList', task)) as ReadListResult
    done++
    parts.onProgress?.({ done, total: lists + 1, last: task.parse.list })
    return result
  }
}

function guardedTask(task: ReadListTask, neverBlock: readonly NeverBlockNetwork[]): ReadListTask {
  return task.guard === undefined ? task : { ...task, guard: { ...task.guard, neverBlock } }
}

/**
 * Special-purpose space, our own networks, the operator's lists; as wide as the form refuses, since
 * an entry beside such a host would refuse it too.
 */
function guardedNetworks(
  config: ListsConfig,
  parts: LoadParts,
  lists: readonly ReadListResult[],
): readonly NeverBlockNetwork[] {
  const loopback = config.allowLoopback ? [] : loopbackNetworks
  const operators = lists.flatMap(({ columns }) => networksOf(columns))
  const networks = [...specialNetworks, ...loopback, ...parts.ownNetworks, ...operators]
  const form = config.blacklistForm
  return networks.map(({ prefix, reason }) => ({ prefix: widenedPrefix(form, prefix), reason }))
}

function networksOf(columns: PrefixColumns): readonly NeverBlockNetwork[] {
  const each = (family: 4 | 6) => {
    const entries = family === 4 ? columns.v4 : columns.v6
    return Array.from({ length: entries.count }, (_, at) => {
      const file = columns.files[entries.fileIds[at] ?? 0]
      return { prefix: prefixText(family, entries, at), reason: `${file}:${entries.lines[at]}` }
    })
  }
  return [...each(4), ...each(6)]
}

function prefixes6Of({ v6 }: PrefixColumns): readonly string[] {
  return Array.from({ length: v6.count }, (_, at) => prefixText(6, v6, at))
}
