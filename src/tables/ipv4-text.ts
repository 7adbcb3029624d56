/**
 * The fast way from a dotted quad to a number, for lookups of texts.
 *
 * Accepts exactly what src/base/ip-address.ts accepts as IPv4 and answers false to everything else,
 * which then goes there to be understood or refused. The number goes into a typed array: returned, it
 * would be allocated, since half of all addresses are no small integers.
 */

const dot = 0x2e
const zero = 0x30

/** Puts the address into `words[at]`; false = not a dotted quad. O(length), no allocation. */
export function parseIpv4Text(text: string, words: Uint32Array, at: number): boolean {
  const end = text.length
  if (end < 7 || end > 15) return false
  let address = 0
  let part = 0
  let digits = 0
  let dots = 0
  for (let i = 0; i < end; i++) {
    const code = text.charCodeAt(i)
    if (code === dot) {
      if (digits === 0 || part > 255) return false
      address = (address << 8) | part
      part = 0
      digits = 0
      dots++
    } else {
      const digit = code - zero
      if (digit < 0 || digit > 9 || (digits > 0 && part === 0)) return false
      part = part * 10 + digit
      digits++
    }
  }
  if (dots !== 3 || digits === 0 || part > 255) return false
  words[at] = (address << 8) | part
  return true
}
