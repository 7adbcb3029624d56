/**
 * The one interface of every hop: application, wrapper, daemon, shared and unshared session.
 *
 * An application makes its TLS calls on a TlsWrapper; the wrapper, the sessions of its own process
 * (OwnSessions), the stub that speaks to a daemon (DaemonStub) and the daemon's view of one client
 * (SharedSessions) all implement TlsCalls. The handle is every call's first parameter, and its
 * `route` alone decides the way; data pass unchanged.
 *
 * Invariants: a call never throws for what a peer, a daemon or another process did: it answers a
 * code; it always answers. Calls on one handle take effect in the order in which they were made,
 * but for reads that wait: they stop nobody.
 *
 * Codes follow SSL_get_error(3); the last three are ours.
 */

/** How a call ended. `none` is success. */
export type TlsCode = (typeof tlsCodes)[number]

/**
 * Every code, in the order of its number on the wire.
 * `zeroReturn`: the peer closed cleanly, or the session was shut down. `wantRead`, `wantWrite`: a
 * call that was told not to wait would have waited. `syscall`: TCP, DNS or a deadline failed, or
 * the SMTP greeting or EHLO was refused. `ssl`: the handshake, STARTTLS, the certificate or a
 * record failed. `badToken`: no such session, or not this user's. `refused`: the daemon will not
 * (rights, caps, full queue). `daemonGone`: no daemon there.
 */
export const tlsCodes = [
  'none',
  'zeroReturn',
  'wantRead',
  'wantWrite',
  'syscall',
  'ssl',
  'badToken',
  'refused',
  'daemonGone',
] as const

/** The end of a call: its code, and for people what happened ('' for `none`). */
export interface Outcome {
  readonly code: TlsCode
  readonly message: string
}

/** The end of a write: octets taken; all of them when the code is `none`, or a part before it. */
export interface WriteOutcome extends Outcome {
  readonly written: number
}

/**
 * The end of a read: at least one octet when the code is `none`, else empty. The caller owns it.
 */
export interface ReadOutcome extends Outcome {
  readonly data: Uint8Array
}

/** A session held for one conversation, or (`code` not `none`) the reason why it is not. */
export interface Lease extends Outcome {
  /** Goes into the `lease` option of the calls that belong to the conversation. */
  readonly id: number
  /** The last EHLO reply of an SMTP peer, CRLF after each line; '' where there is none. */
  readonly greeting: string
  /** Gives the session back. Default: `finished`. */
  release(ending?: LeaseEnding): Promise<Outcome>
}

/**
 * How a conversation ended. `finished`: when the calls made before have been answered. `cancelled`:
 * reads that still wait are answered `refused`. `broken`: it stopped half-way, at once.
 */
export type LeaseEnding = 'finished' | 'cancelled' | 'broken'

/** How a lease is asked for. */
export interface LeaseOptions {
  /** Order among those who wait; default: the session's. */
  readonly priority?: number
  /**
   * An id from `newLeaseId`: calls that name it may be made before the lease is granted, and wait
   * for it. Default: a fresh one.
   */
  readonly id?: number
  /**
   * True: the answer does not wait for the grant, nor does `release` wait: both travel with the
   * calls of the conversation, which wait for the grant and say why there is none. Saves two
   * journeys.
   */
  readonly eager?: boolean
  /**
   * True: when somebody else waits for the session, a read of this lease that waits is answered
   * `wantRead`, once. The holder, who would keep the session for its next conversation, then gives
   * it back as soon as it can.
   */
  readonly yields?: boolean
}

/** The first parameter of every call. */
export interface SessionHandle {
  /** The only routing key. */
  readonly route: Route
  /** Daemon id (8 octets) and 128 random bits, 48 hexadecimal digits; '' when `new` failed. */
  readonly token: string
  /** Why `new` failed: every call on this handle answers it. */
  readonly fault?: Outcome
  /** Where `accept` waits: the port that was bound for `listen`. */
  readonly listeningPort?: number
}

/** Whose session it is: the daemon's, or the application's own. */
export type Route = 'shared' | 'unshared'

/** What kind of dialogue a session carries: what is done between two tenants, and at its end. */
export type Conversation = 'none' | 'smtp'

/** How a new session is made. */
export interface NewOptions {
  /**
   * The name under which processes of one user share the session; false: a session of one's own.
   */
  readonly shared: string | false
  /** Another process's session, by its token, in place of everything else but `shared`. */
  readonly token?: string
  /** The peer, for `connect`. */
  readonly host?: string
  readonly port?: number
  /** The peer on a Unix socket, in place of host and port. */
  readonly path?: string
  /** Local endpoint for `accept`; port 0: any free one, see `SessionHandle.listeningPort`. */
  readonly listen?: { readonly host: string; readonly port: number }
  /** Begin in plain text and change over: SMTP, RFC 3207. Implies `conversation: 'smtp'`. */
  readonly starttls?: 'smtp'
  readonly conversation?: Conversation
  /** Name in EHLO; default: the machine's. */
  readonly ehlo?: string
  /** Order in queues of discipline `priority`: higher goes first. −100 … 100, default 0. */
  readonly priority?: number
  /** Certificates (PEM) that may have signed the peer's; default: the well-known ones. */
  readonly ca?: string
  /** Name that the peer's certificate must carry; default: `host`; '': any that `ca` has signed. */
  readonly servername?: string
  /**
   * SHA-256 of the peer's public key (SubjectPublicKeyInfo), base64: checked besides or, with
   * `insecure`, instead. For `accept`: of the client's, which must show a certificate.
   */
  readonly pin?: string
  /** True: no check of issuer, name and dates. */
  readonly insecure?: boolean
  /** Own certificate chain and key (PEM): a client certificate, or the server's for `accept`. */
  readonly certificate?: string
  readonly key?: string
  /** For `accept`: clients must show a certificate signed by `ca`. */
  readonly requestCertificate?: boolean
  /** Until the session can be used, TCP, STARTTLS and TLS together. Default 15 s. */
  readonly connectTimeoutMs?: number
  /** The daemon closes the session when nobody used it for so long. Default 10 min, SMTP 60 s. */
  readonly idleMs?: number
  /** How many connections may stand behind the name, each leased alone. Default 1. */
  readonly sessions?: number
  /** The longest time that one lease may be held. Default 5 min. */
  readonly leaseMs?: number
  /**
   * A peer that takes nothing of what is written for so long, twice that at the most, ends the
   * connection: `syscall`. Of a shared session the first maker's word counts. Default: no bound.
   */
  readonly stallMs?: number
  /** Where the daemon is away or refuses, make the session unshared instead. Default false. */
  readonly fallback?: boolean
}

/** How a call waits its turn. */
export interface CallOptions {
  /** Order in queues of discipline `priority`; default: the session's. */
  readonly priority?: number
  /**
   * False: answer `wantRead` or `wantWrite` in place of waiting: for the peer, for a turn, for a
   * lease, for the daemon's credit (there a write of more than 64 KiB waits). Default true.
   */
  readonly wait?: boolean
  /** The lease on whose behalf the call is made; 0: none. */
  readonly lease?: number
}

/** The calls. */
export interface TlsCalls {
  /** Makes a session; nothing is sent yet. Never fails by itself: see `SessionHandle.fault`. */
  readonly new: (options: NewOptions) => Promise<SessionHandle>
  /**
   * Connects and shakes hands; `none` at once where a shared session is connected already. Where a
   * connection has ended, the new one begins with nothing of it: what nobody has read by then, in
   * this process or another, is dropped. Who wants a peer's last words reads up to its
   * `zeroReturn` first.
   */
  connect(session: SessionHandle): Promise<Outcome>
  /**
   * Waits for one client on the local endpoint that shakes hands; those whose handshake fails lose
   * their connection, and the call goes on.
   */
  accept(session: SessionHandle): Promise<Outcome>
  /** Writes all of `data`, whole: never interleaved with another call's. */
  write(session: SessionHandle, data: Uint8Array, options?: CallOptions): Promise<WriteOutcome>
  /** Reads what is there, at most `octetsMax`; waits for the first octet. */
  read(session: SessionHandle, octetsMax: number, options?: CallOptions): Promise<ReadOutcome>
  /** Octets that a read would give without waiting, as of the last answer. */
  pending(session: SessionHandle): number
  /**
   * Ends the TLS session (close-notify; an SMTP peer gets QUIT). `refused` while others hold it.
   */
  shutdown(session: SessionHandle): Promise<Outcome>
  /** Gives the handle up. A shared session lives on for others, until it is idle too long. */
  free(session: SessionHandle): Promise<Outcome>
  /**
   * Asks for the session for one conversation; waits in the queue like any call. Who holds several
   * at a time (`sessions`) has a handle for each: calls of one handle that wait for the daemon's
   * credit wait in one line, whichever lease they are of.
   */
  lease(session: SessionHandle, options?: LeaseOptions): Promise<Lease>
  /** The last call's end that was not `none`; `none` when all went well. */
  getError(session: SessionHandle): Outcome
}

/** Success. */
export const success: Outcome = Object.freeze({ code: 'none', message: '' })

/** An end that is not success. */
export function failure(code: TlsCode, message: string): Outcome {
  return { code, message }
}

/** A lease, or why there is none, with the call that gives it back. */
export function leaseOf(
  outcome: Outcome,
  id: number,
  greeting: string,
  release: (ending: LeaseEnding) => Promise<Outcome>,
): Lease {
  const { code, message } = outcome
  return { code, message, id, greeting, release: (ending = 'finished') => release(ending) }
}

let leaseIds = 0

/** A lease id that no other lease of this thread has (for `LeaseOptions.id`). */
export function newLeaseId(): number {
  leaseIds = leaseIds === 0xffff_ffff ? 1 : leaseIds + 1
  return leaseIds
}

const noOctets = new Uint8Array(0)

/** A read that gave nothing. */
export function emptyRead(outcome: Outcome): ReadOutcome {
  return { code: outcome.code, message: outcome.message, data: noOctets }
}

/** A write that ended as `outcome` after `written` octets. */
export function writeEnd(outcome: Outcome, written: number): WriteOutcome {
  return { code: outcome.code, message: outcome.message, written }
}
