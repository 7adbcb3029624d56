/**
 * Random operations: every form answers like the reference (B5). A failing run prints its seed and
 * the shortest operations that show it; ACTIVEMX_SEED repeats a run.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bitmap24Form } from '../../src/tables/bitmap24-table.ts'
import { chooseForm } from '../../src/tables/choose-form.ts'
import { columnsOf } from '../../src/tables/entries.ts'
import { hashedForm } from '../../src/tables/hashed-table.ts'
import type { IpTable, IpTableForm, PrefixEntry } from '../../src/tables/ip-table.ts'
import { referenceTable } from '../../src/tables/reference-table.ts'

type Operation =
  | { readonly kind: 'add'; readonly prefix: string; readonly list: string }
  | { readonly kind: 'remove'; readonly prefix: string; readonly list: string | undefined }
  | { readonly kind: 'replace'; readonly entries: readonly PrefixEntry[] }

const seed = Number(process.env['ACTIVEMX_SEED'] ?? Date.now() % 2 ** 31)
let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-forms-'))
  console.info(`seed ${seed}`)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Few values, so that prefixes nest, touch and meet often. */
const octet = fc.constantFrom(0, 1, 2, 127, 128, 254, 255)
const list = fc.constantFrom('a', 'b', 'c')
const address4 = fc
  .tuple(fc.constantFrom(10, 11), octet, octet, octet)
  .map((parts) => parts.join('.'))
const group = fc.constantFrom('0', '1', '8000', 'ffff')
const address6 = fc.tuple(group, group, group).map(([a, b, c]) => `2001:db8:${a}:${b}::${c}`)
const prefix4 = fc.tuple(address4, fc.integer({ min: 6, max: 32 }))
const prefix6 = fc.tuple(address6, fc.integer({ min: 30, max: 128 }))
const prefix = fc.oneof(prefix4, prefix6).map(([address, length]) => `${address}/${length}`)
const entry = fc.record({
  prefix,
  list,
  isExcluded: fc.boolean(),
  line: fc.integer({ min: 1, max: 9 }),
})
const entries = fc.array(entry, { maxLength: 30 })
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ kind: fc.constant('add' as const), prefix, list }),
  fc.record({
    kind: fc.constant('remove' as const),
    prefix,
    list: fc.option(list, { nil: undefined }),
  }),
  fc.record({ kind: fc.constant('replace' as const), entries }),
)

function apply(form: IpTableForm, table: IpTable, one: Operation): void {
  if (one.kind === 'add') table.add(one.prefix, { list: one.list })
  else if (one.kind === 'replace') table.replace(form.compile(columnsOf(one.entries)))
  else table.remove(one.prefix, one.list === undefined ? {} : { list: one.list })
}

/** What a question answers, in words that all forms share. */
function answerOf(table: IpTable, address: string) {
  const match = table.lookup(address)
  const lists = [...(match?.lists ?? [])].sort()
  const ofClass = [...table.listsOf(table.lookupClass(address))].sort()
  const origins = table.explain(address).map((one) => `${one.list} ${one.prefix} ${one.line}`)
  return { lists, ofClass, prefix: match?.prefix, origins: origins.sort() }
}

function checkAgreement(
  newForm: () => IpTableForm,
  toReference: (one: Operation) => Operation,
  runs: number,
): void {
  const property = fc.property(
    entries,
    fc.array(operation, { maxLength: 12 }),
    fc.array(fc.oneof(address4, address6), { minLength: 20, maxLength: 40 }),
    (first, operations, addresses) => {
      const form = newForm()
      const all: readonly Operation[] = [{ kind: 'replace', entries: first }, ...operations]
      const table = form.fromPrefixes([])
      const reference = referenceTable.fromPrefixes([])
      try {
        for (const one of all) {
          apply(form, table, one)
          apply(referenceTable, reference, toReference(one))
        }
        for (const address of addresses) {
          expect(answerOf(table, address), address).toEqual(answerOf(reference, address))
        }
      } finally {
        table.close()
      }
    },
  )
  fc.assert(property, { seed, numRuns: runs })
}

/** The operation as bitmap24 understands it: nothing in IPv4 is longer than /24. */
function widened(one: Operation): Operation {
  if (one.kind !== 'replace') return { ...one, prefix: wide(one.prefix) }
  const kept = one.entries.filter((each) => !(each.isExcluded && wide(each.prefix) !== each.prefix))
  return { ...one, entries: kept.map((each) => ({ ...each, prefix: wide(each.prefix) })) }
}

function wide(prefix: string): string {
  const [address = '', length] = prefix.split('/')
  return address.includes('.') && Number(length) > 24 ? `${address}/24` : prefix
}

test('bitmap24: an entry that lifts an exclusion brings back what stood below it', () => {
  const prefix = '10.0.0.0/6'
  const entries = [false, true].map((isExcluded) => ({ prefix, list: 'c', isExcluded, line: 1 }))
  const answers = [bitmap24Form(join(folder, 'lifted')), referenceTable].map((form) => {
    const table = form.fromPrefixes(entries)
    table.add(prefix, { list: 'c' })
    const answer = answerOf(table, '10.0.0.0')
    table.close()
    return answer
  })
  expect(answers[0]).toEqual(answers[1])
  expect(answers[0]?.origins).toHaveLength(2)
})

describe('forms agree with the reference on random operations (B5)', () => {
  test('prefix, native or its stand-in', () =>
    checkAgreement(
      () => chooseForm({ name: 'prefix', folder: '' }),
      (one) => one,
      300,
    ))
  test('hashed', () =>
    checkAgreement(
      () => hashedForm(join(folder, 'hashed')),
      (one) => one,
      25,
    ))
  test('bitmap24, in blocks of /24', () =>
    checkAgreement(() => bitmap24Form(join(folder, 'bitmap24')), widened, 25))
  test.each([
    { name: 'text', toReference: (one: Operation) => one },
    { name: 'hashed', toReference: (one: Operation) => one },
    { name: 'bitmap24', toReference: widened },
  ] as const)('$name with its native mirror', ({ name, toReference }) =>
    checkAgreement(() => chooseForm({ name, folder: join(folder, name) }), toReference, 25),
  )
  test('the reference agrees with a list of rules asked one by one', () => {
    fc.assert(fc.property(entries, address4, againstRules), { seed, numRuns: 500 })
  })
})

/** The rule of one list, spelled out: the longest entry around the address decides. */
function againstRules(all: readonly PrefixEntry[], address: string): void {
  const table = referenceTable.fromPrefixes(all)
  const holding = ['a', 'b', 'c'].filter((name) => {
    const around = all.filter((one) => one.list === name && contains(one.prefix, address))
    const longest = Math.max(...around.map((one) => Number(one.prefix.split('/')[1])))
    const deciding = around.filter((one) => one.prefix.endsWith(`/${longest}`))
    return around.length > 0 && deciding.every((one) => one.isExcluded !== true)
  })
  expect([...(table.lookup(address)?.lists ?? [])].sort()).toEqual(holding)
}

function contains(prefix: string, address: string): boolean {
  const [base = '', length] = prefix.split('/')
  if (base.includes(':')) return false
  const bits = (text: string) =>
    text
      .split('.')
      .map((part) => Number(part).toString(2).padStart(8, '0'))
      .join('')
  return bits(base).slice(0, Number(length)) === bits(address).slice(0, Number(length))
}
