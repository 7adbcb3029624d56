/**
 * Commands: recognises the verb of a command line. RFC 5321 §4.1.1, §2.4; RFC 3030, 3207.
 *
 * Reads octets, makes no string. A line with a control octet is no command at all: neither a bare
 * CR or LF nor a NUL or an escape sequence reaches a parser, a reply or the log as part of one.
 */

/** What a command line begins with. `unsupported`: a known verb that we do not offer (502). */
export type Verb =
  | 'HELO'
  | 'EHLO'
  | 'MAIL'
  | 'RCPT'
  | 'DATA'
  | 'BDAT'
  | 'RSET'
  | 'NOOP'
  | 'VRFY'
  | 'HELP'
  | 'QUIT'
  | 'STARTTLS'
  | 'unsupported'
  | 'unknown'
  | 'control-octet'

const verbs = new Map<number, Verb>()
for (const verb of ['HELO', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'BDAT', 'RSET', 'NOOP'] as const) {
  verbs.set(packed(verb), verb)
}
for (const verb of ['VRFY', 'HELP', 'QUIT'] as const) verbs.set(packed(verb), verb)
for (const verb of ['EXPN', 'TURN', 'ETRN', 'ATRN', 'AUTH', 'SEND', 'SOML', 'SAML']) {
  verbs.set(packed(verb), 'unsupported')
}
/** Longer verbs, by their first four letters; the rest is compared below. */
const longVerbs: readonly [string, Verb][] = [
  ['STARTTLS', 'STARTTLS'],
  ['XCLIENT', 'unsupported'],
  ['XFORWARD', 'unsupported'],
]

/** The verb of the line [start, end) without its CRLF. O(end − start), no allocation. */
export function verbOf(line: Uint8Array, start: number, end: number): Verb {
  for (let i = start; i < end; i++) {
    const octet = line[i] as number
    if (octet < 0x20 || octet === 0x7f) return 'control-octet'
  }
  let verbEnd = start
  while (verbEnd < end && line[verbEnd] !== 0x20) verbEnd++
  if (verbEnd - start === 4) return verbs.get(packedOctets(line, start)) ?? 'unknown'
  for (const [word, verb] of longVerbs) if (isWord(line, start, verbEnd, word)) return verb
  return 'unknown'
}

/** End of the line without trailing spaces (RFC 5321 §4.1.1: to be tolerated). */
export function endWithoutSpaces(line: Uint8Array, start: number, end: number): number {
  while (end > start && line[end - 1] === 0x20) end--
  return end
}

/** Four letters as one number, upper case. */
function packed(word: string): number {
  let number = 0
  for (let i = 0; i < 4; i++) number = number * 256 + word.charCodeAt(i)
  return number
}

function packedOctets(line: Uint8Array, start: number): number {
  let number = 0
  for (let i = 0; i < 4; i++) number = number * 256 + upperCase(line[start + i] as number)
  return number
}

function isWord(line: Uint8Array, start: number, end: number, word: string): boolean {
  if (end - start !== word.length) return false
  for (let i = 0; i < word.length; i++) {
    if (upperCase(line[start + i] as number) !== word.charCodeAt(i)) return false
  }
  return true
}

function upperCase(octet: number): number {
  return octet >= 0x61 && octet <= 0x7a ? octet - 0x20 : octet
}
