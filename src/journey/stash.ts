/**
 * Stash blocks: memory for what is kept of a message until the mailhost takes it.
 *
 * Blocks of three sizes are used again within the thread: memory of its own for every message costs
 * the collector more than the message itself. What is larger is not taken back, and what lies in a
 * spare block is never read before it is written anew.
 */
import {
  stashBlockOctets,
  stashBlocksSpareMax,
  stashLargeBlockOctets,
  stashLargeBlocksHeldMax,
  stashLargeBlocksSpareMax,
  stashMediumBlockOctets,
  stashMediumBlocksSpareMax,
  stashOctetsHigh,
  stashOctetsLow,
} from '../base/limits.ts'

interface Size {
  readonly octets: number
  readonly spareMax: number
  readonly spare: Uint8Array[]
}

const sizes: readonly Size[] = [
  { octets: stashBlockOctets, spareMax: stashBlocksSpareMax, spare: [] },
  { octets: stashMediumBlockOctets, spareMax: stashMediumBlocksSpareMax, spare: [] },
  { octets: stashLargeBlockOctets, spareMax: stashLargeBlocksSpareMax, spare: [] },
]

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
  const size = sizes.find((one) => octets <= one.octets)
  const stash = size?.spare.pop() ?? new Uint8Array(size?.octets ?? octets)
  count(stash, 1)
  return stash
}

/**
 * Gives a block back, once: nobody reads or writes it through the old name any more. An empty array
 * stands for none.
 */
export function giveStash(stash: Uint8Array): void {
  if (stash.length === 0) return
  count(stash, -1)
  const size = sizes.find((one) => stash.length === one.octets)
  if (size !== undefined && size.spare.length < size.spareMax) size.spare.push(stash)
}

function count(stash: Uint8Array, by: 1 | -1): void {
  held += by
  if (stash.length > stashMediumBlockOctets) largeHeld += by
}
