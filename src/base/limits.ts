/**
 * Every maximum of the system, with its unit, its source, and what happens at its edge.
 *
 * A maximum that an operator may change is a setting (src/config/); what stands here is fixed.
 * Names end in their unit. Grouped by the part that enforces them.
 */

/** Octets of a command line including CRLF. RFC 5321 §4.5.3.1.4 asks for 512; extensions add to it; above: 500 5.5.2. */
export const commandLineOctetsMax = 2048
