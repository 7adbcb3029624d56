import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import type { OperatingError } from '../../src/base/errors.ts'
import { newPrefixCell, parsePrefix } from '../../src/base/ip-address.ts'
import { prefixText } from '../../src/base/prefix-columns.ts'
import { coverageOf } from '../../src/lists/coverage.ts'
import { type GuardOptions, guardList } from '../../src/lists/guard.ts'
import { NeverBlockSpace, specialNetworks } from '../../src/lists/never-block.ts'
import { type ParsedList, parseList } from '../../src/lists/parse-list.ts'
import { unpackList } from '../../src/lists/read-list-file.ts'
import { referenceTable } from '../../src/tables/reference-table.ts'
import { describeWith, needsSharedData, sharedData } from '../support/needs.ts'

interface Case {
  readonly area: string
  readonly name: string
  readonly id: string
  readonly input_b64?: string
  readonly input_repr?: string
  readonly expect: string
}

const guardDefaults: GuardOptions = { shortestPrefix: 8, coverageMax: 0.05, changeMax: 0.5 }
const neverBlock = new NeverBlockSpace(specialNetworks)

function parse(input: string | Uint8Array): ParsedList {
  const octets = typeof input === 'string' ? new TextEncoder().encode(input) : input
  const options = {
    list: 'feed',
    file: 'feed.txt',
    badLinesMax: 0.01,
    mayHoldNames: false,
  } as const
  return parseList(octets, { ...options, format: 'auto', sense: 'refuse' })
}

function entriesOf({ columns }: Pick<ParsedList, 'columns'>): readonly string[] {
  const texts = (family: 4 | 6) => {
    const entries = family === 4 ? columns.v4 : columns.v6
    return Array.from({ length: entries.count }, (_, at) => prefixText(family, entries, at))
  }
  return [...texts(4), ...texts(6)]
}

function casesOf(area: string): readonly Case[] {
  const lines = readFileSync(sharedData('adversarial/cases.jsonl'), 'utf8').trim().split('\n')
  return lines.map((line) => JSON.parse(line) as Case).filter((one) => one.area === area)
}

/** The prefix that a case wants, normalised; undefined where it wants no entry. */
function wantedPrefix({ expect: wants, name }: Case): string | undefined {
  if (wants.startsWith('error') || wants === 'ignored' || wants === 'quarantine') return undefined
  if (wants.startsWith('must match IPv4 client')) return '1.2.3.4/32'
  const text = wants === 'v6 literal' ? name.replaceAll("'", '') : (wants.split(' ')[0] ?? '')
  const cell = newPrefixCell()
  expect(parsePrefix(text, cell), wants).toBe('')
  const family = cell.family === 4 ? 4 : 6
  return prefixText(family, { ...parse(text).columns[family === 4 ? 'v4' : 'v6'] }, 0)
}

describeWith([needsSharedData()], 'hostile list lines: every cidr-syntax case', () => {
  const inputOf = (one: Case) => Buffer.from(one.input_b64 ?? '', 'base64')

  test.each(needsSharedData() === undefined ? casesOf('cidr-syntax') : [])(
    '$id $name: $expect',
    (one) => {
      const input = inputOf(one)
      const parsed = parse(
        Buffer.concat([Buffer.from('9.9.9.9\n'), input, Buffer.from('\n8.8.8.8\n')]),
      )
      const others = entriesOf(parsed).filter((entry) => !/^[98](?:\.[98]){3}\/32$/.test(entry))
      const guarded = guardList(parsed.columns, neverBlock, guardDefaults, undefined)
      if (one.expect === 'quarantine') {
        expect(guarded.setAside).toMatchObject([{ line: 2, file: 'feed.txt', list: 'feed' }])
        expect(entriesOf(guarded)).toEqual(['9.9.9.9/32', '8.8.8.8/32'])
        return
      }
      const wanted = one.expect.startsWith('error or 1.2.3.0/24') ? '1.2.3.0/24' : wantedPrefix(one)
      expect(others).toEqual(wanted === undefined ? [] : [wanted])
      const isBad = one.expect.startsWith('error') && wanted === undefined
      expect(parsed.badLines.map((bad) => bad.line)).toEqual(isBad ? [2] : [])
      expect(parsed.badLines.every((bad) => bad.reason !== '' && bad.text.length < 100)).toBe(true)
      expect(entriesOf(parsed)).toContain('8.8.8.8/32')
    },
  )

  test('a mapped entry matches the IPv4 client', () => {
    const table = referenceTable.fromColumns(parse('::ffff:1.2.3.4\n').columns)
    expect(table.lookup('1.2.3.4')?.lists).toEqual(['feed'])
  })

  test('all 28 cases are here', () => expect(casesOf('cidr-syntax')).toHaveLength(28))
})

describeWith(
  [needsSharedData()],
  'poisoned feeds: the feed-poisoning cases of parsing and loading',
  () => {
    const inputOf = (name: string): Buffer => {
      const found = casesOf('feed-poisoning').find((one) => one.name === name)
      return Buffer.from(found?.input_b64 ?? '', 'base64')
    }

    test('sneaky /9 growth: refused by change_max, entry by entry it would pass', () => {
      const before = parse('20.0.0.0/9\n30.0.0.0/9\n').columns
      const after = parse('20.0.0.0/9\n30.0.0.0/9\n40.0.0.0/9\n50.0.0.0/9\n60.0.0.0/9\n').columns
      const wide = { ...guardDefaults, coverageMax: 1 }
      expect(guardList(after, neverBlock, wide, undefined).refusal).toBe('')
      expect(guardList(after, neverBlock, wide, coverageOf(before)).refusal).toContain(
        'changes by 150 %',
      )
    })

    test('own network: the entry is set aside, the rest of the feed stays', () => {
      const own = new NeverBlockSpace([
        ...specialNetworks,
        { prefix: '62.1.2.0/24', reason: 'our own network' },
        { prefix: '2a00:1234::25', reason: 'mailhost' },
      ])
      const feed = parse('62.1.2.9\n62.1.0.0/16\n62.1.3.0/24\n2a00:1234::/32\n2a00:1235::/32\n')
      const guarded = guardList(feed.columns, own, guardDefaults, undefined)
      expect(entriesOf(guarded)).toEqual(['62.1.3.0/24', '2a00:1235::/32'])
      expect(
        guarded.setAside.map(({ prefix, line, reason }) => `${line} ${prefix} ${reason}`),
      ).toEqual([
        '1 62.1.2.9/32 touches 62.1.2.0/24: our own network',
        '2 62.1.0.0/16 touches 62.1.2.0/24: our own network',
        '4 2a00:1234::/32 touches 2a00:1234::25: mailhost',
      ])
    })

    test('empty file: refused when the last good one held something', () => {
      const before = coverageOf(parse('62.1.2.9\n').columns)
      const { columns } = parse(inputOf('empty file'))
      expect(guardList(columns, neverBlock, guardDefaults, before).refusal).toContain(
        'holds nothing',
      )
      expect(guardList(columns, neverBlock, guardDefaults, undefined).refusal).toBe('')
    })

    test('html instead of list: refused', () => {
      expect(parse(inputOf('html instead of list')).refusal).toContain(
        '1 of 1 lines cannot be read',
      )
    })

    test('gzip junk: refused with a code', () => {
      const junk = Uint8Array.of(0x1f, 0x8b, 8, 0, 0x7a, 0x7a, 0x7a, 0x7a)
      const wantCode = expect.toSatisfy((fault) => (fault as OperatingError).code === 'LIST_GZIP')
      expect(() => unpackList(junk, 'feed.gz')).toThrow(wantCode)
      expect(parse(inputOf('gzip junk')).refusal).not.toBe('')
    })

    test('CRLF and byte-order mark: read', () => {
      expect(entriesOf(parse(inputOf('CRLF + BOM')))).toEqual(['1.2.3.0/24'])
    })

    test('duplicate and overlap: a union', () => {
      const table = referenceTable.fromColumns(parse(inputOf('duplicate/overlap')).columns)
      for (const address of ['1.2.0.0', '1.2.3.4', '1.2.3.5', '1.2.255.255']) {
        expect(table.lookup(address)?.lists).toEqual(['feed'])
      }
      expect(table.lookup('1.3.0.0')).toBeUndefined()
    })
  },
)

describeWith([needsSharedData()], 'real lists', () => {
  const folder = sharedData('blocklists/firehol_2022-02-04')

  test('all 105 hazardous entries of 26 real lists are set aside, and no other', () => {
    const path = sharedData('blocklists/firehol_2022-02-04.hazardous-entries.tsv')
    const hazards = readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split('\t'))
    expect(hazards).toHaveLength(105)
    const files = [...new Set(hazards.map(([file = '']) => file))]
    const withLoopback = new NeverBlockSpace([
      ...specialNetworks,
      { prefix: '127.0.0.0/8', reason: 'loopback' },
    ])
    const found = files.flatMap((file) => {
      const parsed = parse(readFileSync(`${folder}/${file}`))
      const { setAside } = guardList(parsed.columns, withLoopback, guardDefaults, undefined)
      return setAside.map((entry) => `${file} ${entry.prefix}`)
    })
    const wanted = hazards.map(([file, prefix]) => `${file} ${prefix}`)
    expect(wanted.filter((entry) => !found.includes(entry))).toEqual([])
    expect(found.filter((entry) => !wanted.includes(entry))).toEqual([])
  })

  test('the postwhite table of 1,681 rules reads as Postfix cidr:', () => {
    const parsed = parse(readFileSync(sharedData('whitelists/postwhite_example_whitelist.cidr')))
    expect(parsed).toMatchObject({ format: 'postfix-cidr', entryCount: 1681, badLineCount: 0 })
  })

  test('the whole BGP table reads without a bad line', () => {
    const parsed = parse(gunzipSync(readFileSync(sharedData('prefixes/bart_prefixes.txt.gz'))))
    expect(parsed).toMatchObject({ entryCount: 1_062_046, badLineCount: 0, refusal: '' })
  })
})
