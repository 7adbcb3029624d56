/**
 * IP addresses and prefixes: text to numbers and back. The one grammar that lists, tables, the
 * configuration and the probes' guard share.
 *
 * An IPv4 address is one unsigned 32-bit word, an IPv6 address four, most significant first. The
 * parser reads octets, because lists arrive as octets; texts are copied into a small buffer first.
 * Strict on purpose: four decimal octets without leading zeros (an octet `010` is 8 to one program
 * and 10 to another), no host names, no ports, no brackets. An IPv4-mapped IPv6 address
 * (::ffff:0:0/96) *is* its IPv4 address everywhere, since a dual-stack socket shows IPv4 clients
 * that way.
 *
 * Sources: RFC 4291 §2.2, RFC 5952 §4 (text form), RFC 6943 §3.1.1 (loose IPv4 forms are a hazard).
 */

/** A parsed prefix, to be reused from call to call; an address is a prefix of full length. */
export interface PrefixCell {
  /** 0 until something has been parsed. */
  family: 0 | 4 | 6
  /** IPv4: word 0; IPv6: words 0 to 3. Host bits are cleared. */
  readonly words: Uint32Array
  /** Bits, 0 – 32 or 0 – 128. */
  length: number
  /** The text had bits set behind its length: `192.0.2.7/24`. */
  hasHostBits: boolean
}

/** A cell for `parsePrefixOctets`. */
export function newPrefixCell(): PrefixCell {
  return { family: 0, words: new Uint32Array(4), length: 0, hasHostBits: false }
}

/** Why a text is no prefix: '' = it is one. Constant texts, so reporting costs no allocation. */
export type PrefixFault =
  | ''
  | 'not an address'
  | 'octet above 255'
  | 'octet with a leading zero'
  | 'not four octets'
  | 'zone id'
  | 'prefix length missing'
  | 'prefix length not a number'
  | 'prefix length too large'
  | 'netmask not contiguous'

/** Longest text that can be an address or prefix: an IPv6 address with IPv4 tail and netmask. */
const textOctetsMax = 80

const dot = 0x2e
const slash = 0x2f
const colon = 0x3a
const percent = 0x25
const zero = 0x30

/**
 * Parses octets [start, end) as `address`, `address/length` or `a.b.c.d/netmask` into `cell`.
 * @returns '' or the fault; after a fault the cell's content is undefined. O(length), no
 * allocation.
 */
export function parsePrefixOctets(
  octets: Uint8Array,
  start: number,
  end: number,
  cell: PrefixCell,
): PrefixFault {
  if (end - start > textOctetsMax) return 'not an address'
  let addressEnd = start
  while (addressEnd < end && octets[addressEnd] !== slash) addressEnd++
  const fault = parseAddressOctets(octets, start, addressEnd, cell)
  if (fault !== '' || addressEnd === end) return fault
  const isMapped = cell.family === 4 && firstSeparator(octets, start, addressEnd) === colon
  return parseLength(octets, addressEnd + 1, end, isMapped, cell)
}

/** Parses octets [start, end) as one address; the length becomes 32 or 128. No allocation. */
function parseAddressOctets(
  octets: Uint8Array,
  start: number,
  end: number,
  cell: PrefixCell,
): PrefixFault {
  cell.hasHostBits = false
  const separator = firstSeparator(octets, start, end)
  if (separator === dot) return parseIpv4(octets, start, end, cell)
  return separator === colon ? parseIpv6(octets, start, end, cell) : 'not an address'
}

/** The dot or colon that ends the first part (at most four digits), or 0. */
function firstSeparator(octets: Uint8Array, start: number, end: number): number {
  for (let i = start; i < end && i < start + 5; i++) {
    const octet = octets[i] ?? 0
    if (octet === dot || octet === colon) return octet
  }
  return 0
}

// RFC 3986 §3.2.2  IPv4address = dec-octet "." dec-octet "." dec-octet "." dec-octet
function parseIpv4(octets: Uint8Array, start: number, end: number, cell: PrefixCell): PrefixFault {
  let address = 0
  let part = 0
  let digits = 0
  let dots = 0
  for (let i = start; i < end; i++) {
    const octet = octets[i] ?? 0
    if (octet === dot) {
      if (digits === 0) return 'not an address'
      if (++dots > 3) return 'not four octets'
      address = (address << 8) | part
      part = 0
      digits = 0
    } else {
      const digit = octet - zero
      if (digit < 0 || digit > 9) return octet === percent ? 'zone id' : 'not an address'
      if (digits > 0 && part === 0) return 'octet with a leading zero'
      part = part * 10 + digit
      if (part > 255) return 'octet above 255'
      digits++
    }
  }
  if (dots !== 3 || digits === 0) return 'not four octets'
  cell.family = 4
  cell.words[0] = (address << 8) | part
  cell.length = 32
  return ''
}

const groups = new Uint16Array(8)

// RFC 4291 §2.2  eight groups of up to four hexadecimal digits; one "::" for a run of zeros;
// the last two groups may stand as an IPv4 address.
function parseIpv6(octets: Uint8Array, start: number, end: number, cell: PrefixCell): PrefixFault {
  let count = 0
  let gapAt = -1
  let i = start
  if (octets[i] === colon) {
    if (octets[i + 1] !== colon || i + 1 >= end) return 'not an address'
    gapAt = 0
    i += 2
  }
  while (i < end) {
    if (count === 8) return 'not an address'
    const groupEnd = endOfGroup(octets, i, end)
    if (octets[groupEnd] === dot && groupEnd < end) {
      const fault = count > 6 ? 'not an address' : parseIpv4(octets, i, end, cell)
      if (fault !== '') return fault
      groups[count++] = (cell.words[0] ?? 0) >>> 16
      groups[count++] = (cell.words[0] ?? 0) & 0xffff
      i = end
      break
    }
    if (groupEnd === i || groupEnd - i > 4) return faultAt(octets, groupEnd, end)
    groups[count++] = hexadecimal(octets, i, groupEnd)
    i = groupEnd
    if (i === end) break
    if (octets[i] !== colon || i + 1 === end) return faultAt(octets, i, end)
    i++
    if (octets[i] === colon) {
      if (gapAt >= 0) return 'not an address'
      gapAt = count
      i++
    }
  }
  if (gapAt < 0 ? count !== 8 : count > 7) return 'not an address'
  return storeIpv6(count, gapAt < 0 ? 8 : gapAt, cell)
}

function faultAt(octets: Uint8Array, at: number, end: number): PrefixFault {
  return at < end && octets[at] === percent ? 'zone id' : 'not an address'
}

function endOfGroup(octets: Uint8Array, start: number, end: number): number {
  let i = start
  while (i < end && hexadecimalDigit(octets[i] ?? 0) >= 0) i++
  return i
}

function hexadecimal(octets: Uint8Array, start: number, end: number): number {
  let value = 0
  for (let i = start; i < end; i++) value = (value << 4) | hexadecimalDigit(octets[i] ?? 0)
  return value
}

function hexadecimalDigit(octet: number): number {
  const digit = octet - zero
  if (digit >= 0 && digit <= 9) return digit
  const letter = (octet | 0x20) - 0x61
  return letter >= 0 && letter <= 5 ? letter + 10 : -1
}

/** Spreads `count` groups with the run of zeros at `gapAt` over the cell; mapped becomes IPv4. */
function storeIpv6(count: number, gapAt: number, cell: PrefixCell): PrefixFault {
  const { words } = cell
  words.fill(0)
  const shift = 8 - count
  for (let g = 0; g < count; g++) {
    const place = g < gapAt ? g : g + shift
    const word = place >> 1
    const group = groups[g] ?? 0
    words[word] = (words[word] ?? 0) | (place & 1 ? group : group << 16)
  }
  cell.family = 6
  cell.length = 128
  if (words[0] === 0 && words[1] === 0 && words[2] === 0xffff) toMappedIpv4(cell)
  return ''
}

function toMappedIpv4(cell: PrefixCell): void {
  cell.family = 4
  cell.words[0] = cell.words[3] ?? 0
  cell.words.fill(0, 1)
  cell.length = 32
}

/** The part behind the slash. A mapped address counts its length in IPv6 bits: /96 to /128. */
function parseLength(
  octets: Uint8Array,
  start: number,
  end: number,
  isMapped: boolean,
  cell: PrefixCell,
): PrefixFault {
  if (start === end) return 'prefix length missing'
  let length = 0
  for (let i = start; i < end; i++) {
    const digit = (octets[i] ?? 0) - zero
    if (digit >= 0 && digit <= 9 && i - start < 3) length = length * 10 + digit
    else if (cell.family === 4 && !isMapped) return parseNetmask(octets, start, end, cell)
    else return 'prefix length not a number'
  }
  if (end - start > 1 && octets[start] === zero) return 'prefix length not a number'
  if (isMapped) {
    if (length < 96) return 'prefix length not a number'
    length -= 96
  }
  if (length > (cell.family === 4 ? 32 : 128)) return 'prefix length too large'
  applyLength(cell, length)
  return ''
}

function parseNetmask(
  octets: Uint8Array,
  start: number,
  end: number,
  cell: PrefixCell,
): PrefixFault {
  const address = cell.words[0] ?? 0
  if (parseIpv4(octets, start, end, cell) !== '') return 'prefix length not a number'
  const mask = cell.words[0] ?? 0
  const length = Math.clz32(~mask)
  cell.words[0] = address
  if (mask !== maskOf(length)) return 'netmask not contiguous'
  applyLength(cell, length)
  return ''
}

/** The unsigned IPv4 mask of `length` bits (0 – 32). */
export function maskOf(length: number): number {
  return length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0
}

function applyLength(cell: PrefixCell, length: number): void {
  const { words } = cell
  cell.length = length
  for (let word = 0; word < (cell.family === 4 ? 1 : 4); word++) {
    const bits = Math.min(32, Math.max(0, length - word * 32))
    const kept = (words[word] ?? 0) & maskOf(bits)
    if (kept >>> 0 !== words[word]) cell.hasHostBits = true
    words[word] = kept
  }
}

const textOctets = new Uint8Array(textOctetsMax)

/** Copies a text into `textOctets`: its length, or -1 where it cannot be an address. */
function copyText(text: string): number {
  if (text.length > textOctetsMax) return -1
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x7f) return -1
    textOctets[i] = code
  }
  return text.length
}

/** Parses a text as prefix or address into `cell`. Strict: a zone id is a fault. No allocation. */
export function parsePrefix(text: string, cell: PrefixCell): PrefixFault {
  const end = copyText(text)
  return end < 0 ? 'not an address' : parsePrefixOctets(textOctets, 0, end, cell)
}

/**
 * Parses the address of a peer into `cell`. A zone id, as sockets give it for link-local peers
 * (`fe80::1%eth0`), is left out: it names an interface of ours, not the peer. No allocation.
 */
export function parseAddress(text: string, cell: PrefixCell): PrefixFault {
  const end = copyText(text)
  if (end < 0) return 'not an address'
  let addressEnd = 0
  while (addressEnd < end && textOctets[addressEnd] !== percent) addressEnd++
  const fault = parseAddressOctets(textOctets, 0, addressEnd, cell)
  return fault === '' && addressEnd < end && cell.family === 4 ? 'zone id' : fault
}

/** The eight groups of an IPv6 address; none of an IPv4 address or of what is no address. */
export function ipv6Groups(text: string): readonly number[] {
  const cell = newPrefixCell()
  return parseAddress(text, cell) === '' && cell.family === 6 ? groupsOf(cell.words, 0) : []
}

function groupsOf(words: ArrayLike<number>, offset: number): readonly number[] {
  const parts: number[] = []
  for (let word = 0; word < 4; word++) {
    const value = words[offset + word] ?? 0
    parts.push(value >>> 16, value & 0xffff)
  }
  return parts
}

/** `192.0.2.7` for 0xc0000207. */
export function formatIpv4(word: number): string {
  return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`
}

/** The text of RFC 5952 §4: lower case, the longest run of two or more zero groups as `::`. */
export function formatIpv6(words: ArrayLike<number>, offset = 0): string {
  const parts = groupsOf(words, offset)
  const [runStart, runLength] = longestZeroRun(parts)
  const text = (from: number, to: number) =>
    parts
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':')
  if (runLength < 2) return text(0, 8)
  return `${text(0, runStart)}::${text(runStart + runLength, 8)}`
}

function longestZeroRun(parts: readonly number[]): readonly [number, number] {
  let best: readonly [number, number] = [0, 0]
  for (let start = 0; start < parts.length; start++) {
    let length = 0
    while (parts[start + length] === 0) length++
    if (length > best[1]) best = [start, length]
  }
  return best
}

/** `192.0.2.0/24`, `2001:db8::/32`; `words` at `offset` is one word for IPv4, four for IPv6. */
export function formatPrefix(
  family: 4 | 6,
  words: ArrayLike<number>,
  length: number,
  offset = 0,
): string {
  const address = family === 4 ? formatIpv4(words[offset] ?? 0) : formatIpv6(words, offset)
  return `${address}/${length}`
}
