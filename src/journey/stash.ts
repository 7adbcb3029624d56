/**
 * Stash blocks: memory for what is kept of a message until the mailhost takes it.
 *
 * Blocks of one size are used again within the thread: memory of its own for every message costs the
 * collector more than the message itself. A stash that outgrew its block is not taken back, and what
 * lies in a spare block is never read before it is written anew.
 */
import { stashBlockOctets, stashBlocksSpareMax } from '../base/limits.ts'

const spare: Uint8Array[] = []

/** A block of at least so many octets, with anything in it. */
export function takeStash(octets: number): Uint8Array {
  if (octets > stashBlockOctets) return new Uint8Array(octets)
  return spare.pop() ?? new Uint8Array(stashBlockOctets)
}

/** Gives a block back: nobody reads or writes it through the old name any more. */
export function giveStash(stash: Uint8Array): void {
  if (stash.length === stashBlockOctets && spare.length < stashBlocksSpareMax) spare.push(stash)
}
