/**
 * Octets of list lines: the few questions that every line parser asks.
 */

/** The octets that the grammars of list files name. */
export const octet = {
  tab: 0x09,
  newline: 0x0a,
  carriageReturn: 0x0d,
  space: 0x20,
  exclamation: 0x21,
  quote: 0x22,
  hash: 0x23,
  dollar: 0x24,
  dash: 0x2d,
  dot: 0x2e,
  slash: 0x2f,
  zero: 0x30,
  nine: 0x39,
  colon: 0x3a,
  semicolon: 0x3b,
  equals: 0x3d,
  backslash: 0x5c,
  brace: 0x7b,
} as const

/** The first place in [start, end) that is neither space nor tab, or `end`. */
export function skipBlanks(octets: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && isBlank(octets[at])) at++
  return at
}

/** The end of [start, end) without blanks at its end. */
export function trimEnd(octets: Uint8Array, start: number, end: number): number {
  let at = end
  while (at > start && isBlank(octets[at - 1])) at--
  return at
}

/** The first blank in [start, end), or `end`. */
export function skipWord(octets: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && !isBlank(octets[at])) at++
  return at
}

/** Space or tab. */
export function isBlank(value: number | undefined): boolean {
  return value === octet.space || value === octet.tab
}

/** A decimal digit. */
export function isDigit(value: number | undefined): boolean {
  return value !== undefined && value >= octet.zero && value <= octet.nine
}

/** ASCII text of [start, end); octets above 0x7f become U+FFFD or whatever UTF-8 says. */
export function textOf(octets: Uint8Array, start: number, end: number): string {
  return decoder.decode(octets.subarray(start, end))
}

const decoder = new TextDecoder()
