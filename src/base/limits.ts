/**
 * Every maximum of the system, with its unit, its source, and what happens at its edge.
 *
 * A maximum that an operator may change is a setting (src/config/); what stands here is fixed.
 * Names end in their unit. Grouped by the part that enforces them.
 */

// — IP tables and lists —

/**
 * Verdict classes of a table; the native table keeps them in 16 bits, 0 = not listed; above: the
 * build is refused.
 */
export const verdictClassesMax = 65_535

/**
 * Lists of a table; 26 real lists form 911 classes, so thousands of lists are far beyond use;
 * above: an error.
 */
export const columnListsMax = 4096

/** Files behind a table; kept in 16 bits an entry; above: an error. */
export const columnFilesMax = 65_535

/**
 * Prefixes entered by add() and remove() into one table beside its compiled ones; above:
 * OperatingError TABLE_ADDED_FULL, the table goes on.
 */
export const addedPrefixesMax = 1_000_000

/**
 * Octets of a list file, unpacked: five times the largest known (stopforumspam, all). Above: the
 * file is refused.
 */
export const listOctetsMax = 256 * 1024 * 1024

/** Bad lines, and remarks, kept of one file; all are counted. */
export const badLinesKeptMax = 100

/** Characters kept of a bad line; the rest is cut. */
export const badLineCharactersMax = 80

/**
 * Entries set aside by the guard that are kept one by one of a list; all are counted. 26 real lists
 * have 105.
 */
export const setAsideKeptMax = 1000

/** IPv4 addresses (a /16) by which a list may change without being judged by change_max. */
export const changeFloor4 = 65_536

/** IPv6 /46 blocks (a /32) by which a list may change without being judged by change_max. */
export const changeFloor6 = 16_384

/**
 * Octets of a feed as sent; four times the largest known. Above: the fetch fails, the last one
 * stays.
 */
export const feedOctetsMax = 64 * 1024 * 1024

/** Redirects followed for one feed; above: the fetch fails. */
export const feedRedirectsMax = 5

/** Time for one whole feed, redirects apart; above: the fetch fails. */
export const feedWaitMs = 60_000

/** How long a start waits for feeds that are due; then what was fetched last serves meanwhile. */
export const feedsStartWaitMs = 1_000

/** Feeds fetched at once; the others wait their turn. */
export const feedsAtOnceMax = 4

/** Octets of a list's beginning that decide its format. */
export const formatSampleOctets = 65_536

/**
 * Octets of a command line including CRLF. RFC 5321 §4.5.3.1.4 asks for 512; extensions add to it;
 * above: 500 5.5.2.
 */
export const commandLineOctetsMax = 2048

// --- the conversation (src/smtp, src/journey) ---

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

/** A mailhost's reply; RFC 5321 §4.5.3.2.6 gives the final dot 10 minutes. Above: 451 4.4.2. */
export const mailhostWaitMs = 660_000

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

// Transfer to the mailhost (src/transfer) and every other server whose replies are read.

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

// --- serving threads (src/edge) ---

/**
 * Deaths of serving threads within the window that are taken as accidents; above: the service ends.
 */
export const threadDeathsMax = 10

/** See `threadDeathsMax`. */
export const threadDeathsWindowMs = 60_000

/** Good hosts that a thread gathers before it tells the main thread. */
export const deliveredBatchMax = 1_000

// --- embedded mailhost (src/mailhost), try-out only ---

/** Sessions at once; above: 421 4.3.2. The proxy's own cap is below. */
export const mailhostSessionsMax = 200

// --- socket engine (src/io, native/engine) ---

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

// --- accept gate (src/io, native/gate) ---

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
// Shared TLS session daemon (src/tls).

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
/** Opportunistic TLS: a mailhost that had none is not asked again for so long. Milliseconds. */
export const tlsPlainMs = 60_000
/** A leased SMTP session that was idle for longer is asked by RSET before it is given away. */
export const tlsProbeAfterIdleMs = 10_000

// --- system log (src/log) ---

/**
 * Characters of one text in a record (an address has at most 254, a reply line 512); the rest is
 * cut and `...` stands for it.
 */
export const logTextCharactersMax = 512

/**
 * Entries of one list in a record (recipients, evidence); the rest is counted in a last entry `+N`.
 */
export const logListEntriesMax = 100

/**
 * Characters of a line; a longer record is written again with texts of 64 characters and lists of 8
 * entries. RFC 5424 §6.1 lets a receiver cut at 2048; journald and rsyslog take 8 KiB.
 */
export const logLineCharactersMax = 8000

/**
 * Octets of records waiting in all serving threads together, divided evenly among them; above:
 * records are counted and `log_dropped` follows.
 */
export const logThreadsOctetsMax = 4 * 1024 * 1024

/**
 * Octets of records waiting for the log's file, pipe or socket; above: as before. With the threads'
 * share the log holds 8 MiB at the most.
 */
export const logSinkOctetsMax = 4 * 1024 * 1024

/** Octets of a thread's batch at which it is sent to the writer before its time. */
export const logBatchOctetsMax = 65_536

/** Longest time that a record waits in its thread for the batch to fill. */
export const logBatchMs = 100

/** Commands at once that watch connections with `trace`; above: refused. */
export const logTracesMax = 16

/** Lines of one read or reply that a trace shows; those behind are left out. */
export const dialogueLinesMax = 100

// Probes (src/probes): what they take from servers that others chose.

/** Records of one DNS answer that are looked at; the rest is left out. */
export const dnsRecordsMax = 50

/**
 * Longest that trouble of the DNS (SERVFAIL, no answer) is kept, milliseconds, also where
 * `dns.negative_ttl` is longer: it passes, and RFC 2308 §7 allows five minutes at most.
 */
export const dnsTroubleKeepMsMax = 60_000

/**
 * Names of one address whose own addresses are asked for, in alphabetical order; all are read for
 * signs of a pool.
 */
export const namesAskedBackMax = 5

/** Mail exchangers of a domain that are tried, within the time budget. The rest is left alone. */
export const exchangersTriedMax = 5

/** Addresses of one mail exchanger that are tried. */
export const exchangerAddressesMax = 2

/** Octets that a probed host may send in one conversation. Above: closed, indeterminate. */
export const probeOctetsMax = 64 * 1024

/** Lines that a probed host may send in one conversation. Above: closed, indeterminate. */
export const probeLinesMax = 300

/** Lines of one reply of a probed host; EHLO of a large server has about 20. Above: closed. */
export const probeReplyLinesMax = 100

/** Octets of an address that is asked for. RFC 5321 §4.5.3.1.3: 256 with its brackets. */
export const probeAddressOctetsMax = 254

/**
 * What said *later* is asked again after this time at the latest: greylisting lifts within minutes.
 */
export const tryLaterKeepMsMax = 600_000

/**
 * How long a recipient that our mailhost does not know is refused unasked, whatever
 * `cache.user_unknown`.
 */
export const recipientUnknownKeepMsMax = 600_000

/**
 * Questions about recipients that our mailhosts are asked at once; above: the recipient is not
 * asked about.
 */
export const callAheadInFlightMax = 8

/**
 * Questions about mailboxes of one domain that wait for its first answer. Above: not asked now, as
 * with a spent budget.
 */
export const domainWaitersMax = 100

/**
 * DNS look-ups of one SPF evaluation. RFC 7208 §4.6.4; above: permerror, the match does not count.
 */
export const spfLookupsMax = 10

/** Look-ups of one SPF evaluation that find nothing. RFC 7208 §4.6.4. */
export const spfVoidLookupsMax = 2

/** Octets of an SPF record; longer ones fit no UDP answer of their time. Above: permerror. */
export const spfRecordOctetsMax = 4096

/** Facts of one finding; the rest is left out. */
export const evidenceCountMax = 12

/** Octets of one fact; the rest is cut. */
export const evidenceOctetsMax = 256

/**
 * Keys of one budget (domains, hosts, networks, clients) that are counted. Above: the oldest goes.
 */
export const budgetKeysMax = 100_000

// --- store (src/store/) ---

/**
 * Readers of the store at once, all threads and processes. Above: the read fails, nothing is known.
 */
export const storeReadersMax = 1000

/** Expired entries that one sweep takes away; the next goes on. */
export const storeSweepEntriesMax = 20_000

/** Entries of a table without an index of times that one sweep looks at; the next goes on. */
export const storeSweepPartMax = 2_000

// Feedback (src/probes/feedback.ts).

/** Hosts and networks that are counted. Above: the one that was seen longest ago is forgotten. */
export const feedbackHostsMax = 100_000

/** Warnings that hosts refuse our probes are at least this far apart; the rest is counted in it. */
export const refusalWarningEveryMs = 3_600_000

/** Findings about one host that are closer together count as one. */
export const feedbackIndependentMs = 600_000

/** A good host is noted again after this time, so that each delivery does not write. */
export const feedbackNoteEveryMs = 86_400_000

// Mining of mail logs (src/feeds/mining).

/** Octets of a log line; a longer one is left out, and counted. */
export const miningLineOctetsMax = 16_384

/** Messages of which the sender is known and the recipients are not yet. Above: the oldest goes. */
export const miningMessagesMax = 100_000

/** Addresses that are entered in one transaction of the store. */
export const miningBatchMax = 5000

/**
 * An address of the whitelist is renewed after this time, so that each letter to it does not write.
 */
export const whitelistRenewMs = 86_400_000

/** The store is swept of what is over this often. */
export const storeSweepEveryMs = 5000

/** Entries that one `activemx cache show` prints; the rest is asked for by a longer key. */
export const cacheEntriesShownMax = 10_000

/** Verdicts and good hosts that are kept in memory. Above: the oldest goes. */
export const verdictsInMemoryMax = 100_000
/**
 * Pages of the store that every start checks before LMDB maps them (256 MiB, about half a second).
 */
export const storeCheckPagesMax = 65_536

/** Changes that wait for their common transaction; above: it is made at once. */
export const storeBatchMax = 10_000

/** Longest time that a change waits for its transaction: what a crash can lose. */
export const storeBatchMs = 100

/**
 * Changes that are kept while no transaction succeeds (disk full); above: the oldest are lost and
 * counted.
 */
export const storeWaitingMax = 100_000

/**
 * Ended verdicts that wait while no transaction succeeds. Above: the oldest are given up, and a
 * thread may answer with the verdict until its time.
 */
export const endedVerdictsWaitingMax = 5_000

/** Once the store was full, new things are kept again below this share of `store.size_max`. */
export const storeRoomAgainShare = 0.95

/** Octets of a key; LMDB's own limit with 4 KiB pages is 1978. Longer: not kept. */
export const storeKeyOctetsMax = 1024

// --- control socket (src/control) ---

/**
 * Octets of one request, and of what waits for a client that traces; above: closed, lines are left
 * out.
 */
export const controlLineOctetsMax = 1024 * 1024

/** Octets of one answer as a client takes it. */
export const controlAnswerOctetsMax = 64 * 1024 * 1024

/** Clients of the control socket at once; above: closed. */
export const controlConnectionsMax = 64

/**
 * Entries of the list `dynamic` that have ended leave the store this often, milliseconds; they stop
 * working on time without it.
 */
export const dynamicSweepEveryMs = 3_600_000
