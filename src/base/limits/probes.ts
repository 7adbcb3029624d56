/**
 * Limits of the questions that the edge asks, and of what servers that others chose may answer
 * (src/probes). See limits.ts.
 */

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

// — Feedback —

/** Hosts and networks that are counted. Above: the one that was seen longest ago is forgotten. */
export const feedbackHostsMax = 100_000

/** Warnings that hosts refuse our probes are at least this far apart; the rest is counted in it. */
export const refusalWarningEveryMs = 3_600_000

/** Findings about one host that are closer together count as one. */
export const feedbackIndependentMs = 600_000

/** A good host is noted again after this time, so that each delivery does not write. */
export const feedbackNoteEveryMs = 86_400_000
