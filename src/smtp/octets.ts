/**
 * Octets and text: one octet is one code unit (latin1), so peer octets travel unchanged.
 */

/** Carriage return. */
export const cr = 0x0d
/** Line feed. */
export const lf = 0x0a
/** Full stop: transparency and end of data, RFC 5321 §4.5.2. */
export const dot = 0x2e

/** The octets [start, end) as text, one code unit each. O(end − start). */
export function textOf(octets: Uint8Array, start: number, end: number): string {
  let text = ''
  for (let from = start; from < end; from += textPieceOctetsMax) {
    const units = new Array<number>(Math.min(textPieceOctetsMax, end - from))
    for (let i = 0; i < units.length; i++) units[i] = octets[from + i] as number
    text += String.fromCharCode.apply(null, units)
  }
  return text
}

/** The text as octets; only the low eight bits of each code unit. */
export function octetsOf(text: string): Uint8Array {
  const octets = new Uint8Array(text.length)
  writeText(octets, text)
  return octets
}

/**
 * The index of the first LF in [start, end), −1 when there is none. Lines are short: no call is
 * made.
 */
export function indexOfLf(octets: Uint8Array, start: number, end: number): number {
  for (let i = start; i < end; i++) if (octets[i] === lf) return i
  return -1
}

/** Writes the text at the beginning. @returns the index behind it. */
export function writeText(target: Uint8Array, text: string): number {
  for (let i = 0; i < text.length; i++) target[i] = text.charCodeAt(i)
  return text.length
}

/** Arguments of one `apply`: far below the stack's limit. */
const textPieceOctetsMax = 4096
