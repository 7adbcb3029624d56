/**
 * The compiled structure read in JavaScript against the same read natively: every shape of entry,
 * every kind of change, and never a number that a superseded structure meant.
 */
import { expect, test } from 'vitest'
import { formatIpv4 } from '../../src/base/ip-address.ts'
import { askNative, CompiledView } from '../../src/tables/compiled-view.ts'
import { columnsOf } from '../../src/tables/entries.ts'
import type { PrefixEntry } from '../../src/tables/ip-table.ts'
import { tableAddon } from '../../src/tables/native-addon.ts'
import { type NativeIpTable, nativeTable } from '../../src/tables/native-table.ts'
import { Random } from '../support/random.ts'

const seed = Number(process.env.ACTIVEMX_SEED ?? 20_261_122)

/**
 * Prefixes that crowd in few /24s and are scattered elsewhere; `lists` sets the number of classes.
 */
function randomEntries(random: Random, count: number, lists: number): readonly PrefixEntry[] {
  return Array.from({ length: count }, () => {
    const base = random.chance(0.8) ? 0x0a00_0000 + random.below(0x4000) : random.below(2 ** 32)
    const length = random.chance(0.7) ? 24 + random.below(9) : random.below(33)
    const start = length === 0 ? 0 : (base >>> (32 - length)) * 2 ** (32 - length)
    return {
      prefix: `${formatIpv4(start)}/${length}`,
      list: `list${random.below(lists)}`,
      isExcluded: random.chance(0.1),
    }
  })
}

/** Addresses in the crowd, at its edges and anywhere. */
function randomAddresses(random: Random): Uint32Array {
  return Uint32Array.from({ length: 20_000 }, () =>
    random.chance(0.7) ? 0x09ff_ff00 + random.below(0x4200) : random.below(2 ** 32),
  )
}

function expectAgreement(table: NativeIpTable, addresses: Uint32Array): void {
  const classes = table.lookupMany(addresses, new Uint16Array(addresses.length))
  const wrong = [...addresses].filter((address, at) => table.lookupClass4(address) !== classes[at])
  expect(wrong.map(formatIpv4)).toEqual([])
  const texts = [...addresses.subarray(0, 500)].map(formatIpv4)
  expect(texts.map((text) => table.lookupClass(text))).toEqual([...classes.subarray(0, 500)])
}

test.each([
  { title: 'few classes', count: 3000, lists: 3 },
  { title: 'more classes than an octet holds', count: 6000, lists: 40 },
  { title: 'nothing', count: 0, lists: 1 },
  { title: 'one prefix', count: 1, lists: 1 },
])(
  'JavaScript and the native side give one answer: $title',
  ({ count, lists }) => {
    const random = new Random(seed)
    const table = nativeTable.fromPrefixes(randomEntries(random, count, lists))
    try {
      const addresses = randomAddresses(random)
      expectAgreement(table, addresses)
      for (let round = 0; round < 5; round++) {
        const [entry] = randomEntries(random, 1, 3)
        const prefix = entry?.prefix ?? ''
        if (random.chance(0.5)) table.add(prefix, { list: 'entered' })
        else table.remove(prefix)
        expectAgreement(table, addresses)
      }
      table.replace(nativeTable.compile(columnsOf(randomEntries(random, count, lists))))
      expectAgreement(table, addresses)
    } finally {
      table.close()
    }
  },
  60_000,
)

test('a question near an entered prefix goes to the native side, others do not', () => {
  const table = nativeTable.fromPrefixes([
    { prefix: '192.0.2.0/24', list: 'a' },
    { prefix: '198.51.100.0/24', list: 'a' },
  ])
  const { view, calls } = countingView(table.handle, (words) => words)
  const [first, second] = [0xc000_0207, 0xc633_6407]
  expect([view.tryClassOf(first), view.tryClassOf(second)]).toEqual([1, 1])
  table.add('192.0.2.9', { list: 'b' })
  expect([view.tryClassOf(first), view.tryClassOf(second)]).toEqual([askNative, 1])
  table.remove('192.0.2.9', { list: 'b', ttlMs: 0 })
  table.add('203.0.113.1', { list: 'b' })
  expect(view.tryClassOf(first)).toBe(1)
  expect(calls()).toBe(1)
  table.replace(nativeTable.compile(columnsOf([{ prefix: '192.0.2.7', list: 'c' }])))
  expect(table.listsOf(view.tryClassOf(first))).toEqual(['c'])
  expect(view.tryClassOf(second)).toBe(0)
  expect(calls()).toBe(2)
  table.close()
})

test('a superseded structure answers on while a reader holds it', () => {
  const entries = randomEntries(new Random(seed), 5000, 5)
  const table = nativeTable.fromPrefixes(entries)
  const addresses = randomAddresses(new Random(seed + 1))
  // Copies of the signs never tell of a swap.
  const { view, calls } = countingView(table.handle, (words) => words.slice())
  const before = Array.from(addresses, (address) => view.tryClassOf(address))
  const others = columnsOf(randomEntries(new Random(seed + 2), 5000, 5))
  for (let swap = 0; swap < 20; swap++) table.replace(nativeTable.compile(others))
  table.close()
  expect(Array.from(addresses, (address) => view.tryClassOf(address))).toEqual(before)
  expect(calls()).toBe(1)
})

/**
 * A view of the table, and how often it took a structure; `signsOf` may give it signs of its own.
 */
function countingView(handle: number, signsOf: (words: Uint32Array) => Uint32Array) {
  const native = tableAddon().tableAttach(handle)
  if (native?.any24 == null || native.signals == null) throw new Error('not attachable')
  let calls = 0
  const image4 = () => {
    calls++
    return native.image4()
  }
  const signals = signsOf(new Uint32Array(native.signals))
  const view = new CompiledView({ image4 }, signsOf(new Uint32Array(native.any24)), signals)
  return { view, calls: () => calls }
}
