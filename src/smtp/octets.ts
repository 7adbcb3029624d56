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
  for (let i = start; i < end; i += textPieceOctetsMax) {
    const piece = octets.subarray(i, Math.min(i + textPieceOctetsMax, end))
    // fromCharCode takes any array-like through apply; the type knows arrays only.
    text += String.fromCharCode.apply(null, piece as unknown as number[])
  }
  return text
}

/** The text as octets; only the low eight bits of each code unit. */
export function octetsOf(text: string): Uint8Array {
  const octets = new Uint8Array(text.length)
  writeText(octets, 0, text)
  return octets
}

/** Writes the text at `at`. @returns the index behind it. */
export function writeText(target: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) target[at + i] = text.charCodeAt(i)
  return at + text.length
}

/** Arguments of one `apply`: far below the stack's limit. */
const textPieceOctetsMax = 4096
