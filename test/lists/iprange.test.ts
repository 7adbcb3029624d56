/**
 * The inputs and expected outputs of the iprange tool: what our parser and tables make of the same
 * files.
 */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import {
  type PrefixColumns,
  PrefixColumnsBuilder,
  prefixText,
} from '../../src/base/prefix-columns.ts'
import { coverageOf } from '../../src/lists/coverage.ts'
import { parseList } from '../../src/lists/parse-list.ts'
import { referenceTable } from '../../src/tables/reference-table.ts'
import { describeWith, needsSharedData, sharedData } from '../support/needs.ts'

function columnsOf(text: string, list: string): PrefixColumns {
  const parsed = parseList(new TextEncoder().encode(text), {
    ...{ list, file: list, format: 'plain', sense: 'any', mayHoldNames: false, badLinesMax: 0 },
  })
  expect(parsed.badLines, list).toEqual([])
  return parsed.columns
}

const fileOf = (name: string, file: string) =>
  readFileSync(sharedData(`cidr/iprange-tests/${name}/${file}`), 'utf8')

/** Expected prefixes, without the tool's own marks (250.250.…) and remarks. */
function expectedOf(name: string): PrefixColumns {
  const lines = fileOf(name, 'output').split('\n')
  const marks = /^250\.250\.250\.250/
  return columnsOf(lines.filter((line) => !marks.test(line)).join('\n'), 'output')
}

function bothInputs(name: string): PrefixColumns {
  const builder = new PrefixColumnsBuilder()
  for (const file of ['input1', 'input2']) builder.append(columnsOf(fileOf(name, file), file))
  return builder.finish()
}

/** First address of each expected prefix. */
function addressesOf({ v4, v6 }: PrefixColumns): readonly string[] {
  const first = (text: string) => text.replace(/\/.*$/, '')
  return [
    ...Array.from({ length: v4.count }, (_, at) => first(prefixText(4, v4, at))),
    ...Array.from({ length: v6.count }, (_, at) => first(prefixText(6, v6, at))),
  ]
}

describeWith([needsSharedData()], 'inputs of iprange', () => {
  test.each(['17-mixed-input-formats', '27-binary-save-load'])(
    '%s: addresses, prefixes, ranges and netmasks cover what iprange says',
    (name) => {
      const input = coverageOf(columnsOf(fileOf(name, 'input1'), 'input1'))
      expect(input.v4).toEqual(coverageOf(expectedOf(name)).v4)
    },
  )

  test('95-ipv6-multi-file-merge: two files form a union', () => {
    const table = referenceTable.fromColumns(bothInputs('95-ipv6-multi-file-merge'))
    const expected = referenceTable.fromColumns(expectedOf('95-ipv6-multi-file-merge'))
    for (const address of [
      '2001:db8::',
      '2001:db8::1',
      '2001:db8::2',
      '2001:db8::3',
      '2001:db8::4',
    ]) {
      expect(table.lookup(address) === undefined).toBe(expected.lookup(address) === undefined)
    }
  })

  test.each(['02-common', '96-ipv6-common'])(
    '%s: the class of a common address names both files',
    (name) => {
      const table = referenceTable.fromColumns(bothInputs(name))
      const addresses = addressesOf(expectedOf(name))
      expect(addresses.length).toBeGreaterThan(0)
      for (const address of addresses) {
        expect(table.lookup(address)?.lists).toEqual(['input1', 'input2'])
      }
    },
  )

  test.each(['04-diff', '98-ipv6-diff'])('%s: a different address is in one file only', (name) => {
    const table = referenceTable.fromColumns(bothInputs(name))
    const addresses = addressesOf(expectedOf(name))
    expect(addresses.length).toBeGreaterThan(0)
    for (const address of addresses) expect(table.lookup(address)?.lists).toHaveLength(1)
  })

  test('54-invalid-cidr-like-input, 76-numeric-ranges: what iprange guesses at is a bad line here', () => {
    for (const text of ['10.0.0.0/24/24', '167772160', '012.0.0.1', '10.0.0.1-10.0.0.2-10.0.0.3']) {
      const parsed = parseList(new TextEncoder().encode(text), {
        ...{ list: 'l', file: 'l', format: 'plain', sense: 'any', mayHoldNames: false },
        badLinesMax: 1,
      })
      expect(parsed.badLineCount, text).toBe(1)
    }
  })
})
