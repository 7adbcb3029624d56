/**
 * Stash blocks: memory for what is kept of a message until the mailhost takes it.
 *
 * Blocks of two sizes are used again within the thread: memory of its own for every message costs
 * the collector more than the message itself. What is larger than both is not taken back, and what
 * lies in a spare block is never read before it is written anew.
 */
import {
  stashBlockOctets,
  stashBlocksSpareMax,
  stashLargeBlockOctets,
  stashLargeBlocksHeldMax,
  stashLargeBlocksSpareMax,
  stashOctetsHigh,
  stashOctetsLow,
} from '../base/limits.ts'

interface Size {
  readonly octets: number
  readonly spareMax: number
  readonly spare: Uint8Array[]
}

const small: Size = { octets: stashBlockOctets, spareMax: stashBlocksSpareMax, spare: [] }
const large: Size = { octets: stashLargeBlockOctets, spareMax: stashLargeBlocksSpareMax, spare: [] }

let held = 0
let largeHeld = 0

/** Blocks of this thread that were taken and not given back. */
export function stashBlocksHeld(): number {
  return held
}

/** Octets of a message that may be kept now before its client is paused. */
export function stashOctetsMost(): number {
  return largeHeld > stashLargeBlocksHeldMax ? stashOctetsLow : stashOctetsHigh
}

/** A block of at least so many octets, with anything in it. */
export function takeStash(octets: number): Uint8Array {
  held++
  if (octets > small.octets) largeHeld++
  if (octets > large.octets) return new Uint8Array(octets)
  const size = octets > small.octets ? large : small
  return size.spare.pop() ?? new Uint8Array(size.octets)
}

/**
 * Gives a block back, once: nobody reads or writes it through the old name any more. An empty array
 * stands for none.
 */
export function giveStash(stash: Uint8Array): void {
  if (stash.length === 0) return
  held--
  if (stash.length > small.octets) largeHeld--
  const size = stash.length === small.octets ? small : large
  if (stash.length === size.octets && size.spare.length < size.spareMax) size.spare.push(stash)
}
