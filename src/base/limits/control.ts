/**
 * Limits of the control socket (src/control). See limits.ts.
 */

/**
 * Octets of one request, and of what waits for a client that traces; above: closed, lines are left
 * out.
 */
export const controlLineOctetsMax = 1024 * 1024

/** Octets of one answer as a client takes it. */
export const controlAnswerOctetsMax = 64 * 1024 * 1024

/** Clients of the control socket at once; above: closed. */
export const controlConnectionsMax = 64

/** Entries that one `activemx cache show` prints; the rest is asked for by a longer key. */
export const cacheEntriesShownMax = 10_000
