/**
 * Lines of rbldnsd's ip4set, ip4trie, ip4tset, ip6trie and ip6tset (rbldnsd(8), "Dataset types").
 *
 *   line   = "$" special / ":" default A and TXT         (not ours, but $TIMESTAMP and $DATASET)
 *   line  /= [ "!" ] entry [ blank value ] / [ "!" ] entry ( "#" / ";" ) comment
 *   entry  = 127.0.0.0/24 / 127.0.0 / 127/24 / 127-127.0.0 / 127.0.0.1-255 / 127.16-31
 *          / 2001:21ab:c000/36 / 2001:20fe:23:41ed (a /64) / ::1
 *
 * Left-out octets count as zeros in front of a length or a dash, as all of 0 – 255 in a prefix
 * alone, as 255 behind a dash; one octet behind the dash replaces the last octet given before it.
 * IPv6 words left out without "::" are zeros, and the length, where none is given, is that of the
 * words given.
 */
import { newPrefixCell, type PrefixCell } from '../base/ip-address.ts'
import type { EntryFault, EntrySink } from './entry-sink.ts'
import { isDigit, octet, skipBlanks, textOf } from './octets.ts'

const first = newPrefixCell()
const last = newPrefixCell()

/** Takes the line [start, end), blanks trimmed, not empty, no comment line. */
export function takeRbldnsdLine(
  sink: EntrySink,
  start: number,
  end: number,
  line: number,
): EntryFault {
  const { octets } = sink
  if (octets[start] === octet.dollar) return takeSpecial(sink, start, end)
  if (octets[start] === octet.colon && octets[start + 1] !== octet.colon) return ''
  const isExcluded = octets[start] === octet.exclamation
  const entryStart = isExcluded ? skipBlanks(octets, start + 1, end) : start
  let entryEnd = entryStart
  while (entryEnd < end && !isEndOfEntry(octets[entryEnd])) entryEnd++
  if (octets.subarray(entryStart, entryEnd).includes(octet.colon)) {
    return takeIpv6(sink, entryStart, entryEnd, line, isExcluded)
  }
  return takeIpv4(
    sink,
    textOf(octets, entryStart, Math.min(entryEnd, entryStart + 64)),
    line,
    isExcluded,
  )
}

function isEndOfEntry(value: number | undefined): boolean {
  const isComment = value === octet.hash || value === octet.semicolon
  return isComment || value === octet.space || value === octet.tab
}

/** Only IP datasets hold addresses, and only $TIMESTAMP says something about the whole file. */
function takeSpecial(sink: EntrySink, start: number, end: number): EntryFault {
  const [keyword = '', ...values] = textOf(sink.octets, start, Math.min(end, start + 512)).split(
    /\s+/,
  )
  if (keyword === '$DATASET' && !/^ip[46]t?(?:set|rie)\b/.test(values[0] ?? '')) {
    return `dataset ${values[0]?.slice(0, 20)} holds no addresses: give it a file of its own`
  }
  if (keyword === '$TIMESTAMP') sink.expiresMs = Math.min(sink.expiresMs, expiryOf(values))
  return ''
}

/** `$TIMESTAMP stamp [expires]`; the expiry may be `+rel` with s, m, h, d, w. */
function expiryOf([stamp = '0', expires = '0']: readonly string[]): number {
  const relative = /^\+(\d{1,9})([smhdw]?)$/.exec(expires)
  if (relative === null) return stampOf(expires)
  const secondsEach = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }[relative[2] || 's'] ?? 1
  return stampOf(stamp) + Number(relative[1]) * secondsEach * 1000
}

function stampOf(text: string): number {
  const digits = text.replaceAll(/[:-]/g, '')
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)?(\d\d)?(\d\d)?$/.exec(digits)
  if (parts === null) return Number.POSITIVE_INFINITY
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = parts
    .slice(1)
    .map((part) => Number(part ?? 0))
  return Date.UTC(year, month - 1, day, hour, minute, second)
}

function takeIpv4(sink: EntrySink, text: string, line: number, isExcluded: boolean): EntryFault {
  const dash = text.indexOf('-')
  const slash = text.indexOf('/')
  if (dash < 0 && slash < 0) {
    const parts = ipv4Parts(text)
    if (typeof parts === 'string') return parts
    store(first, parts, 0)
    first.length = parts.length * 8
    sink.takeCell(first, line, isExcluded)
    return ''
  }
  if (slash >= 0)
    return takeCidr4(sink, text.slice(0, slash), text.slice(slash + 1), line, isExcluded)
  const from = ipv4Parts(text.slice(0, dash))
  const to = ipv4Parts(text.slice(dash + 1))
  if (typeof from === 'string') return from
  if (typeof to === 'string') return to
  store(first, from, 0)
  store(last, to.length === 1 ? [...from.slice(0, -1), ...to] : to, 255)
  first.length = 32
  last.length = 32
  return sink.takeCells(first, last, line, isExcluded)
}

function takeCidr4(
  sink: EntrySink,
  address: string,
  bits: string,
  line: number,
  isExcluded: boolean,
): EntryFault {
  const parts = ipv4Parts(address)
  if (typeof parts === 'string') return parts
  const [a = 0, b = 0, c = 0, d = 0] = parts
  return sink.takeText(`${a}.${b}.${c}.${d}/${bits}`, line, isExcluded)
}

/** One to four octets, or the fault. */
function ipv4Parts(text: string): readonly number[] | string {
  const parts = text.split('.')
  if (parts.length > 4) return 'not four octets'
  const values: number[] = []
  for (const part of parts) {
    if (!/^[0-9]{1,3}$/.test(part)) return 'not an address'
    if (part.length > 1 && part.startsWith('0')) return 'octet with a leading zero'
    if (Number(part) > 255) return 'octet above 255'
    values.push(Number(part))
  }
  return values
}

function store(cell: PrefixCell, parts: readonly number[], fill: number): void {
  const [a = fill, b = fill, c = fill, d = fill] = parts
  cell.family = 4
  cell.words[0] = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
}

function takeIpv6(
  sink: EntrySink,
  start: number,
  end: number,
  line: number,
  isExcluded: boolean,
): EntryFault {
  const text = textOf(sink.octets, start, Math.min(end, start + 80))
  const [address = '', bits] = text.split('/')
  const words = address.split(':')
  if (address.includes('::') || words.length >= 8)
    return sink.takePrefix(start, end, line, isExcluded)
  return sink.takeText(`${address}::/${bits ?? words.length * 16}`, line, isExcluded)
}

/**
 * Whether a line can only be rbldnsd's: a special, a default, or a prefix of fewer than four
 * octets.
 */
export function looksLikeRbldnsd(octets: Uint8Array, start: number, end: number): boolean {
  if (octets[start] === octet.dollar) return true
  if (octets[start] === octet.colon) return octets[start + 1] !== octet.colon
  let at = start
  while (at < end && (isDigit(octets[at]) || octets[at] === octet.dot)) at++
  const value = skipBlanks(octets, at, end)
  return at > start && value > at && octets[value] === octet.colon
}
