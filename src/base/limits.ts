/**
 * Every maximum of the system, with its unit, its source, and what happens at its edge.
 *
 * A maximum that an operator may change is a setting (src/config/); what stands here is fixed.
 * Names end in their unit. Grouped by the part that enforces them.
 */

/** Octets of a command line including CRLF. RFC 5321 §4.5.3.1.4 asks for 512; extensions add to it; above: 500 5.5.2. */
export const commandLineOctetsMax = 2048

// Transfer to the mailhost (src/transfer) and every other server whose replies are read.

/** Octets of a server's reply line. RFC 5321 §4.5.3.1.5 allows 512; above: the connection is dropped. */
export const replyLineOctetsMax = 4096

/** Octets of one reply, all lines. Servers with 2,000 short lines are read; above: dropped. */
export const replyOctetsMax = 128 * 1024

/** Lines of one reply that are kept and sent on; the rest is read and left out. */
export const replyLinesKeptMax = 100
