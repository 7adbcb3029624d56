/**
 * ListReport: what became of one list, and how far a load is; for `check-config`, `status`, the log
 * and the metrics.
 */
import type { LineReport } from './entry-sink.ts'
import type { SetAside } from './guard.ts'
import type { ListFormat } from './parse-list.ts'

/** What a list is for; the words of the configuration's tables. */
export type ListKind = 'blacklist' | 'trusted' | 'relay' | 'dialup' | 'never_block'

/**
 * `loaded`: as it is now. `last-good`: refused or unreadable, the last good one serves. `refused`:
 * the same, but there is no last good one, so the list is empty. `expired`: too old, so the list is
 * empty.
 */
export type ListOutcome = 'loaded' | 'last-good' | 'refused' | 'expired'

/** What the last fetch of a feed came to. */
export interface FeedFetch {
  readonly outcome: 'changed' | 'unchanged' | 'failed'
  /** Why it failed; else ''. */
  readonly fault: string
}

/** One line of a load's report. */
export interface ListReport {
  readonly kind: ListKind
  readonly list: string
  /** Path or address, as configured. */
  readonly file: string
  readonly outcome: ListOutcome
  /** Why the outcome is not `loaded`, with the remedy; else ''. */
  readonly refusal: string
  /** Undefined: no feed, or not fetched since the start. Failed: an older list serves, or none. */
  readonly fetch: FeedFetch | undefined
  readonly format: ListFormat | undefined
  /** Prefixes and names that serve. */
  readonly entryCount: number
  readonly badLineCount: number
  readonly badLines: readonly LineReport[]
  readonly remarkCount: number
  readonly remarks: readonly LineReport[]
  readonly setAsideCount: number
  readonly setAside: readonly SetAside[]
  /**
   * Milliseconds since 1970 from which what serves is void, by its own word or its feed's age;
   * Infinity = never.
   */
  readonly validUntilMs: number
}

/** The report of a blacklist that a load could not take, whatever is in it. */
export function refusedReport(name: string, file: string, refusal: string): ListReport {
  return {
    ...{ kind: 'blacklist', list: name, file, outcome: 'refused', refusal, fetch: undefined },
    ...{ format: undefined, entryCount: 0, badLineCount: 0, badLines: [], remarkCount: 0 },
    ...{ remarks: [], setAsideCount: 0, setAside: [], validUntilMs: Number.POSITIVE_INFINITY },
  }
}

/** How far a load is. */
export interface LoadProgress {
  readonly done: number
  readonly total: number
  /** The list that was just read, or `tables`. */
  readonly last: string
}

/** The progress as one line of text. */
export function progressLine({ done, total, last }: LoadProgress): string {
  return `loading lists: ${done} of ${total}, last ${last}`
}

/** A report as one line of text. */
export function reportLine(report: ListReport): string {
  const { kind, list, outcome, entryCount, badLineCount, setAsideCount } = report
  const bad = badLineCount > 0 ? `, ${badLineCount} bad lines skipped` : ''
  const aside = setAsideCount > 0 ? `, ${setAsideCount} entries set aside` : ''
  const reasons = reasonsOf(report)
  const why = reasons.length === 0 ? '' : `: ${reasons.join('; ')}`
  return `${kind} ${list}: ${outcome}, ${entryCount} entries${bad}${aside}${why}`
}

/** What kept the newest state of the list from serving, and warnings; one each. */
export function reasonsOf({ fetch, refusal }: ListReport): readonly string[] {
  const notFetched = fetch?.outcome === 'failed' ? `not fetched: ${fetch.fault}` : ''
  return [notFetched, refusal].filter((reason) => reason !== '')
}
