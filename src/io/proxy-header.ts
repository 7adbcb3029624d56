/**
 * The PROXY protocol header that a balancer sends before the client's octets, versions 1 and 2.
 *
 * Twin of native/core/proxy_header.cpp: both answer alike on any octets cut anywhere
 * (test/contract/proxy-header.ts). Read from configured balancers only; anything but a whole and
 * exact header is a reason to close, because a guessed client address would be judged by the lists.
 * Decisions where the specification is silent: ports and octets without leading zeros, CRLF only,
 * TCP only, type-length values must fill their part exactly, UNIX addresses are refused.
 * Source: haproxy/doc/proxy-protocol.txt §2.1, §2.2.
 */
import { isIP } from 'node:net'
import { proxyHeaderOctetsMax, proxyLineOctetsMax } from '../base/limits.ts'

/** What the octets received so far hold. */
export type ProxyHeader =
  /** A beginning of a header: read on. */
  | { readonly kind: 'incomplete' }
  /** Cannot become a header. */
  | { readonly kind: 'invalid' }
  /** The balancer speaks for itself (health check) or does not know the client. */
  | { readonly kind: 'local'; readonly headerOctets: number }
  | {
      readonly kind: 'proxied'
      readonly headerOctets: number
      readonly address: string
      readonly port: number
      readonly localAddress: string
      readonly localPort: number
    }

const incomplete: ProxyHeader = { kind: 'incomplete' }
const invalid: ProxyHeader = { kind: 'invalid' }
const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const lineStart = Buffer.from('PROXY ', 'latin1')

/** Reads the header at the start of the octets. O(header length). */
export function parseProxyHeader(octets: Buffer): ProxyHeader {
  if (octets.length === 0) return incomplete
  if (startsAlike(octets, signature)) return parseBinary(octets)
  if (startsAlike(octets, lineStart)) return parseLine(octets)
  return invalid
}

/** One is the beginning of the other. */
function startsAlike(octets: Buffer, start: Buffer): boolean {
  const length = Math.min(octets.length, start.length)
  return octets.subarray(0, length).equals(start.subarray(0, length))
}

// §2.1  "PROXY" SP ("TCP4" / "TCP6") SP source SP destination SP source-port SP destination-port
// CRLF
//       "PROXY UNKNOWN" anything CRLF
function parseLine(octets: Buffer): ProxyHeader {
  const text = octets.toString('latin1', 0, proxyLineOctetsMax)
  const end = text.indexOf('\r\n')
  if (end < 0) return octets.length >= proxyLineOctetsMax || hasStray(text) ? invalid : incomplete
  const line = text.slice(0, end)
  const headerOctets = end + 2
  if (hasStray(line) || line.includes('\r')) return invalid
  if (line === 'PROXY UNKNOWN' || line.startsWith('PROXY UNKNOWN ')) {
    return { kind: 'local', headerOctets }
  }
  const [, family, address, localAddress, portText, localPortText, ...rest] = line.split(' ')
  const version = family === 'TCP4' ? 4 : family === 'TCP6' ? 6 : 0
  const port = parsePort(portText)
  const localPort = parsePort(localPortText)
  if (version === 0 || rest.length > 0 || port < 0 || localPort < 0) return invalid
  if (!isAddress(address, version) || !isAddress(localAddress, version)) return invalid
  return {
    kind: 'proxied',
    headerOctets,
    address: plainAddress(address),
    port,
    localAddress: plainAddress(localAddress),
    localPort,
  }
}

/** A line feed, or a carriage return that is not the last octet so far. */
function hasStray(text: string): boolean {
  const at = text.indexOf('\r')
  return text.includes('\n') || (at >= 0 && at < text.length - 1)
}

function isAddress(text: string | undefined, version: 4 | 6): text is string {
  return text !== undefined && !text.includes('%') && isIP(text) === version
}

function parsePort(text: string | undefined): number {
  if (text === undefined || !/^(0|[1-9][0-9]{0,4})$/.test(text)) return -1
  const port = Number(text)
  return port <= 65_535 ? port : -1
}

// §2.2  signature 12 | version 4 bits, command 4 bits | family 4, transport 4 | length 16 |
// addresses, TLVs
function parseBinary(octets: Buffer): ProxyHeader {
  if (octets.length > 12 && (octet(octets, 12) & 0xfe) !== 0x20) return invalid
  if (octets.length < 16) return incomplete
  const length = octets.readUInt16BE(14)
  const headerOctets = 16 + length
  const isLocal = octet(octets, 12) === 0x20
  const family = octet(octets, 13)
  const addressOctets = family === 0x11 ? 12 : family === 0x21 ? 36 : 0
  if (headerOctets > proxyHeaderOctetsMax) return invalid
  if (!isLocal && ((family !== 0 && addressOctets === 0) || length < addressOctets)) return invalid
  if (octets.length < headerOctets) return incomplete
  if (isLocal || family === 0) return { kind: 'local', headerOctets }
  if (!hasWholeValues(octets, 16 + addressOctets, headerOctets)) return invalid
  const half = (addressOctets - 4) / 2
  return {
    kind: 'proxied',
    headerOctets,
    address: binaryAddress(octets.subarray(16, 16 + half)),
    port: octets.readUInt16BE(16 + 2 * half),
    localAddress: binaryAddress(octets.subarray(16 + half, 16 + 2 * half)),
    localPort: octets.readUInt16BE(18 + 2 * half),
  }
}

// §2.2.1  type 8 | length 16 | value
function hasWholeValues(octets: Buffer, start: number, end: number): boolean {
  let at = start
  while (at + 3 <= end) at += 3 + octets.readUInt16BE(at + 1)
  return at === end
}

function octet(octets: Buffer, at: number): number {
  return octets[at] ?? 0
}

function binaryAddress(octets: Buffer): string {
  if (octets.length === 4) return octets.join('.')
  const groups = Array.from({ length: 8 }, (_, group) =>
    octets.readUInt16BE(2 * group).toString(16),
  )
  return plainAddress(groups.join(':'))
}

/** Shortest form (RFC 5952) without zone; an IPv4-mapped address as IPv4. */
export function plainAddress(text: string): string {
  if (!text.includes(':')) return text
  const [address] = text.split('%', 1)
  const short = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(short)
  if (mapped === null) return short
  const high = Number.parseInt(mapped[1] ?? '0', 16)
  const low = Number.parseInt(mapped[2] ?? '0', 16)
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}
