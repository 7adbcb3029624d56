/**
 * TicketKeys: the keys of session tickets, which rotate by themselves.
 *
 * A key is derived from the secret, what it is stamped with (service and certificate) and the
 * period of the day: all threads and instances with one secret change keys at the same time, and a
 * ticket with another stamp means nothing. Tickets are given out under the present key. Those of
 * the period before are still taken, and renewed; older ones cost their client a full handshake.
 *
 * Pure but for the clock that is given. RFC 5077 §5.5, RFC 8446 §4.6.1.
 */
import { createHash, hkdfSync, randomBytes } from 'node:crypto'

/** How long a key is the present one. */
export const ticketPeriodMs = 12 * 3_600_000

/** Octets of each part of a key, as OpenSSL has them. */
const partOctets = 16
const noKey = Buffer.alloc(partOctets)

interface TicketKey {
  /** Stands in the ticket, in the clear. */
  readonly name: Buffer
  readonly hmac: Buffer
  readonly aes: Buffer
}

/** What OpenSSL is answered: 0 = no key, 1 = the key, 2 = the key, and a new ticket is due. */
export type TicketAnswer =
  | readonly [verdict: 0 | 1 | 2, hmac: Buffer, aes: Buffer]
  | readonly [verdict: 1, hmac: Buffer, aes: Buffer, name: Buffer, iv: Buffer]

/** The period that a time lies in. */
export function ticketPeriodAt(wallMs: number): number {
  return Math.floor(wallMs / ticketPeriodMs)
}

/** The 48 octets of a period's key. @param stamp of any length. */
export function ticketKeysOf(secret: Uint8Array, stamp: string, period: number): Buffer {
  // Its digest in its place: Node takes no more than 1,024 octets of what a key is for.
  const digest = createHash('sha256').update(stamp).digest('hex')
  return Buffer.from(hkdfSync('sha256', secret, '', `activemx ticket ${digest} ${period}`, 48))
}

/** The keys with one stamp. */
export class TicketKeys {
  readonly #secret: Uint8Array
  readonly #stamp: string
  readonly #wallNow: () => number
  #period = Number.NaN
  #present: TicketKey = { name: noKey, hmac: noKey, aes: noKey }
  #before = this.#present

  /** @param wallNow wall clock, milliseconds. */
  constructor(secret: Uint8Array, stamp: string, wallNow: () => number) {
    this.#secret = secret
    this.#stamp = stamp
    this.#wallNow = wallNow
  }

  /** OpenSSL asks for the key of a ticket that it makes, or that a client has shown. */
  readonly answer = (name: Uint8Array, _iv: Uint8Array, isMaking: boolean): TicketAnswer => {
    this.#turn()
    const { hmac, aes } = this.#present
    if (isMaking) return [1, hmac, aes, this.#present.name, randomBytes(partOctets)]
    if (this.#present.name.equals(name)) return [1, hmac, aes]
    if (this.#before.name.equals(name)) return [2, this.#before.hmac, this.#before.aes]
    return [0, noKey, noKey]
  }

  #turn(): void {
    const period = ticketPeriodAt(this.#wallNow())
    if (period === this.#period) return
    this.#period = period
    this.#present = this.#keyOf(period)
    this.#before = this.#keyOf(period - 1)
  }

  #keyOf(period: number): TicketKey {
    const octets = ticketKeysOf(this.#secret, this.#stamp, period)
    return {
      name: octets.subarray(0, partOctets),
      hmac: octets.subarray(partOctets, 2 * partOctets),
      aes: octets.subarray(2 * partOctets),
    }
  }
}
