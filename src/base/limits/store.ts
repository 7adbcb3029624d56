/**
 * Limits of the store and of what is kept of it in memory (src/store). See limits.ts.
 */

/**
 * Readers of the store at once, all threads and processes. Above: the read fails, nothing is known.
 */
export const storeReadersMax = 1000

/** Expired entries that one sweep takes away; the next goes on. */
export const storeSweepEntriesMax = 20_000

/** Entries of a table without an index of times that one sweep looks at; the next goes on. */
export const storeSweepPartMax = 2_000

/** The store is swept of what is over this often. */
export const storeSweepEveryMs = 5000

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

/** Verdicts and good hosts that are kept in memory. Above: the oldest goes. */
export const verdictsInMemoryMax = 100_000

/**
 * Entries of the list `dynamic` that have ended leave the store this often, milliseconds; they stop
 * working on time without it.
 */
export const dynamicSweepEveryMs = 3_600_000
