/**
 * Body scanner: its face.
 */

/**
 * Scans octets [start, end) of a message on the wire, going on from `state` (0 at its first octet).
 */
export type ScanBody = (chunk: Uint8Array, start: number, end: number, state: number) => number
