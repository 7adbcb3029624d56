/**
 * The fast way from a dotted quad to a number, for lookups of texts.
 *
 * Accepts exactly what src/base/ip-address.ts accepts as IPv4 and answers false to everything else,
 * which then goes there to be understood or refused. The number goes into a typed array: returned,
 * it would be allocated, since half of all addresses are no small integers.
 *
 * No branch hangs on a digit or on the length of a part: of random addresses neither can be
 * foretold, and each branch that was foretold wrongly also holds back the reads of the table behind
 * it (0.63 × the time of a parse by branches, bench/lookup.ts). So every part is read as if it had
 * three digits, and masks (−1 or 0) take away what it has not; two parts from the front and two
 * from the back, which need not wait for each other.
 */

const dot = 0x2e
const zero = 0x30
/** The sign bit of a part. */
const invalid = 1 << 31
const octet = 255

/** Puts the address into `words[at]`; false = not a dotted quad. O(1), no allocation. */
export function parseIpv4Text(text: string, words: Uint32Array, at: number): boolean {
  const end = text.length
  if (end < 7 || end > 15) return false
  const first = partFrom(text, 0)
  const secondAt = lengthOf(first)
  if (end - secondAt < 5) return false
  const second = partFrom(text, secondAt)
  const fourth = partBefore(text, end)
  const thirdEnd = end - lengthOf(fourth)
  if (thirdEnd < 5) return false
  const third = partBefore(text, thirdEnd)
  // Either length counts the dot between the second part and the third.
  const doTheyMeet = secondAt + lengthOf(second) === thirdEnd - lengthOf(third) + 1
  if (!doTheyMeet || (first | second | third | fourth) < 0) return false
  const high = (first << 24) | ((second & octet) << 16)
  words[at] = high | ((third & octet) << 8) | (fourth & octet)
  return true
}

/** The part that begins at `at` and ends before a dot. Reads four characters. */
function partFrom(text: string, at: number): number {
  const a = text.charCodeAt(at) - zero
  const b = text.charCodeAt(at + 1) - zero
  const c = text.charCodeAt(at + 2) - zero
  const hasTwo = unlessDot(b)
  const hasThree = hasTwo & unlessDot(c)
  const value = a + (hasTwo & (a * 9 + b)) + (hasThree & (a * 90 + b * 9 + c))
  const faultOfTwo = faultOf(b) | (a - 1)
  const faultOfThree = faultOf(c) | -(text.charCodeAt(at + 3) ^ dot)
  return part(value, hasTwo, hasThree, faultOf(a), faultOfTwo, faultOfThree)
}

/** The part that ends before `end` and begins behind a dot. Reads four characters. */
function partBefore(text: string, end: number): number {
  const a = text.charCodeAt(end - 3) - zero
  const b = text.charCodeAt(end - 2) - zero
  const c = text.charCodeAt(end - 1) - zero
  const hasTwo = unlessDot(b)
  const hasThree = hasTwo & unlessDot(a)
  const value = c + (hasTwo & (b * 10)) + (hasThree & (a * 100))
  const faultOfTwo = faultOf(b) | ((b - 1) & ~hasThree)
  const faultOfThree = faultOf(a) | (a - 1) | -(text.charCodeAt(end - 4) ^ dot)
  return part(value, hasTwo, hasThree, faultOf(c), faultOfTwo, faultOfThree)
}

/**
 * A part in one number: the value below, its length with a dot above it, the sign where it is none.
 * A fault is a number below 0; those of digits that the part has not do not count.
 */
function part(
  value: number,
  hasTwo: number,
  hasThree: number,
  faultOfOne: number,
  faultOfTwo: number,
  faultOfThree: number,
): number {
  const fault = faultOfOne | (hasTwo & faultOfTwo) | (hasThree & faultOfThree) | (octet - value)
  return (fault & invalid) | ((2 - hasTwo - hasThree) << 8) | (value & octet)
}

/** Characters of a part and its dot. */
function lengthOf(found: number): number {
  return (found >> 8) & 7
}

/** −1, or 0 where the character is a dot. */
function unlessDot(digit: number): number {
  const apart = digit + zero - dot
  return (apart | -apart) >> 31
}

/** Below 0 where it is no digit. */
function faultOf(digit: number): number {
  return digit | (9 - digit)
}
