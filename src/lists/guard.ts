/**
 * The guard: what a blacklist says is judged before it is believed. Pure.
 *
 * 1. Entry by entry: what touches never-block space, or is shorter than `shortest_prefix`, is
 *    set aside and reported; the rest of the list goes on. Exclusions pass: they only take away.
 * 2. The list as a whole, on what remains: coverage above `coverage_max`, or a change against
 *    the last good one above `change_max`, refuses it; the last good one stays.
 *
 * Small changes are never refused: an operator's file that grows from one line to three is not
 * poisoned. But a list that becomes empty is refused at any size: that is what a broken feed looks
 * like.
 */
import { changeFloor4, changeFloor6, setAsideKeptMax } from '../base/limits.ts'
import { type FamilyColumns, type PrefixColumns, prefixText } from '../base/prefix-columns.ts'
import { type Coverage, changeBetween, coverageOf, shareOf } from './coverage.ts'
import type { NeverBlockSpace } from './never-block.ts'

/** An entry that was set aside. */
export interface SetAside {
  readonly list: string
  readonly file: string
  readonly line: number
  readonly prefix: string
  readonly reason: string
}

/** The settings of one list. */
export interface GuardOptions {
  /** Bits; IPv6 entries must be three times as long. */
  readonly shortestPrefix: number
  /** Shares, 0 – 1; 1 = no limit. */
  readonly coverageMax: number
  readonly changeMax: number
}

/** The guard's judgement. */
export interface GuardedList {
  /** The entries that remain. */
  readonly columns: PrefixColumns
  readonly coverage: Coverage
  readonly setAsideCount: number
  /** The first of them, up to a maximum. */
  readonly setAside: readonly SetAside[]
  /** Why the list is not to be used; '' = it is. */
  readonly refusal: string
}

/** Judges a list. `lastGood` is what the list covered when it was last believed. */
export function guardList(
  columns: PrefixColumns,
  neverBlock: NeverBlockSpace,
  options: GuardOptions,
  lastGood: Coverage | undefined,
): GuardedList {
  const setAside: SetAside[] = []
  const bad4 = judgeEntries(4, columns, neverBlock, options.shortestPrefix, setAside)
  const bad6 = judgeEntries(6, columns, neverBlock, options.shortestPrefix * 3, setAside)
  const setAsideCount = bad4.length + bad6.length
  const remaining = setAsideCount === 0 ? columns : without(columns, bad4, bad6)
  const coverage = coverageOf(remaining)
  const refusal = refusalOf(coverage, options, lastGood)
  return { columns: remaining, coverage, setAsideCount, setAside, refusal }
}

/** The slots of entries to set aside, reported into `setAside`. */
function judgeEntries(
  family: 4 | 6,
  columns: PrefixColumns,
  neverBlock: NeverBlockSpace,
  shortest: number,
  setAside: SetAside[],
): readonly number[] {
  const entries = family === 4 ? columns.v4 : columns.v6
  const bad: number[] = []
  for (let at = 0; at < entries.count; at++) {
    if (entries.excluded[at] === 1) continue
    const isShort = (entries.lengths[at] ?? 0) < shortest
    const reason = isShort ? `shorter than /${shortest}` : neverBlock.reasonFor(family, entries, at)
    if (reason === '') continue
    bad.push(at)
    if (setAside.length < setAsideKeptMax) setAside.push(setAsideOf(family, columns, at, reason))
  }
  return bad
}

function setAsideOf(family: 4 | 6, columns: PrefixColumns, at: number, reason: string): SetAside {
  const entries = family === 4 ? columns.v4 : columns.v6
  return {
    list: columns.lists[entries.listIds[at] ?? 0] ?? '',
    file: columns.files[entries.fileIds[at] ?? 0] ?? '',
    line: entries.lines[at] ?? 0,
    prefix: prefixText(family, entries, at),
    reason,
  }
}

function without(
  columns: PrefixColumns,
  bad4: readonly number[],
  bad6: readonly number[],
): PrefixColumns {
  const { lists, files } = columns
  return { lists, files, v4: kept(1, columns.v4, bad4), v6: kept(4, columns.v6, bad6) }
}

function kept(wordsEach: 1 | 4, entries: FamilyColumns, bad: readonly number[]): FamilyColumns {
  if (bad.length === 0) return entries
  const count = entries.count - bad.length
  const gaps = [...bad, entries.count]
  return {
    count,
    words: compacted(entries.words, new Uint32Array(count * wordsEach), wordsEach, gaps),
    lengths: compacted(entries.lengths, new Uint8Array(count), 1, gaps),
    listIds: compacted(entries.listIds, new Uint16Array(count), 1, gaps),
    fileIds: compacted(entries.fileIds, new Uint16Array(count), 1, gaps),
    lines: compacted(entries.lines, new Uint32Array(count), 1, gaps),
    excluded: compacted(entries.excluded, new Uint8Array(count), 1, gaps),
  }
}

/**
 * Copies a column without the slots in `gaps`, which are in order and end with the column's end.
 */
function compacted<T extends Uint8Array | Uint16Array | Uint32Array>(
  source: T,
  target: T,
  wordsEach: number,
  gaps: readonly number[],
): T {
  let read = 0
  let written = 0
  for (const gap of gaps) {
    target.set(source.subarray(read * wordsEach, gap * wordsEach), written * wordsEach)
    written += gap - read
    read = gap + 1
  }
  return target
}

function refusalOf(
  coverage: Coverage,
  options: GuardOptions,
  lastGood: Coverage | undefined,
): string {
  const share = shareOf(coverage)
  if (share > options.coverageMax) {
    const is = `covers ${percent(share)} of the address space`
    return `${is}, coverage_max is ${percent(options.coverageMax)}; raise it if the list is right`
  }
  if (lastGood === undefined || options.changeMax >= 1) return ''
  const isEmpty = coverage.v4.length + coverage.v6.length === 0
  const wasEmpty = lastGood.v4.length + lastGood.v6.length === 0
  const remedy = 'set change_max = 1 for one load if the list is right'
  if (isEmpty && !wasEmpty) return `holds nothing any more; ${remedy}`
  const change4 = changeBetween(lastGood.v4, coverage.v4)
  const change6 = changeBetween(lastGood.v6, coverage.v6)
  const change = Math.max(
    change4.units > changeFloor4 ? change4.share : 0,
    change6.units > changeFloor6 ? change6.share : 0,
  )
  if (change <= options.changeMax) return ''
  const is = `changes by ${percent(change)} against the last good one`
  return `${is}, change_max is ${percent(options.changeMax)}; ${remedy}`
}

function percent(share: number): string {
  return `${(share * 100).toPrecision(3)} %`
}
