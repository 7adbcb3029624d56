import { expect, test } from 'vitest'
import {
  stashBlockOctets,
  stashBlocksSpareMax,
  stashLargeBlockOctets,
  stashLargeBlocksHeldMax,
  stashMediumBlockOctets,
  stashOctetsHigh,
  stashOctetsLow,
} from '../../src/base/limits.ts'
import { giveStash, stashBlocksHeld, stashOctetsMost, takeStash } from '../../src/journey/stash.ts'
import { plainMessage, World, withEnvelope } from './world.ts'

const sizes = [
  1,
  stashBlockOctets,
  stashBlockOctets + 1,
  stashMediumBlockOctets,
  stashMediumBlockOctets + 1,
  stashLargeBlockOctets,
]

test('a block that was given back is used again, by size, and by one at a time', () => {
  for (const octets of sizes) {
    const first = takeStash(octets)
    expect(first.length).toBeGreaterThanOrEqual(octets)
    giveStash(first)
    const again = takeStash(octets)
    // Compared by name: vitest looks into a megabyte to say how two of them differ.
    expect(again === first).toBe(true)
    expect(takeStash(octets) === again).toBe(false)
  }
})

test('what is larger than all sizes, or too many, is left to the collector', () => {
  const huge = takeStash(stashLargeBlockOctets + 1)
  giveStash(huge)
  expect(takeStash(stashLargeBlockOctets + 1) === huge).toBe(false)
  giveStash(new Uint8Array(7))
  expect(takeStash(7).length).toBe(stashBlockOctets)
  const blocks = Array.from({ length: stashBlocksSpareMax + 1 }, () => takeStash(1))
  for (const block of blocks) giveStash(block)
  const known = new Set(blocks)
  const taken = Array.from({ length: stashBlocksSpareMax + 1 }, () => takeStash(1))
  expect(taken.filter((block) => !known.has(block)).length).toBe(1)
})

test('many long messages at once are kept for with less each, until they are through', () => {
  const take = (): Uint8Array => takeStash(stashOctetsHigh)
  const blocks = Array.from({ length: stashLargeBlocksHeldMax + 1 }, take)
  expect(stashOctetsMost()).toBe(stashOctetsLow)
  for (const block of blocks) giveStash(block)
  expect(stashOctetsMost()).toBe(stashOctetsHigh)
})

const header = plainMessage.slice(0, 60)
const ways: readonly { readonly label: string; readonly end: (world: World) => World }[] = [
  { label: 'the client goes inside the header', end: (world) => world.send(header).lose() },
  { label: 'it falls silent there', end: (world) => world.send(header).passes(400_000) },
  { label: 'it goes before the mailhost’s 354', end: (world) => world.send(plainMessage).lose() },
  { label: 'the message is delivered', end: (world) => world.send(`${plainMessage}.\r\n`).rest() },
  { label: 'the message is refused', end: (world) => world.send('a\nb\r\n.\r\n').rest() },
]

test.each(ways)('no block is held any more when $label', ({ end }) => {
  const before = stashBlocksHeld()
  const world = withEnvelope(new World({ mailhostMs: () => 500 })).passes(500)
  world.send('DATA\r\n')
  expect(stashBlocksHeld()).toBe(before + 1)
  end(world)
  expect(stashBlocksHeld()).toBe(before)
})
