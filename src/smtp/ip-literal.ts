/**
 * Address literals: `[192.0.2.1]` and `[IPv6:2001:db8::1]`, RFC 5321 §4.1.3. No general literals:
 * none is registered.
 */

/** Is the text, with its brackets, an IPv4 or IPv6 literal? */
export function isIpLiteral(text: string): boolean {
  if (!text.startsWith('[') || !text.endsWith(']')) return false
  const inside = text.slice(1, -1)
  if (inside.length > insideOctetsMax) return false
  if (inside.slice(0, 5).toUpperCase() === 'IPV6:') return isIpv6(inside.slice(5))
  return isIpv4(inside)
}

/** `IPv6:` and the longest text form of an address. */
const insideOctetsMax = 50

// Snum = 1*3DIGIT, 0 – 255
function isIpv4(text: string): boolean {
  const parts = text.split('.')
  return parts.length === 4 && parts.every((part) => isDecimal(part) && Number(part) <= 255)
}

function isDecimal(text: string): boolean {
  if (text.length < 1 || text.length > 3) return false
  for (let i = 0; i < text.length; i++) {
    const octet = text.charCodeAt(i)
    if (octet < 0x30 || octet > 0x39) return false
  }
  return true
}

// RFC 4291 §2.2: eight groups, one "::" for at least one of them, the last two as IPv4.
function isIpv6(text: string): boolean {
  const halves = text.split('::')
  if (halves.length > 2) return false
  const head = groupsOf(halves[0] ?? '', halves.length === 1)
  const tail = halves.length === 2 ? groupsOf(halves[1] ?? '', true) : 0
  if (head < 0 || tail < 0) return false
  return halves.length === 2 ? head + tail <= 7 : head === 8
}

/** Number of 16-bit groups, −1 when one is none. */
function groupsOf(text: string, mayEndInIpv4: boolean): number {
  if (text === '') return 0
  const parts = text.split(':')
  let groups = 0
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] ?? ''
    const isLast = i === parts.length - 1
    if (isLast && mayEndInIpv4 && isIpv4(part)) groups += 2
    else if (isHexadecimal(part)) groups++
    else return -1
  }
  return groups
}

function isHexadecimal(text: string): boolean {
  if (text.length < 1 || text.length > 4) return false
  for (let i = 0; i < text.length; i++) {
    const octet = text.charCodeAt(i) | 0x20
    if (!((octet >= 0x30 && octet <= 0x39) || (octet >= 0x61 && octet <= 0x66))) return false
  }
  return true
}
