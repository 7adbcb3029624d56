/**
 * ThreadTls: TLS on both legs of one serving thread.
 *
 * Puts a SecureEngine around the thread's engine, gives clients STARTTLS with the certificates of
 * the policy in force, and the mailhost connections TLS of our own or leases on the daemon's
 * sessions. Policies are plain values; a reload replaces them for handshakes from then on.
 */
import type net from 'node:net'
import tls from 'node:tls'
import { tlsHandshakeMsMax, tlsLeaseMsMax, tlsSessionsPerNameMax } from '../base/limits.ts'
import type { ConnectionId, Engine, EngineHandler } from '../io/engine.ts'
import type { CarrierEvents } from '../tls/carrier.ts'
import type { OnDaemon } from '../tls/daemon-access.ts'
import { InboundTls, type InboundTlsPolicy } from '../tls/inbound.ts'
import { sharedNameOf } from '../tls/options.ts'
import { SecureEngine } from '../tls/secure-engine.ts'
import { openSharedCarrier, type PlainHosts } from '../tls/shared-carrier.ts'
import { TlsWrapper } from '../tls/wrapper.ts'
import type { ClientConnection } from './client-connection.ts'

/** What [tls], [mailhost] and [tls_daemon] come to. */
export interface TlsPolicy {
  /** Undefined: STARTTLS is not offered. */
  readonly inbound: InboundTlsPolicy | undefined
  /** Longest that a client's handshake may take, milliseconds; the other in stress mode. */
  readonly handshakeMs: number
  readonly stressHandshakeMs: number
  /** Undefined: no TLS to the mailhosts. */
  readonly mailhost: OutboundTlsPolicy | undefined
  /** The daemon whose sessions lead to the mailhosts; '' = sessions of our own. */
  readonly daemonSocket: string
  /** Connections behind one shared name. */
  readonly sessionsMax: number
  /** Our name in EHLO to the mailhost. */
  readonly ehlo: string
}

/** How a mailhost's certificate is judged. */
export interface OutboundTlsPolicy {
  /** PEM; '' = the well-known ones. */
  readonly ca: string
  /** '' = any name that the authority has signed. */
  readonly servername: string
  /** False: opportunistic: encryption without a check, and none where the mailhost has none. */
  readonly isChecked: boolean
}

/** TLS of one thread. */
export class ThreadTls {
  #policy: TlsPolicy
  #inbound: InboundTls | undefined
  #context: tls.SecureContext | undefined
  #engine: TlsEngine | undefined
  #wrapper: TlsWrapper | undefined
  /** Connections over shared sessions that others wait for, by mailhost. */
  readonly #wanted = new Map<string, number>()
  /** Connections over shared sessions that were kept for long. */
  readonly #overdue = new Set<ConnectionId>()
  /** Told when `isWanted` has become true of a connection. */
  onWanted: () => void = () => undefined
  /** Told how each attempt to reach the daemon ended. */
  onDaemon: OnDaemon = () => undefined
  /** Told of each connection to a mailhost that stands in for a shared session. */
  onDirect: () => void = () => undefined

  constructor(policy: TlsPolicy) {
    this.#policy = policy
    this.configure(policy)
  }

  /** The engine that the thread works with. */
  around(handler: EngineHandler, newInner: (handler: EngineHandler) => Engine): Engine {
    this.#engine = new TlsEngine(handler, newInner, (socket) => this.#putOutbound(socket))
    this.#engine.openCarrier = this.#carrierOf(this.#policy)
    return this.#engine
  }

  /** Replaces certificates and rules; connections that are up keep theirs. */
  configure(policy: TlsPolicy): void {
    const { inbound, mailhost } = policy
    this.#inbound = inbound === undefined ? undefined : new InboundTls(inbound, Date.now)
    this.#context =
      mailhost === undefined
        ? undefined
        : tls.createSecureContext(mailhost.ca === '' ? {} : { ca: mailhost.ca })
    this.#policy = policy
    if (this.#engine !== undefined) this.#engine.openCarrier = this.#carrierOf(policy)
  }

  /** STARTTLS of a client, whose 220 is queued. */
  startTls(connection: ClientConnection, isStressed: boolean): void {
    if (this.#inbound === undefined) {
      // A reload has taken it away since it was offered: nothing can follow the 220.
      this.#engine?.close(connection.id)
      return
    }
    const { handshakeMs, stressHandshakeMs } = this.#policy
    this.#engine?.secure(connection.id, {
      event: 'secure',
      put: this.#inbound.put,
      wantsName: this.#inbound.wantsName,
      waitMs: isStressed ? stressHandshakeMs : handshakeMs,
      done: (ending) => {
        if ('description' in ending) connection.onTlsEstablished(ending.description)
      },
    })
  }

  /**
   * The connection is to be given back as soon as it is not needed: others wait for shared sessions
   * to this mailhost that this thread holds, or this one was kept for long.
   */
  isWanted(host: string, port: number, id: ConnectionId): boolean {
    return this.#overdue.has(id) || this.#wanted.has(`${host}:${port}`)
  }

  /** Leaves the daemon; its sessions live on. */
  close(): void {
    void this.#wrapper?.close()
  }

  #putOutbound(socket: net.Socket): tls.TLSSocket {
    const { ca, servername, isChecked } = this.#policy.mailhost ?? {
      ca: '',
      servername: '',
      isChecked: false,
    }
    return tls.connect({
      socket,
      secureContext: this.#context ?? tls.createSecureContext(ca === '' ? {} : { ca }),
      rejectUnauthorized: isChecked,
      ...(servername === '' ? {} : { servername }),
      checkServerIdentity: (_host, certificate) =>
        servername === '' ? undefined : tls.checkServerIdentity(servername, certificate),
    })
  }

  #carrierOf({ daemonSocket, mailhost, sessionsMax, ehlo }: TlsPolicy) {
    if (daemonSocket === '' || mailhost === undefined) return undefined
    this.#wrapper ??= new TlsWrapper({
      daemon: daemonSocket,
      onDaemon: (standing) => this.onDaemon(standing),
    })
    const wrapper = this.#wrapper
    const { ca, servername, isChecked } = mailhost
    const plainHosts: PlainHosts | undefined = isChecked ? undefined : new Map()
    return (
      host: string,
      port: number,
      timeoutMs: number,
      events: CarrierEvents,
      id: ConnectionId,
    ) => {
      const asked = {
        host,
        port,
        starttls: 'smtp',
        ehlo,
        servername,
        insecure: !isChecked,
        sessions: Math.min(sessionsMax, tlsSessionsPerNameMax),
        fallback: true,
        leaseMs: tlsLeaseMsMax,
        ...(ca === '' ? {} : { ca }),
      } as const
      const options = { ...asked, shared: sharedNameOf(`mailhost-${host}:${port}`, asked) }
      const watched = this.#watched(`${host}:${port}`, id, events)
      return openSharedCarrier(wrapper, options, watched, { timeoutMs, plainHosts })
    }
  }

  /**
   * Counts the connection among the wanted or the overdue ones, from when it is until it is closed.
   * An overdue one says nothing of the others: one slow client would cost them all their sessions.
   */
  #watched(name: string, id: ConnectionId, events: CarrierEvents): CarrierEvents {
    let isWanted = false
    return {
      onConnected: () => events.onConnected(),
      onData: (chunk) => events.onData(chunk),
      onDrain: () => events.onDrain(),
      onEnd: () => events.onEnd(),
      onDirect: () => this.onDirect(),
      onWanted: () => {
        if (isWanted) return
        isWanted = true
        this.#wanted.set(name, (this.#wanted.get(name) ?? 0) + 1)
        this.onWanted()
      },
      onOverdue: () => {
        this.#overdue.add(id)
        this.onWanted()
      },
      onClose: (reason) => {
        this.#overdue.delete(id)
        const left = (this.#wanted.get(name) ?? 0) - (isWanted ? 1 : 0)
        isWanted = false
        if (left > 0) this.#wanted.set(name, left)
        else this.#wanted.delete(name)
        events.onClose(reason)
      },
    }
  }
}

/** The engine's face with STARTTLS towards mailhosts. */
class TlsEngine extends SecureEngine {
  readonly #put: (socket: net.Socket) => tls.TLSSocket

  constructor(
    handler: EngineHandler,
    newInner: (handler: EngineHandler) => Engine,
    put: (socket: net.Socket) => tls.TLSSocket,
  ) {
    super(handler, newInner)
    this.#put = put
  }

  startTls(id: ConnectionId, done: (fault: string) => void): void {
    this.secure(id, {
      event: 'secureConnect',
      put: this.#put,
      waitMs: tlsHandshakeMsMax,
      done: (ending) => done('fault' in ending ? ending.fault : ''),
    })
  }
}
