/**
 * The fast way from a dotted quad to a number, for lookups of texts.
 *
 * Accepts exactly what src/base/ip-address.ts accepts as IPv4 and answers false to everything else,
 * which then goes there to be understood or refused. The number goes into a typed array: returned,
 * it would be allocated, since half of all addresses are no small integers. A part is read in
 * straight steps, not in a loop over characters: of random addresses the lengths cannot be
 * predicted, and each branch that is foretold wrongly costs as much as reading five characters. A
 * parse without any such branch takes 0.63 × the time alone, but 1.2 – 2.5 × within a lookup, where
 * it is too long for V8 to inline.
 */

const dot = 0x2e
const zero = 0x30

/** Puts the address into `words[at]`; false = not a dotted quad. O(length), no allocation. */
export function parseIpv4Text(text: string, words: Uint32Array, at: number): boolean {
  const end = text.length
  if (end < 7 || end > 15) return false
  let address = 0
  let i = 0
  for (let parts = 0; parts < 3; parts++) {
    let part = text.charCodeAt(i) - zero
    let code = text.charCodeAt(i + 1)
    if (part < 0 || part > 9) return false
    i += 2
    if (code !== dot) {
      const second = code - zero
      if (second < 0 || second > 9 || part === 0) return false
      part = part * 10 + second
      code = text.charCodeAt(i++)
      if (code !== dot) {
        const third = code - zero
        if (third < 0 || third > 9) return false
        part = part * 10 + third
        if (part > 255 || i >= end || text.charCodeAt(i++) !== dot) return false
      }
    }
    if (i >= end) return false
    address = (address << 8) | part
  }
  const last = lastPart(text, i, end)
  if (last < 0) return false
  words[at] = (address << 8) | last
  return true
}

/** The number from `i` to the end of the text; below 0 = none, or above 255. */
function lastPart(text: string, i: number, end: number): number {
  const part = text.charCodeAt(i) - zero
  if (part < 0 || part > 9 || end - i > 3) return -1
  if (end - i === 1) return part
  const second = text.charCodeAt(i + 1) - zero
  if (second < 0 || second > 9 || part === 0) return -1
  if (end - i === 2) return part * 10 + second
  const third = text.charCodeAt(i + 2) - zero
  const whole = part * 100 + second * 10 + third
  return third < 0 || third > 9 || whole > 255 ? -1 : whole
}
