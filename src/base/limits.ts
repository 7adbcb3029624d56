/**
 * Every maximum of the system, with its unit, its source, and what happens at its edge.
 *
 * A maximum that an operator may change is a setting (src/config/); what stands here is fixed.
 * Names end in their unit. The way of a connection, in its order, stands in this file; what the
 * other parts have stands in a file of theirs and is had from here too.
 */

export * from './limits/control.ts'
export * from './limits/feeds.ts'
export * from './limits/lists.ts'
export * from './limits/log.ts'
export * from './limits/probes.ts'
export * from './limits/store.ts'
export * from './limits/tls.ts'

// — Accept gate (src/io, native/gate) —

/**
 * Length of the listen queue; peers with 128 showed 1 s connects in bursts. The kernel cuts it to
 * net.core.somaxconn.
 */
export const listenBacklogMax = 4_096

/** Refusals kept for the main thread; above it they are counted in `refusalsLost`. */
export const refusalsMax = 32_768

/** Wait for a whole PROXY header, as Postfix and HAProxy; then the connection is closed. */
export const proxyHeaderWaitMs = 5_000

/** Octets of a PROXY v1 line with its CRLF (proxy-protocol.txt §2.1); above: closed. */
export const proxyLineOctetsMax = 107

/**
 * Octets of a PROXY v2 header, type-length values included; the field could say 65,551. Above:
 * closed.
 */
export const proxyHeaderOctetsMax = 4_096

/**
 * Addresses whose connections and rates are counted at once; above it a new one is only in the
 * total.
 */
export const countedAddressesMax = 262_144

/**
 * Descriptors of the process that no client gets: mailhosts, probes, store, log and control need
 * them; of fewer than eight times as many an eighth. Above: 421 4.3.2, none is tarpitted.
 */
export const descriptorsKept = 1_024

/** A tarpitted client gets an octet of its reply this often. */
export const tarpitOctetMs = 1_000

// — Socket engine (src/io, native/engine) —

/**
 * Octets waiting to be sent on one connection above which `send` answers false. As much as may have
 * been kept of a message: see `stashOctetsHigh`, also for what a pause of the client costs.
 */
export const backlogHighOctets = 1_048_576

/** The same for `sendText`: a client that does not read its replies costs less than a mailhost. */
export const backlogTextHighOctets = 262_144

/** Octets waiting at which onDrain comes. */
export const backlogLowOctets = 65_536

/**
 * Octets waiting that mean that a sender ignored the high mark (our bug): the connection is reset.
 */
export const backlogOctetsMax = 8_388_608

/**
 * After `close` has sent all: time in which what the peer still sends is read and dropped, then
 * closed. RFC 9112 §9.6 names the reason (a reset would destroy the reply).
 */
export const lingerMs = 5_000

/**
 * The same where nothing more is expected of the peer (it said QUIT, or its time is over): who goes
 * on dripping octets holds no place by that. Ours; `bench slow` asks for 10 s in all under stress.
 */
export const doneLingerMs = 200

/** Time that `close` has to send the backlog; a peer that takes nothing for so long is reset. */
export const closeFlushMs = 30_000

// — The conversation (src/smtp, src/journey) —

/**
 * Octets of a command line including CRLF. RFC 5321 §4.5.3.1.4 asks for 512; extensions add to it;
 * above: 500 5.5.2.
 */
export const commandLineOctetsMax = 2048

/**
 * Octets of an over-long line that are read and dropped before the connection is closed (421
 * 4.7.0).
 */
export const lineDropOctetsMax = 1_048_576

/** Octets of input kept while a command waits for its answer; above: the client is paused. */
export const heldInputOctetsMax = 4096

/** Octets of a message line without CRLF. RFC 5322 §2.1.1; above: flagged, passed on unchanged. */
export const textLineOctetsMax = 998

/** Octets of a local part. RFC 5321 §4.5.3.1.1; above: 501. */
export const localPartOctetsMax = 64

/** Octets of a domain name. RFC 5321 §4.5.3.1.2; above: 501. */
export const domainOctetsMax = 255

/** Octets of a label of a domain name. RFC 1035 §2.3.4; above: 501. */
export const labelOctetsMax = 63

/** Octets of a path without its brackets. RFC 5321 §4.5.3.1.3 (256 with them); above: 501. */
export const pathOctetsMax = 254

/** Octets of ENVID (RFC 3461 §4.4); above: 501. */
export const envelopeIdOctetsMax = 100

/** Octets of ORCPT (RFC 3461 §4.2); above: 501. */
export const originalRecipientOctetsMax = 500

/** Digits of a SIZE or BDAT number (RFC 1870 §4 allows 20; more than 15 may lose precision). */
export const sizeDigitsMax = 20

/** Octets of a message's header; the part that is judged before DATA. Above: 554 5.6.0. */
export const headerOctetsMax = 131_072

/**
 * Message octets kept while the mailhost has not answered DATA; above: the client is paused. A
 * pause there costs more than memory: its congestion control (BBR) takes it for a slow path and
 * sends the rest in small pieces. 1 MB from 20 sessions: 1.43 × HAProxy's CPU with 64 KiB, 1.21 ×
 * with this.
 */
export const stashOctetsHigh = 1_048_576

/** The same while more than `stashLargeBlocksHeldMax` large blocks are in use. */
export const stashOctetsLow = 65_536

/**
 * Octets of a message behind which the rest may pass without JavaScript. Ours; below it, to begin
 * and to end that costs as much as it saves.
 */
export const passOctetsMin = 32_768

/** Room for a usual header and a small message; a larger one gets a larger block. */
export const stashBlockOctets = 16_384

/** Blocks of a thread that wait to be used again (1 MiB); more are left to the collector. */
export const stashBlocksSpareMax = 64

/** `stashOctetsLow`, one read more and our own field. */
export const stashMediumBlockOctets = 147_456

/** Medium blocks of a thread that wait to be used again (4.5 MiB). */
export const stashMediumBlocksSpareMax = 32

/** `stashOctetsHigh`, one read more and our own field; above: memory of its own. */
export const stashLargeBlockOctets = 1_130_496

/** Large blocks of a thread that wait to be used again (17.25 MiB). */
export const stashLargeBlocksSpareMax = 16

/** Large blocks of a thread that are in use (69 MiB) before `stashOctetsLow` holds. */
export const stashLargeBlocksHeldMax = 64

/** RSET, NOOP, VRFY, HELP, EHLO without a message between them; above, each counts as an error. */
export const junkCommandsMax = 100

/**
 * The tests' own budget is 240 s at the most, the client waits 300 s; a wait beyond this is given
 * up as indeterminate.
 */
export const answerWaitMs = 250_000

/**
 * The journey's wait for a mailhost's reply or for room: the last resort, twice the longest that
 * `mailhost.reply_wait` and `final_reply_wait` can be, which the link keeps. Above: 451 4.4.2.
 */
export const mailhostWaitMs = 7_200_000

/**
 * Least octets that a message must bring a minute while the client is sending; below: 421 4.4.2.
 */
export const dataOctetsPerMinuteMin = 1024

/** Rules of a header rules file; above: the file is refused. */
export const headerRulesMax = 1000

/** Characters of one pattern of a header rule; above: the file is refused. */
export const headerPatternCharactersMax = 1000

/** Octets of one header field that a pattern sees; the rest is not matched. */
export const headerValueOctetsMax = 16_384

/** Octets of a field's value that stand in the evidence of a header rule; the rest is cut. */
export const headerEvidenceOctetsMax = 200

// — Transfer to the mailhost (src/transfer), and every other server whose replies are read —

/**
 * Octets of a server's reply line. RFC 5321 §4.5.3.1.5 allows 512; above: the connection is
 * dropped.
 */
export const replyLineOctetsMax = 4096

/** Octets of one reply, all lines. Servers with 2,000 short lines are read; above: dropped. */
export const replyOctetsMax = 128 * 1024

/** Lines of one reply that are kept and sent on; the rest is read and left out. */
export const replyLinesKeptMax = 100

/** Different mailhost addresses in one configuration. Above: a configuration error. */
export const mailhostSlotsMax = 64

/** Octets of one encoded XFORWARD or XCLIENT value: names have 255; the rest is cut. */
export const identityValueOctetsMax = 255

/**
 * Refusals after which a session is given back with QUIT: mailhosts count them (Postfix: 20, delay
 * at 10).
 */
export const linkRefusalsMax = 5

/** Sessions tried for one envelope before its client hears 451. */
export const linkAttemptsMax = 3

/** How long a session whose recipients are answered is kept for its client to go on; then RSET. */
export const linkParkMs = 1_000

/** How often the pool looks at its deadlines; the error of all of them. */
export const poolSweepMs = 250

/**
 * A mailhost that is away is tried again after this, doubled for every further failure up to
 * `mailhost.retry`.
 */
export const mailhostAwayFirstMs = 500

/** Greeting and EHLO of a mailhost, each; behind it the next mailhost or 451 4.4.1. */
export const linkOpenMs = 10_000

// — Embedded mailhost (src/mailhost), try-out only —

/** Sessions at once; above: 421 4.3.2. The proxy's own cap is lower. */
export const mailhostSessionsMax = 200

// — Serving threads (src/edge) —

/**
 * Deaths of serving threads within the window that are taken as accidents; above: the service ends.
 */
export const threadDeathsMax = 10

/** See `threadDeathsMax`. */
export const threadDeathsWindowMs = 60_000

/** Good hosts that a thread gathers before it tells the main thread. */
export const deliveredBatchMax = 1_000
