/**
 * Limits of the system log and of live dialogues (src/log, src/edge/dialogue.ts). See limits.ts.
 */

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
