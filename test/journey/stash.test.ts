import { expect, test } from 'vitest'
import {
  stashBlockOctets,
  stashBlocksSpareMax,
  stashLargeBlockOctets,
} from '../../src/base/limits.ts'
import { giveStash, takeStash } from '../../src/journey/stash.ts'

test('a block that was given back is used again, by size, and by one at a time', () => {
  for (const octets of [1, stashBlockOctets, stashBlockOctets + 1, stashLargeBlockOctets]) {
    const first = takeStash(octets)
    expect(first.length).toBeGreaterThanOrEqual(octets)
    giveStash(first)
    const again = takeStash(octets)
    expect(again).toBe(first)
    expect(takeStash(octets)).not.toBe(again)
  }
})

test('what is larger than both sizes, or too many, is left to the collector', () => {
  const huge = takeStash(stashLargeBlockOctets + 1)
  giveStash(huge)
  expect(takeStash(stashLargeBlockOctets + 1)).not.toBe(huge)
  giveStash(new Uint8Array(7))
  expect(takeStash(7).length).toBe(stashBlockOctets)
  const blocks = Array.from({ length: stashBlocksSpareMax + 1 }, () => takeStash(1))
  for (const block of blocks) giveStash(block)
  const known = new Set(blocks)
  const taken = Array.from({ length: stashBlocksSpareMax + 1 }, () => takeStash(1))
  expect(taken.filter((block) => !known.has(block)).length).toBe(1)
})
