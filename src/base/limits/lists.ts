/**
 * Limits of the IP tables and of the lists behind them (src/tables, src/lists). See limits.ts.
 */

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

/** Octets of a list's beginning that decide its format. */
export const formatSampleOctets = 65_536
