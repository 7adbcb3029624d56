/**
 * Body scanner: finds the end of a message on the wire and flags what must not travel on.
 *
 * Stands between the client's octets and the mailhost. Only CRLF.CRLF ends a message (RFC 5321
 * §4.1.1.4); a bare CR, a bare LF and a NUL are flagged, never taken for a line end. The whole
 * state between two chunks is one number, so a session owns no object for it. This is the slow
 * twin: the byte loop which shows what native/core/scanner does with AVX2. It changes nothing and
 * judges nothing.
 *
 * The number, 24 bits:  0–2 position (below)   3–7 flags   8–23 octets of the current line, ≤ 65535
 */
import { textLineOctetsMax } from '../base/limits.ts'
import { cr, dot, lf, octetsOf } from './octets.ts'

/**
 * Scans octets [start, end), going on from `state` (0 at the message's first octet).
 *
 * @returns `index * 2^24 + state`: see `scannedIndex` and `scannedState`. index is the octet behind
 * CRLF.CRLF when the message has ended, else `end`.
 */
export type ScanBody = (chunk: Uint8Array, start: number, end: number, state: number) => number

/** Where the octets seen so far stand; the low three bits of the state. */
const scanPosition = {
  lineStart: 0, // CRLF, or nothing yet
  inLine: 1, // … x
  afterCr: 2, // … x CR
  afterDot: 3, // CRLF .
  afterDotCr: 4, // CRLF . CR
  ended: 5, // CRLF . CR LF
} as const

/** A CR that no LF follows. */
export const bareCrFlag = 0x08
/** An LF that no CR precedes. */
export const bareLfFlag = 0x10
/** A NUL octet. */
export const nulFlag = 0x20
/** A line of more than 998 octets and CRLF (RFC 5322 §2.1.1); its stuffed dot is not counted. */
export const longLineFlag = 0x40
/** What must never reach the mailhost. */
export const strayFlags = bareCrFlag | bareLfFlag | nulFlag

const noOctets = new Uint8Array(0)
/** By position. */
const keptBackAt: readonly Uint8Array[] = [
  noOctets,
  noOctets,
  octetsOf('\r'),
  octetsOf('.'),
  octetsOf('.\r'),
  noOctets,
]

const positionMask = 0x07
const flagMask = 0xf8
const lineShift = 8
const lineOctetsCountMax = 0xffff
const stateSpan = 0x1000000

/** The index in a scan's result: where the scan stopped. */
export function scannedIndex(result: number): number {
  return Math.floor(result / stateSpan)
}

/** The state in a scan's result, to go on from. */
export function scannedState(result: number): number {
  return result % stateSpan
}

/** Has the message ended? */
export function hasEnded(state: number): boolean {
  return (state & positionMask) === scanPosition.ended
}

/**
 * Octets at the end of what was scanned whose meaning the next octet decides: a CR, or what may be
 * the final dot. They must not travel on before.
 */
export function undecidedOctets(state: number): number {
  const position = state & positionMask
  if (position === scanPosition.afterCr || position === scanPosition.afterDot) return 1
  return position === scanPosition.afterDotCr ? 2 : 0
}

/** These octets, which have come and were kept back. Shared: never written to. */
export function keptBack(state: number): Uint8Array {
  return keptBackAt[state & positionMask] ?? noOctets
}

/** Has only come what may travel on: no end, nothing stray? */
export function isPlain(state: number): boolean {
  return !hasEnded(state) && (state & strayFlags) === 0
}

/** The byte loop. O(end − start), no allocation. */
export const scanBodyByteLoop: ScanBody = (chunk, start, end, state) => {
  let position = state & positionMask
  let flags = state & flagMask
  if (position === scanPosition.ended) return start * stateSpan + state
  let lineStart = firstLineStart(start, state)
  let i = start
  while (i < end) {
    const octet = chunk[i++] as number
    if (octet > cr && octet !== dot) {
      if (position !== scanPosition.inLine) {
        if (isAfterCr(position)) flags |= bareCrFlag
        position = scanPosition.inLine
      }
      continue
    }
    if (octet === lf) {
      if (position === scanPosition.afterCr) {
        if (i - 2 - lineStart > textLineOctetsMax) flags |= longLineFlag
        position = scanPosition.lineStart
        lineStart = i
        continue
      }
      if (position === scanPosition.afterDotCr) return pack(i, scanPosition.ended, flags, 0)
      flags |= bareLfFlag
      position = scanPosition.inLine
      continue
    }
    if (octet === dot && position === scanPosition.lineStart) {
      position = scanPosition.afterDot
      lineStart = i
      continue
    }
    if (isAfterCr(position)) flags |= bareCrFlag
    if (octet === cr) {
      position = position === scanPosition.afterDot ? scanPosition.afterDotCr : scanPosition.afterCr
      continue
    }
    if (octet === 0) flags |= nulFlag
    position = scanPosition.inLine
  }
  const lineOctets = end - lineStart - (isAfterCr(position) ? 1 : 0)
  if (lineOctets > textLineOctetsMax) flags |= longLineFlag
  return pack(end, position, flags, lineOctets)
}

/** Index (it may lie before `start`) at which the current line's counted octets begin. */
function firstLineStart(start: number, state: number): number {
  return start - (state >> lineShift) - (isAfterCr(state & positionMask) ? 1 : 0)
}

function isAfterCr(position: number): boolean {
  return position === scanPosition.afterCr || position === scanPosition.afterDotCr
}

function pack(index: number, position: number, flags: number, lineOctets: number): number {
  const counted = Math.min(lineOctets, lineOctetsCountMax)
  return index * stateSpan + (counted << lineShift) + (flags | position)
}
