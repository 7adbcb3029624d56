/**
 * The native table against the expected answers beside the project (Show 2), at rest and while
 * another thread swaps the table every 10 ms.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { formatPrefix, newPrefixCell, parsePrefix } from '../../src/base/ip-address.ts'
import { columnsOf } from '../../src/tables/entries.ts'
import type { IpTable, PrefixEntry } from '../../src/tables/ip-table.ts'
import { type NativeIpTable, nativeTable } from '../../src/tables/native-table.ts'
import { referenceTable } from '../../src/tables/reference-table.ts'
import { describeWith, needsSharedData } from '../support/needs.ts'
import { bgpEntries, blocklistEntries, dataVectors, type Vector } from '../support/prefix-data.ts'
import { checkWhileSwapping } from '../support/swap-while.ts'

interface Answers {
  readonly title: string
  readonly entries: () => readonly PrefixEntry[]
  readonly vectors: () => readonly Vector[]
  readonly least: number
  /** Sets of lists among the answers. */
  readonly leastSets: number
}

const sets: readonly Answers[] = [
  {
    title: '60,000 membership vectors of 26 lists',
    entries: () => blocklistEntries('blocklists/firehol_2022-02-04'),
    vectors: () => dataVectors('blocklists/firehol_2022-02-04.membership.tsv.gz'),
    least: 60_000,
    leastSets: 100,
  },
  {
    title: '30,000 longest-prefix vectors of the BGP table',
    entries: bgpEntries,
    vectors: () => [
      ...dataVectors('prefixes/bart_lpm_v4_vectors.tsv.gz'),
      ...dataVectors('prefixes/bart_lpm_v6_vectors.tsv.gz'),
    ],
    least: 30_000,
    leastSets: 2,
  },
]

for (const { title, entries, vectors, least, leastSets } of sets) {
  describeWith([needsSharedData()], title, () => {
    let all: readonly PrefixEntry[] = []
    let asked: readonly Vector[] = []
    let table: NativeIpTable

    beforeAll(() => {
      all = entries()
      asked = vectors()
      table = nativeTable.fromPrefixes(all)
    })
    afterAll(() => table.close())

    test('answered without a difference', () => {
      expect(asked.length).toBeGreaterThanOrEqual(least)
      expect(differences(table, asked)).toEqual([])
    })

    test('the class is the set of all lists that hold the address', () => {
      const reference = referenceTable.fromPrefixes(all)
      const listsOf = (one: IpTable, address: string) =>
        [...one.listsOf(one.lookupClass(address))].sort().join(' ')
      const wrong = asked.filter(
        ({ address }) => listsOf(table, address) !== listsOf(reference, address),
      )
      expect(wrong).toEqual([])
      const sets = new Set(asked.map(({ address }) => listsOf(reference, address)))
      expect(sets.size).toBeGreaterThanOrEqual(leastSets)
      reference.close()
    })

    test('answered without a difference while the table is swapped', async () => {
      const orders = [columnsOf(all), columnsOf([...all].reverse())]
      await checkWhileSwapping(table.handle, orders, 40, () => {
        expect(differences(table, asked)).toEqual([])
      })
    }, 180_000)
  })
}

/** The vectors that are answered otherwise, by lookup and by class. */
function differences(table: NativeIpTable, vectors: readonly Vector[]): readonly string[] {
  const wrong: string[] = []
  for (const { address, prefix } of vectors) {
    const found = table.lookup(address)?.prefix
    const isListed = table.lookupClass(address) !== 0
    if (found === prefix && isListed === (prefix !== undefined)) continue
    if (found !== undefined && found === canonical(prefix) && isListed) continue
    wrong.push(`${address}: ${found}, expected ${prefix}`)
  }
  return wrong
}

/** The same prefix as this project writes it. */
function canonical(prefix: string | undefined): string | undefined {
  const cell = newPrefixCell()
  if (prefix === undefined || parsePrefix(prefix, cell) !== '') return undefined
  return formatPrefix(cell.family === 4 ? 4 : 6, cell.words, cell.length)
}
