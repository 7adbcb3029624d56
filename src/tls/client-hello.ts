/**
 * The name that a client asks for, read from its ClientHello before TLS takes it. No I/O.
 *
 * node:tls tells the name too late: by then OpenSSL has judged the ticket. What is no ClientHello,
 * or is not understood, has no name, and is TLS's to refuse. RFC 8446 §4.1.2, §5.1; RFC 6066 §3.
 */
import { tlsHelloOctetsMax, tlsHelloRecordsMax } from '../base/limits.ts'

/** A record's header: type, version (2), length (2). */
const recordHeaderOctets = 5
const handshakeRecord = 22
/** A handshake message's header: type, length (3). */
const messageHeaderOctets = 4
const clientHello = 1
const serverNameExtension = 0
const hostNameType = 0

/**
 * The first octets of a client, taken as they come.
 *
 * O(octets), however they are cut: each is copied a bounded number of times, and nothing is looked
 * at again before the octets have come that the last look lacked.
 */
export class HelloReader {
  #buffer: Buffer = Buffer.alloc(0)
  #length = 0
  /** Octets that must be there before there is anything new to see. */
  #awaited = 1
  /** Where the next record begins. */
  #next = 0
  readonly #fragments: Buffer[] = []
  #messageOctets = 0
  /** Octets of the whole message; 0: its header is not there yet. */
  #messageEnd = 0

  /** All that was taken. */
  get octets(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  /** Takes a chunk. @returns the server name, '' for none; undefined: more octets are needed. */
  take(chunk: Buffer): string | undefined {
    this.#append(chunk)
    const name = this.#length < this.#awaited ? undefined : this.#readRecords()
    return name ?? (this.#length < tlsHelloOctetsMax ? undefined : '')
  }

  #append(chunk: Buffer): void {
    const length = this.#length + chunk.length
    if (this.#length === 0) this.#buffer = chunk
    else {
      if (length > this.#buffer.length) {
        const grown = Buffer.allocUnsafe(Math.max(length, 2 * this.#buffer.length))
        this.#buffer.copy(grown, 0, 0, this.#length)
        this.#buffer = grown
      }
      chunk.copy(this.#buffer, this.#length)
    }
    this.#length = length
  }

  /** Goes on where the last look ended. */
  #readRecords(): string | undefined {
    const { octets } = this
    while (this.#next < octets.length) {
      if (octets[this.#next] !== handshakeRecord) return ''
      const start = this.#next + recordHeaderOctets
      this.#awaited = start
      if (octets.length < start) return undefined
      const end = start + octets.readUInt16BE(start - 2)
      // An empty one is forbidden (RFC 8446 §5.1), and would let a hello go on for ever.
      if (end === start || this.#fragments.length === tlsHelloRecordsMax) return ''
      this.#awaited = end
      if (octets.length < end) return undefined
      this.#next = end
      const name = this.#nameWith(octets.subarray(start, end))
      if (name !== undefined) return name
    }
    this.#awaited = this.#next + 1
    return undefined
  }

  /** The name, if this fragment makes the message whole. */
  #nameWith(fragment: Buffer): string | undefined {
    this.#fragments.push(fragment)
    this.#messageOctets += fragment.length
    if (this.#messageOctets < messageHeaderOctets) return undefined
    if (this.#messageEnd === 0) {
      const head = Buffer.concat(this.#fragments)
      this.#messageEnd = messageHeaderOctets + head.readUIntBE(1, 3)
    }
    if (this.#messageOctets < this.#messageEnd) return undefined
    try {
      return nameOf(Buffer.concat(this.#fragments))
    } catch (error) {
      if (error instanceof RangeError) return ''
      throw error
    }
  }
}

/** @throws RangeError where a length leads out of the message. */
function nameOf(hello: Buffer): string {
  if (hello[0] !== clientHello) return ''
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
