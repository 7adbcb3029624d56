/**
 * Header reader: finds the end of a message's header and cuts it into fields.
 *
 * The header ends at the first empty line (RFC 5322 §2.1); a line that is neither a field nor a
 * continuation does not end it, so junk between two fields hides nothing from the rules. Octets
 * stand as on the wire; nothing is copied until a rule asks for a value. A dot at the beginning of
 * a line is read over, since the receiver takes it away, needed or not (RFC 5321 §4.5.2).
 */
import { cr, dot, indexOfLf, lf, textOf } from './octets.ts'

/** A field within the octets that it was read from. */
export interface HeaderField {
  /** Lower case. */
  readonly name: string
  /** First octet of the value, behind the colon. */
  readonly valueStart: number
  /** Behind the last octet of the last line, without its CRLF. */
  readonly valueEnd: number
}

/**
 * Looks for the empty line in [start, length), going on from `from`.
 * @returns the index of the empty line's CRLF, −1 when it has not come yet.
 */
export function findHeaderEnd(
  octets: Uint8Array,
  start: number,
  from: number,
  length: number,
): number {
  if (length - start >= 2 && octets[start] === cr && octets[start + 1] === lf) return start
  let i = indexOfLf(octets, Math.max(from, start + 3), length)
  for (; i >= 0; i = indexOfLf(octets, i + 1, length)) {
    if (octets[i - 1] === cr && octets[i - 2] === lf && octets[i - 3] === cr) return i - 1
  }
  return -1
}

/**
 * The fields of the header [start, end), continuation lines included. Malformed lines are left out.
 */
export function fieldsOf(octets: Uint8Array, start: number, end: number): HeaderField[] {
  const fields: HeaderField[] = []
  let lineStart = start
  while (lineStart < end) {
    const valueEnd = endOfFoldedLine(octets, lineStart, end)
    const nameStart = behindDot(octets, lineStart)
    const colon = endOfFieldName(octets, nameStart, valueEnd)
    if (colon > nameStart) {
      const name = textOf(octets, nameStart, endWithoutBlanks(octets, nameStart, colon))
      fields.push({ name: name.toLowerCase(), valueStart: colon + 1, valueEnd })
    }
    lineStart = valueEnd + 2
  }
  return fields
}

/**
 * A value's octets, unfolded (RFC 5322 §2.2.3: the CRLF goes, the blank stays), without outer
 * blanks and stuffed dots, cut. A view of `octets` where nothing is folded.
 */
export function unfoldedValue(
  octets: Uint8Array,
  field: HeaderField,
  octetsMax: number,
): Uint8Array {
  let start = field.valueStart
  const end = Math.min(field.valueEnd, start + octetsMax)
  while (start < end && (isBlank(octets[start]) || isOfFold(octets, start))) start++
  const value = octets.subarray(start, endWithoutBlanks(octets, start, end))
  return value.includes(lf) ? value.filter((_, at) => !isOfFold(value, at)) : value
}

/** Does the octet go when a folded value is made one line: CR, LF, and a dot behind them? */
function isOfFold(octets: Uint8Array, at: number): boolean {
  const octet = octets[at]
  return octet === cr || octet === lf || (octet === dot && octets[at - 1] === lf)
}

/** Where a line begins for its receiver. */
function behindDot(octets: Uint8Array, lineStart: number): number {
  return octets[lineStart] === dot ? lineStart + 1 : lineStart
}

function isBlank(octet: number | undefined): boolean {
  return octet === 0x20 || octet === 0x09
}

/** The CR of the line end that no blank follows. */
function endOfFoldedLine(octets: Uint8Array, start: number, end: number): number {
  for (let i = indexOfLf(octets, start, end); i >= 0; i = indexOfLf(octets, i + 1, end)) {
    if (i + 1 >= end || !isBlank(octets[behindDot(octets, i + 1)])) return i - 1
  }
  return end
}

// field-name = 1*ftext, ftext = %d33-57 / %d59-126; blanks before the colon are obsolete syntax.
function endOfFieldName(octets: Uint8Array, start: number, end: number): number {
  let i = start
  while (i < end && isFieldNameOctet(octets[i] as number)) i++
  if (i === start) return -1
  while (i < end && isBlank(octets[i])) i++
  return octets[i] === 0x3a && i < end ? i : -1
}

function isFieldNameOctet(octet: number): boolean {
  return octet > 0x20 && octet < 0x7f && octet !== 0x3a
}

function endWithoutBlanks(octets: Uint8Array, start: number, end: number): number {
  while (end > start && isBlank(octets[end - 1])) end--
  return end
}
