/**
 * parseList: the octets of a list file become columns, names and reports. Pure: no file, no clock.
 *
 * Every format is a line grammar of its own (…-lines.ts); this file finds the lines, the format and
 * the verdict on the file as a whole. A bad line is reported and skipped; a file with more bad
 * lines than its share allows is refused, because then it is not what it says it is (an error page,
 * another format, a cut transfer). One bad line in a file that is otherwise mostly good never
 * refuses it. docs/list-formats.md says what each oddity of real files becomes.
 *
 * Line ends are LF, CRLF or a bare CR. A byte-order mark of UTF-8 is passed over; UTF-16 is
 * refused.
 */
import { formatSampleOctets, listOctetsMax } from '../base/limits.ts'
import { type PrefixColumns, PrefixColumnsBuilder } from '../base/prefix-columns.ts'
import { takeDropJsonLine } from './drop-json-lines.ts'
import { type EntryFault, EntrySink, type LineReport, type NameEntry } from './entry-sink.ts'
import { takeIpv4Line } from './ipv4-lines.ts'
import { octet, skipBlanks, trimEnd } from './octets.ts'
import { takePlainLine } from './plain-lines.ts'
import {
  type ListSense,
  looksLikePostfixCidr,
  type PostfixState,
  takePostfixCidrLine,
} from './postfix-cidr-lines.ts'
import { looksLikeRbldnsd, takeRbldnsdLine } from './rbldnsd-lines.ts'
import { endOfMessage, takeSpamdLine } from './spamd-lines.ts'

/**
 * The formats, in the words of the configuration; `drop` is told from its JSON by its first octet.
 */
export type ListFormat = 'netset' | 'drop' | 'rbldnsd' | 'postfix-cidr' | 'spamd' | 'plain'

/** How to read a file. */
export interface ParseOptions {
  /** Name of the list. */
  readonly list: string
  /** Path or address, for reports and provenance. */
  readonly file: string
  readonly format: ListFormat | 'auto'
  readonly sense: ListSense
  /** The list may hold domain names (trusted). */
  readonly mayHoldNames: boolean
  /** Share of bad lines, 0 – 1, above which the file is refused. */
  readonly badLinesMax: number
}

/** What a file holds. */
export interface ParsedList {
  readonly list: string
  readonly file: string
  /** Undefined where the file holds nothing to tell it by. */
  readonly format: ListFormat | undefined
  readonly columns: PrefixColumns
  readonly names: readonly NameEntry[]
  /** Prefixes and names; a range counts each of its prefixes. */
  readonly entryCount: number
  readonly badLineCount: number
  readonly badLines: readonly LineReport[]
  readonly remarkCount: number
  readonly remarks: readonly LineReport[]
  /** Milliseconds since 1970 after which the file says it is void; Infinity = it does not say. */
  readonly expiresMs: number
  /** Why the whole file is not to be used; '' = it is. */
  readonly refusal: string
}

/** Reads a whole, unpacked file. O(octets); never throws for content. */
export function parseList(octets: Uint8Array, options: ParseOptions): ParsedList {
  const builder = new PrefixColumnsBuilder()
  const sink = new EntrySink(octets, options.file, options.list, builder)
  const start = startOfText(octets)
  let format: ListFormat | undefined
  let refusal = refusalOfOctets(octets)
  if (refusal === '') {
    format = options.format === 'auto' ? detectFormat(octets, start) : options.format
    const isPlain = format === undefined || format === 'plain' || format === 'netset'
    readLines(sink, start, lineTaker(format ?? 'plain', options), isPlain)
    refusal = refusalOfLines(sink, options.badLinesMax)
  }
  const { names, entryCount, badLineCount, badLines, remarkCount, remarks, expiresMs } = sink
  const columns = builder.finish()
  const counts = { entryCount, badLineCount, badLines, remarkCount, remarks }
  const { list, file } = options
  return { list, file, format, columns, names, ...counts, expiresMs, refusal }
}

/** Behind a byte-order mark of UTF-8. */
function startOfText(octets: Uint8Array): number {
  return octets[0] === 0xef && octets[1] === 0xbb && octets[2] === 0xbf ? 3 : 0
}

function refusalOfOctets(octets: Uint8Array): string {
  if (octets.length > listOctetsMax) {
    return `${octets.length} octets, the maximum is ${listOctetsMax}: split the list`
  }
  const [first, second] = octets
  const isUtf16 = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)
  if (isUtf16) return 'UTF-16 text: save it as UTF-8'
  return first === 0x1f && second === 0x8b ? 'still packed by gzip' : ''
}

function refusalOfLines(sink: EntrySink, badLinesMax: number): string {
  const bad = sink.badLineCount
  const total = bad + sink.goodLineCount
  // A single one beside good ones is forgiven, unless none at all is.
  const forgiven = badLinesMax > 0 && total >= 2 ? 1 : 0
  const tolerated = Math.max(Math.floor(total * badLinesMax), forgiven)
  if (bad <= tolerated) return ''
  const [first] = sink.badLines
  const share = ((100 * bad) / total).toFixed(1)
  return (
    `${bad} of ${total} lines cannot be read (${share} %), first line ${first?.line}: ` +
    `${first?.reason}: "${first?.text}"; check the format, or raise lists.bad_lines_max`
  )
}

/** Takes one line; `start` is before its leading blanks. */
type LineTaker = (sink: EntrySink, start: number, end: number, line: number) => EntryFault

function lineTaker(format: ListFormat, options: ParseOptions): LineTaker {
  const postfix: PostfixState = { ifs: 0 }
  const { sense, mayHoldNames } = options
  const trimmed =
    (take: LineTaker): LineTaker =>
    (sink, start, end, line) =>
      take(sink, skipBlanks(sink.octets, start, end), end, line)
  switch (format) {
    case 'rbldnsd':
      return trimmed(takeRbldnsdLine)
    case 'spamd':
      return trimmed(takeSpamdLine)
    case 'postfix-cidr':
      return (sink, start, end, line) => takePostfixCidrLine(sink, start, end, line, sense, postfix)
    default:
      return trimmed((sink, start, end, line) =>
        sink.octets[start] === octet.brace
          ? takeDropJsonLine(sink, start, end, line)
          : takePlainLine(sink, start, end, line, mayHoldNames),
      )
  }
}

/** Walks the lines from `at`; blank and comment lines are nobody's business. */
function readLines(sink: EntrySink, at: number, take: LineTaker, isPlain: boolean): void {
  const { octets } = sink
  const { length } = octets
  let line = 0
  while (at < length) {
    line++
    let lineEnd = isPlain ? takeIpv4Line(sink, at, line) : -1
    if (lineEnd < 0) {
      lineEnd = endOfLine(octets, at)
      const end = trimEnd(octets, at, lineEnd)
      const start = skipBlanks(octets, at, end)
      if (start < end && !isComment(octets[start])) readLine(sink, at, end, line, take)
    }
    const isCrLf = octets[lineEnd] === octet.carriageReturn && octets[lineEnd + 1] === octet.newline
    at = lineEnd + (isCrLf ? 2 : 1)
  }
}

function readLine(
  sink: EntrySink,
  start: number,
  end: number,
  line: number,
  take: LineTaker,
): void {
  const before = sink.entryCount
  const fault = take(sink, start, end, line)
  if (fault !== '') sink.bad(start, end, line, fault)
  else if (sink.entryCount > before) sink.goodLineCount++
}

function endOfLine(octets: Uint8Array, start: number): number {
  let at = start
  while (
    at < octets.length &&
    octets[at] !== octet.newline &&
    octets[at] !== octet.carriageReturn
  ) {
    at++
  }
  return at
}

function isComment(value: number | undefined): boolean {
  return value === octet.hash || value === octet.semicolon
}

/** The format by the first lines that can only be of one; `plain` where all fit. */
function detectFormat(octets: Uint8Array, start: number): ListFormat | undefined {
  const sample = octets.subarray(0, formatSampleOctets)
  const probe = new EntrySink(sample, '', '', new PrefixColumnsBuilder())
  let found: ListFormat | undefined
  let lines = 0
  for (let at = start; at < sample.length && lines < 200; ) {
    const lineEnd = endOfLine(sample, at)
    const from = skipBlanks(sample, at, lineEnd)
    const end = trimEnd(sample, from, lineEnd)
    at = lineEnd + 1
    if (from === end || isComment(sample[from])) continue
    lines++
    found ??= 'plain'
    const only = formatOfLine(probe, from, end)
    if (only !== undefined) return only
  }
  return found
}

function formatOfLine(probe: EntrySink, start: number, end: number): ListFormat | undefined {
  const { octets } = probe
  if (octets[start] === octet.brace) return 'drop'
  if (looksLikeRbldnsd(octets, start, end)) return 'rbldnsd'
  if (endOfMessage(octets, start, end) > 0) return 'spamd'
  if (looksLikePostfixCidr(probe, start, end)) return 'postfix-cidr'
  const semicolon = octets.subarray(start, end).indexOf(octet.semicolon)
  if (semicolon > 0 && probe.isPrefix(start, trimEnd(octets, start, start + semicolon)))
    return 'drop'
  return undefined
}
