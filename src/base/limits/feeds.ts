/**
 * Limits of what is fetched and mined: feeds and mail logs (src/feeds). See limits.ts.
 */

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

// — Mining —

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
