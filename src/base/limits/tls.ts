/**
 * Limits of the shared TLS session daemon and its clients (src/tls). See limits.ts.
 */

/** Octets of a ClientHello that are read for its name, one full record; above: it has none. */
export const tlsHelloOctetsMax = 16 * 1024 + 5

/** Records that a ClientHello may come in; more: it has no name. Ours; one or two are usual. */
export const tlsHelloRecordsMax = 16

/** A handshake with a mailhost; above: the connection is closed. Milliseconds. */
export const tlsHandshakeMsMax = 30_000

/** Octets of one frame after its length field. Ours; above: the connection is closed. */
export const tlsFrameOctetsMax = 256 * 1024 + 64

/** Octets of data in one frame: a longer write travels in parts, a longer read answers a part. */
export const tlsDataOctetsMax = 256 * 1024

/** Octets that one client may have in unanswered calls. Ours; above: the connection is closed. */
export const tlsCreditOctets = 2 * 1024 * 1024

/** Unanswered calls of one client. Ours; above: the connection is closed. */
export const tlsCreditCalls = 1024

/**
 * Octets of its credit of which an application's waiting reads take no more than `tlsReadOctetsMin`
 * each: as many reads as there are calls leave room for a write of 64 KiB. Ours.
 */
export const tlsWriteReserveOctets = 1024 * 1024

/** Calls of it that all other waiting calls leave to writes and ends of leases. Ours. */
export const tlsWriteReserveCalls = 64

/** A read asks for at least so many octets, however many others wait. Ours. */
export const tlsReadOctetsMin = 1024

/** Sessions in one answer of statistics: their longest descriptions fit in a frame. Ours. */
export const tlsStatisticsSessionsMax = 100

/** Octets of answers that wait for a client; above: nothing more is read from it. */
export const tlsAnswerBacklogOctetsMax = 1024 * 1024

/** A client that takes none of its waiting answers for so long is closed. Milliseconds. */
export const tlsClientStallMsMax = 30_000

/** A client says hello, and continues a write begun, within this time, else it is closed. */
export const tlsClientTurnMsMax = 10_000

/**
 * A daemon that owes an answer and says nothing for so long, though asked in between, counts as
 * gone (it is stopped, or hangs): its calls end as `daemonGone`, and until it speaks again nobody
 * waits for it. Ours; a multiple of tlsDaemonTickMs. Milliseconds.
 */
export const tlsDaemonSilentMsMax = 3_000

/** After this much silence the daemon is asked whether it is there. Milliseconds. */
export const tlsDaemonAskMs = 1_000

/**
 * Silence is counted in steps of this, so that an application that was itself stopped or busy for
 * long does not take its own silence for the daemon's. Milliseconds.
 */
export const tlsDaemonTickMs = 100

/** Connected clients of one daemon; above: `refused`. */
export const tlsClientsMax = 4096

/** Sessions of one daemon; above: the longest idle one that nobody holds goes, else `refused`. */
export const tlsSessionsMax = 8192

/** Handles that one client holds; above: `refused`. */
export const tlsHandlesPerClientMax = 1024

/** Calls that wait for one session; above: `refused`. */
export const tlsQueueCallsMax = 65_536

/** Received octets that wait in a session for a read; above: the peer is not read any more. */
export const tlsInboundOctetsMax = 256 * 1024

/** Clients of a server session that wait for `accept`. Ours; above: the connection is closed. */
export const tlsWaitingClientsMax = 16

/** Connections behind one shared name. Ours; above: `new` is refused. */
export const tlsSessionsPerNameMax = 64

/** Octets of the description of a new session, its certificates included. */
export const tlsOptionsOctetsMax = 64 * 1024

/** RSET between two tenants, QUIT at the end: the peer answers within this time. Milliseconds. */
export const tlsTurnoverMsMax = 5_000

/** A lease that is kept from message to message is given back after this time. Milliseconds. */
export const tlsLeaseKeepMs = 60_000

/**
 * A direct connection in place of a shared session is kept so long; then the daemon is asked again.
 * Milliseconds.
 */
export const tlsDirectKeepMs = 2_000

/**
 * The longest time that one lease of the transfer leg is held: what it is kept for, one transaction
 * with its longest waits (RFC 5321 §4.5.3.2) included. Above: taken back. Milliseconds.
 */
export const tlsLeaseMsMax = 3_600_000

/** After a failed connect the same session is not tried again for so long. Milliseconds. */
export const tlsReconnectPauseMs = 500

/**
 * A syslog server that takes nothing for so long, twice that at the most, gets a new connection.
 * Ours; a batch of records waits no longer, and is sent again. Milliseconds.
 */
export const tlsSyslogStallMs = 10_000
/** Opportunistic TLS: a mailhost that had none is not asked again for so long. Milliseconds. */
export const tlsPlainMs = 60_000

/** A leased SMTP session that was idle for longer is asked by RSET before it is given away. */
export const tlsProbeAfterIdleMs = 10_000
