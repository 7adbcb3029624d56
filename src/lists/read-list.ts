/**
 * readList: one list from its place to believed columns. A task of the CPU pool.
 *
 * Read, parse, guard. What is believed becomes the last good one. What is not leaves the last good
 * one in service: it is read from its place, parsed and guarded again (never-block space may have
 * grown since), and the report says why. Trouble with one list never touches another.
 */
import { messageOf } from '../base/errors.ts'
import type { PrefixColumns } from '../base/prefix-columns.ts'
import { type Coverage, coverageOf } from './coverage.ts'
import type { NameEntry } from './entry-sink.ts'
import { type GuardedList, type GuardOptions, guardList } from './guard.ts'
import { type ListPlace, openPlace, type PlaceDescription } from './list-place.ts'
import type { FeedFetch, ListKind, ListOutcome, ListReport } from './list-report.ts'
import { type NeverBlockNetwork, NeverBlockSpace } from './never-block.ts'
import { type ParsedList, type ParseOptions, parseList } from './parse-list.ts'

/** The task. */
export interface ReadListTask {
  readonly kind: ListKind
  readonly parse: ParseOptions
  readonly place: PlaceDescription
  /** Milliseconds since 1970. */
  readonly wallMs: number
  /** After this the source is too old to be believed; Infinity = never. */
  readonly validUntilMs: number
  /** For the report. */
  readonly fetch: FeedFetch | undefined
  /** Absent: the list is believed as it is (it refuses nobody). */
  readonly guard?: {
    readonly options: GuardOptions
    readonly neverBlock: readonly NeverBlockNetwork[]
  }
}

/** The result. */
export interface ReadListResult {
  readonly report: ListReport
  readonly columns: PrefixColumns
  readonly names: readonly NameEntry[]
}

const never = Number.POSITIVE_INFINITY

/** Runs the task; throws only for our own bugs. */
export function readList(task: ReadListTask): ReadListResult {
  let place: ListPlace | undefined
  try {
    place = openPlace(task.place, task.kind, task.parse.list)
    return readFrom(place, task)
  } catch (fault) {
    return resultOf(task, nothing(task), 'refused', messageOf(fault))
  } finally {
    place?.close()
  }
}

function readFrom(place: ListPlace, task: ReadListTask): ReadListResult {
  if (task.wallMs >= task.validUntilMs) {
    const why = 'the feed has not come yet, or not for its setting expires; see its log lines'
    return resultOf(task, nothing(task), 'expired', why)
  }
  const attempt = trySource(place, task)
  if (attempt.judged !== undefined && attempt.refusal === '') {
    return resultOf(task, attempt.judged, 'loaded', attempt.warning)
  }
  return fallBack(place, task, attempt)
}

interface Judged {
  readonly parsed: ParsedList
  readonly guarded: Omit<GuardedList, 'coverage'>
}

interface Attempt {
  readonly judged: Judged | undefined
  readonly refusal: string
  /** Trouble that does not keep the list from serving. */
  readonly warning: string
}

function trySource(place: ListPlace, task: ReadListTask): Attempt {
  try {
    const octets = place.readSource()
    const { octets: lastGood, fault } = lastGoodOf(place)
    const isSame = lastGood !== undefined && Buffer.compare(lastGood, octets) === 0
    const before = isSame || lastGood === undefined ? undefined : coverageBefore(lastGood, task)
    const judged = judge(octets, task, before)
    const refusal = refusalOf(judged, task)
    const unjudged =
      fault === '' || task.guard === undefined
        ? ''
        : `serves, but change_max does not count: ${fault}`
    const untaken = faultOf(() => place.keepSource(octets), 'is not taken into the store')
    const isNewGood = refusal === '' && !isSame
    const unkept = isNewGood
      ? faultOf(() => place.writeLastGood(octets), 'is not kept as last good')
      : ''
    const warning = [unjudged, untaken, unkept].filter((text) => text !== '').join('; ')
    return { judged, refusal, warning }
  } catch (fault) {
    return { judged: undefined, refusal: messageOf(fault), warning: '' }
  }
}

/** One that cannot be read is none: a list that is right as it is serves without it. */
function lastGoodOf(place: ListPlace): {
  readonly octets: Uint8Array | undefined
  readonly fault: string
} {
  try {
    return { octets: place.readLastGood(), fault: '' }
  } catch (fault) {
    return { octets: undefined, fault: messageOf(fault) }
  }
}

/** A full disk must not keep a good list from serving. */
function faultOf(keep: () => void, what: string): string {
  try {
    keep()
    return ''
  } catch (fault) {
    return `serves, but ${what}: ${messageOf(fault)}`
  }
}

function coverageBefore(octets: Uint8Array, task: ReadListTask): Coverage | undefined {
  if (task.guard === undefined) return undefined
  const { guarded } = judge(octets, task, undefined)
  return coverageOf(guarded.columns)
}

function judge(octets: Uint8Array, task: ReadListTask, before: Coverage | undefined): Judged {
  const parsed = parseList(octets, task.parse)
  if (task.guard === undefined) {
    const { columns } = parsed
    return { parsed, guarded: { columns, setAside: [], setAsideCount: 0, refusal: '' } }
  }
  const neverBlock = new NeverBlockSpace(task.guard.neverBlock)
  return { parsed, guarded: guardList(parsed.columns, neverBlock, task.guard.options, before) }
}

function refusalOf({ parsed, guarded }: Judged, task: ReadListTask): string {
  if (parsed.refusal !== '') return parsed.refusal
  if (parsed.expiresMs <= task.wallMs) {
    return `void since ${new Date(parsed.expiresMs).toISOString()} by its own $TIMESTAMP`
  }
  return guarded.refusal
}

function fallBack(
  place: ListPlace,
  task: ReadListTask,
  { judged, refusal }: Attempt,
): ReadListResult {
  const { octets: lastGood } = lastGoodOf(place)
  if (lastGood !== undefined) {
    const good = judge(lastGood, task, undefined)
    if (refusalOf(good, task) === '') return resultOf(task, good, 'last-good', refusal, judged)
  }
  return resultOf(task, nothing(task), 'refused', refusal, judged)
}

function nothing(task: ReadListTask): Judged {
  const parsed = parseList(new Uint8Array(0), task.parse)
  const { columns } = parsed
  return { parsed, guarded: { columns, setAside: [], setAsideCount: 0, refusal: '' } }
}

/** @param tried what the reports of lines are about, where that is not what serves */
function resultOf(
  task: ReadListTask,
  serving: Judged,
  outcome: ListOutcome,
  refusal: string,
  tried: Judged = serving,
): ReadListResult {
  const { format, badLineCount, badLines, remarkCount, remarks } = tried.parsed
  const { setAside, setAsideCount } = tried.guarded
  const { columns } = serving.guarded
  const { names } = serving.parsed
  const isServing = outcome === 'loaded' || outcome === 'last-good'
  const report: ListReport = {
    kind: task.kind,
    list: task.parse.list,
    file: task.parse.file,
    outcome,
    refusal,
    fetch: task.fetch,
    format,
    entryCount: columns.v4.count + columns.v6.count + names.length,
    ...{ badLineCount, badLines, remarkCount, remarks, setAside, setAsideCount },
    validUntilMs: isServing ? Math.min(task.validUntilMs, serving.parsed.expiresMs) : never,
  }
  return { report, columns, names }
}
