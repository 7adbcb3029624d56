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

/** Other users' clients that are being told so, at once; above: closed unheard. Ours. */
export const controlDeniedMax = 16

/** Another user's client stays so long to read that it may not ask. Ours. Milliseconds. */
export const controlDeniedMsMax = 1_000

/**
 * Who starts waits so long for another who starts in the same folder; then it goes on: nobody takes
 * a socket's place for longer. Ours. Milliseconds.
 */
export const socketTakeoverMsMax = 2_000

/** Entries that one `activemx cache show` prints; the rest is asked for by a longer key. */
export const cacheEntriesShownMax = 10_000

/**
 * Entries of a list in one request of an import, and their octets in all: such a request stays a
 * line (`controlLineOctetsMax`) however JSON writes them, and holds the main thread for
 * milliseconds.
 */
export const controlEntriesMax = 1000

/** See `controlEntriesMax`. */
export const controlEntriesOctetsMax = 65_536

/** Of a line that is imported; what is longer is no entry and is not asked whole. */
export const controlEntryCharactersMax = 1000
