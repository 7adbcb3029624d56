/**
 * The name that a client asks for, read from its ClientHello before TLS takes it. Pure.
 *
 * node:tls tells the name too late: by then OpenSSL has judged the ticket. What is no ClientHello,
 * or is not understood, has no name, and is TLS's to refuse. RFC 8446 §4.1.2, §5.1; RFC 6066 §3.
 */
import { tlsHelloOctetsMax } from '../base/limits.ts'

/** A record's header: type, version (2), length (2). */
const recordHeaderOctets = 5
const handshakeRecord = 22
/** A handshake message's header: type, length (3). */
const messageHeaderOctets = 4
const clientHello = 1
const serverNameExtension = 0
const hostNameType = 0

/** The server name, '' for none; undefined while more octets are needed to tell. */
export function serverNameIn(octets: Buffer): string | undefined {
  const hello = messageIn(octets)
  if (hello === undefined) return octets.length < tlsHelloOctetsMax ? undefined : ''
  try {
    return nameOf(hello)
  } catch (error) {
    if (error instanceof RangeError) return ''
    throw error
  }
}

/** The first handshake message, out of its records; undefined while it is not whole. */
function messageIn(octets: Buffer): Buffer | undefined {
  const parts: Buffer[] = []
  for (let at = 0; at < octets.length; ) {
    if (octets[at] !== handshakeRecord) return Buffer.concat(parts)
    if (octets.length - at < recordHeaderOctets) return undefined
    const start = at + recordHeaderOctets
    at = start + octets.readUInt16BE(at + 3)
    parts.push(octets.subarray(start, at))
    const message = Buffer.concat(parts)
    const end = messageHeaderOctets + (message.length < 4 ? 0 : message.readUIntBE(1, 3))
    if (message.length >= messageHeaderOctets && message.length >= end) return message
  }
  return undefined
}

/** @throws RangeError where a length leads out of the message. */
function nameOf(hello: Buffer): string {
  if (hello.length === 0 || hello[0] !== clientHello) return ''
  // Behind version (2) and random (32): session id, cipher suites, compression methods.
  let at = messageHeaderOctets + 34
  at += 1 + hello.readUInt8(at)
  at += 2 + hello.readUInt16BE(at)
  at += 1 + hello.readUInt8(at)
  const end = at + 2 + hello.readUInt16BE(at)
  for (at += 2; at < end; at += 4 + hello.readUInt16BE(at + 2)) {
    if (hello.readUInt16BE(at) === serverNameExtension) return firstNameAt(hello, at + 4)
  }
  return ''
}

/** ServerNameList: length (2), then entries of type (1), length (2), name. */
function firstNameAt(hello: Buffer, at: number): string {
  if (hello.readUInt8(at + 2) !== hostNameType) return ''
  const start = at + 5
  return hello.toString('latin1', start, start + hello.readUInt16BE(at + 3)).toLowerCase()
}
