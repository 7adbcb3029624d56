/**
 * InboundTls: certificates and tickets of our own SMTP service, for STARTTLS of clients. RFC 3207.
 *
 * Certificates are chosen by the name that the client asks for (SNI), else the first. A ticket may
 * be taken by every thread and every instance that has the same secret: its key is derived from the
 * secret, the service's name and the period of the day, so keys rotate by themselves, everywhere at
 * the same time, and a ticket of one service means nothing to another. A ticket of an older period
 * costs its client a full handshake, nothing else.
 *
 * Plain values travel to the threads (InboundTlsPolicy); each builds its own contexts. Pure but for
 * node:tls objects.
 */
import { constants, createHash, hkdfSync } from 'node:crypto'
import type net from 'node:net'
import tls from 'node:tls'

/** A certificate chain and its key, PEM. */
export interface Certificate {
  /** The names that it is used for; the first certificate serves all others. */
  readonly names: readonly string[]
  readonly certificate: string
  readonly key: string
}

/** What inbound TLS is set up with. */
export interface InboundTlsPolicy {
  /** At least one. */
  readonly certificates: readonly Certificate[]
  readonly versionMin: '1.2' | '1.3'
  /** Shared by all threads and instances of the service. */
  readonly ticketSecret: Uint8Array
  /** Stamped on every ticket. */
  readonly service: string
}

/** How long one ticket key serves. */
export const ticketPeriodMs = 12 * 3_600_000

/** The TLS side of a serving thread. */
export class InboundTls {
  readonly #policy: InboundTlsPolicy
  #period = -1
  #contexts: ReadonlyMap<string, tls.SecureContext> = new Map()
  #first: tls.SecureContext | undefined

  /** Throws where a certificate and its key do not fit. */
  constructor(policy: InboundTlsPolicy, nowMs: number) {
    this.#policy = policy
    this.#renew(nowMs)
  }

  /** Puts TLS on a client's socket, as the server. */
  readonly put = (socket: net.Socket): tls.TLSSocket => {
    this.#renew(Date.now())
    return new tls.TLSSocket(socket, {
      isServer: true,
      ...(this.#first === undefined ? {} : { secureContext: this.#first }),
      // Asking interrupts the handshake: not where there is nothing to choose.
      ...(this.#policy.certificates.length === 1 ? {} : { SNICallback: this.#choose }),
    })
  }

  readonly #choose = (name: string, choose: (fault: null, context?: tls.SecureContext) => void) =>
    choose(null, this.#contextOf(name))

  #contextOf(name: string): tls.SecureContext | undefined {
    const lower = name.toLowerCase()
    const wildcard = lower.replace(/^[^.]+/, '*')
    return this.#contexts.get(lower) ?? this.#contexts.get(wildcard) ?? this.#first
  }

  #renew(nowMs: number): void {
    const period = Math.floor(nowMs / ticketPeriodMs)
    if (period === this.#period) return
    const contexts = new Map<string, tls.SecureContext>()
    let first: tls.SecureContext | undefined
    for (const certificate of this.#policy.certificates) {
      const context = newContext(this.#policy, certificate, period)
      first ??= context
      for (const name of certificate.names) contexts.set(name.toLowerCase(), context)
    }
    this.#period = period
    this.#contexts = contexts
    this.#first = first
  }
}

/** The 48 octets of a period's ticket key. */
export function ticketKeysOf(secret: Uint8Array, service: string, period: number): Buffer {
  const info = `activemx ticket ${service} ${period}`
  return Buffer.from(hkdfSync('sha256', secret, '', info, 48))
}

function newContext(
  policy: InboundTlsPolicy,
  { certificate, key }: Certificate,
  period: number,
): tls.SecureContext {
  const { service, ticketSecret, versionMin } = policy
  const options: tls.SecureContextOptions = {
    cert: certificate,
    key,
    minVersion: versionMin === '1.3' ? 'TLSv1.3' : 'TLSv1.2',
    // Forward secrecy and authenticated encryption only (RFC 9325 §4.2).
    ciphers:
      'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:ECDHE+AESGCM:ECDHE+CHACHA20',
    ecdhCurve: 'X25519:P-256:P-384',
    honorCipherOrder: true,
    // A client that shakes hands again and again would cost us more than it costs the client
    // (RFC 9325 §3.5); compression tells the length of secrets (§3.3).
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
    ticketKeys: ticketKeysOf(ticketSecret, service, period),
    sessionIdContext: createHash('sha256').update(service).digest('hex').slice(0, 32),
  }
  return tls.createSecureContext(options)
}
