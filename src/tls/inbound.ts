/**
 * InboundTls: certificates and tickets of our own SMTP service, for STARTTLS of clients. RFC 3207.
 *
 * Certificates are chosen by the name that the client asks for (SNI), else the first. A ticket may
 * be taken by every thread and every instance that has the same secret (ticket-keys.ts), for the
 * service and the certificate that it was given for: its key is stamped with both.
 *
 * Plain values travel to the threads (InboundTlsPolicy); each builds its own contexts. Pure but for
 * node:tls objects.
 */
import { constants, createHash } from 'node:crypto'
import type net from 'node:net'
import tls from 'node:tls'
import { TicketKeys, ticketKeysOf, ticketPeriodAt } from './ticket-keys.ts'

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

/** The TLS side of a serving thread. */
export class InboundTls {
  readonly #policy: InboundTlsPolicy
  readonly #wallNow: () => number
  #period = -1
  #contexts: ReadonlyMap<string, tls.SecureContext> = new Map()
  #first: tls.SecureContext | undefined

  /** Throws where a certificate and its key do not fit. @param wallNow wall clock, milliseconds. */
  constructor(policy: InboundTlsPolicy, wallNow: () => number) {
    this.#policy = policy
    this.#wallNow = wallNow
    this.#renew()
  }

  /** The certificate depends on the name that the client asks for: `put` wants to know it. */
  get wantsName(): boolean {
    return this.#policy.certificates.length > 1
  }

  /** Puts TLS on a client's socket, as the server. @param name that the client asked for. */
  readonly put = (socket: net.Socket, name: string): tls.TLSSocket => {
    this.#renew()
    const context = this.#contextOf(name)
    return new tls.TLSSocket(socket, {
      isServer: true,
      ...(context === undefined ? {} : { secureContext: context }),
    })
  }

  #contextOf(name: string): tls.SecureContext | undefined {
    const wildcard = name.replace(/^[^.]+/, '*')
    return this.#contexts.get(name) ?? this.#contexts.get(wildcard) ?? this.#first
  }

  #renew(): void {
    const period = ticketPeriodAt(this.#wallNow())
    if (period === this.#period) return
    const contexts = new Map<string, tls.SecureContext>()
    let first: tls.SecureContext | undefined
    for (const certificate of this.#policy.certificates) {
      const context = newContext(this.#policy, certificate, this.#wallNow)
      first ??= context
      for (const name of certificate.names) contexts.set(name.toLowerCase(), context)
    }
    this.#period = period
    this.#contexts = contexts
    this.#first = first
  }
}

function newContext(
  policy: InboundTlsPolicy,
  { certificate, key, names }: Certificate,
  wallNow: () => number,
): tls.SecureContext {
  const { service, ticketSecret, versionMin } = policy
  const stamp = [service, ...names].join(' ')
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
    ticketKeys: ticketKeysOf(ticketSecret, stamp, ticketPeriodAt(wallNow())),
    sessionIdContext: createHash('sha256').update(stamp).digest('hex').slice(0, 32),
  }
  const context = tls.createSecureContext(options)
  // Node documents no way to take tickets of two keys. Without this one, those of the period before
  // cost their client a full handshake.
  const native = context.context as NativeContext
  native.enableTicketKeyCallback?.()
  native.onticketkeycallback = new TicketKeys(ticketSecret, stamp, wallNow).answer
  return context
}

/** What Node's own context has for tickets of several keys; not documented, in all its versions. */
interface NativeContext {
  enableTicketKeyCallback?(): void
  onticketkeycallback?: TicketKeys['answer']
}
