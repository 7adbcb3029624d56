/**
 * The contract of IpTable where a table changes: prefixes that are entered and removed, images that
 * replace what was compiled.
 */
import { expect, vi } from 'vitest'
import { columnsOf } from '../../src/tables/entries.ts'
import type { IpTable, IpTableForm, PrefixEntry } from '../../src/tables/ip-table.ts'
import { ipv4Number } from '../support/addresses.ts'
import { expectedFault } from './expected-fault.ts'

/** What the cases of a form have at hand. */
export interface TableCases {
  /** The form of the case that runs. */
  readonly form: IpTableForm
  /** A table that is closed after the case. */
  tableOf(...entries: readonly PrefixEntry[]): IpTable
  /** Closes this one, too. */
  keep(table: IpTable): IpTable
  /** Declares a case, unless the form skips it. */
  test(title: string, body: () => void | Promise<void>): void
}

const anHour = 3_600_000

/** Declares the cases. */
export function changeCases(here: TableCases): void {
  const { tableOf, keep } = here
  here.test('add lists an address at once, remove unlists it at once', () => {
    const table = tableOf({ prefix: '192.0.2.0/24', list: 'drop' })
    table.add('198.51.100.7', { list: 'dynamic', ttlMs: anHour })
    expect(table.lookup('198.51.100.7')).toEqual({
      lists: ['dynamic'],
      prefix: '198.51.100.7/32',
    })
    expect(table.lookup('198.51.100.8')).toBeUndefined()
    expect(table.sizes().addedPrefixes).toBe(1)
    table.remove('198.51.100.7')
    expect(table.lookup('198.51.100.7')).toBeUndefined()
    expect(table.lookup('192.0.2.1')?.lists).toEqual(['drop'])
  })

  here.test('added prefixes of every size join the compiled lists', () => {
    const table = tableOf({ prefix: '10.1.0.0/16', list: 'a' })
    table.add('10.0.0.0/8', { list: 'wide' })
    table.add('10.1.2.0/24', { list: 'block' })
    table.add('2001:db8:1:2::/64', { list: 'six' })
    table.add('2001:db8::/32', { list: 'wide' })
    expect(table.lookup('10.1.2.3')?.lists).toEqual(['a', 'wide', 'block'])
    expect(table.lookup('10.1.2.3')?.prefix).toBe('10.1.2.0/24')
    expect(table.lookup('10.200.0.1')?.lists).toEqual(['wide'])
    expect(table.lookup('2001:db8:1:2::9')?.lists).toEqual(['wide', 'six'])
    expect(table.lookup('2001:db8:1:3::9')?.lists).toEqual(['wide'])
    const [verdictClass = 0] = table.lookupMany(
      Uint32Array.of(ipv4Number('10.200.0.1')),
      new Uint16Array(1),
    )
    expect(table.listsOf(verdictClass)).toEqual(['wide'])
  })

  here.test('explain shows an added entry with its end and without a file', () => {
    const table = tableOf()
    const before = Date.now()
    table.add('198.51.100.7', { list: 'dynamic', ttlMs: anHour })
    const [origin] = table.explain('198.51.100.7')
    expect(origin).toMatchObject({ list: 'dynamic', prefix: '198.51.100.7/32' })
    expect(origin?.file).toBeUndefined()
    expect(origin?.expiresMs).toBeGreaterThanOrEqual(before + anHour - 5)
    table.add('198.51.100.8', { list: 'dynamic' })
    expect(table.explain('198.51.100.8')).toEqual([{ list: 'dynamic', prefix: '198.51.100.8/32' }])
  })

  here.test('an added entry ends with its time', async () => {
    const table = tableOf()
    table.add('198.51.100.7', { list: 'dynamic', ttlMs: 30 })
    table.add('198.51.101.8', { list: 'dynamic', ttlMs: anHour })
    await vi.waitFor(() => expect(table.lookup('198.51.100.7')).toBeUndefined(), 20_000)
    expect(table.explain('198.51.100.7')).toEqual([])
    expect(table.lookup('198.51.101.8')?.lists).toEqual(['dynamic'])
  })

  here.test('an added entry keeps its time, to whatever the wall clock is set', async () => {
    const table = tableOf()
    table.add('198.51.100.7', { list: 'dynamic', ttlMs: 30 })
    table.add('198.51.101.8', { list: 'dynamic', ttlMs: anHour })
    try {
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 2 * anHour })
      expect(table.lookup('198.51.101.8')?.lists).toEqual(['dynamic'])
      const [origin] = table.explain('198.51.101.8')
      expect(origin?.expiresMs).toBeGreaterThan(Date.now() + anHour / 2)
      vi.setSystemTime(Date.now() - 4 * anHour)
      await vi.waitFor(() => expect(table.lookup('198.51.100.7')).toBeUndefined(), 10_000)
    } finally {
      vi.useRealTimers()
    }
  })

  here.test('adding again renews the time', async () => {
    const table = tableOf()
    table.add('198.51.100.7', { list: 'dynamic', ttlMs: 20 })
    table.add('198.51.100.7', { list: 'dynamic', ttlMs: anHour })
    table.add('198.51.101.8', { list: 'dynamic', ttlMs: 40 })
    await vi.waitFor(() => expect(table.lookup('198.51.101.8')).toBeUndefined(), 20_000)
    expect(table.lookup('198.51.100.7')?.lists).toEqual(['dynamic'])
  })

  here.test('remove takes an address out of compiled lists, for a time or for good', async () => {
    const table = tableOf(
      { prefix: '192.0.2.0/24', list: 'a' },
      { prefix: '192.0.0.0/16', list: 'b' },
    )
    table.remove('192.0.2.7')
    expect(table.lookup('192.0.2.7')).toBeUndefined()
    expect(table.lookup('192.0.2.8')?.lists).toEqual(['a', 'b'])
    table.remove('192.0.2.0/25', { list: 'a', ttlMs: 30 })
    expect(table.lookup('192.0.2.200')?.lists).toEqual(['a', 'b'])
    await vi.waitFor(() => expect(table.lookup('192.0.2.8')?.lists).toEqual(['a', 'b']), 20_000)
  })

  here.test('remove of one list leaves the others', () => {
    const table = tableOf(
      { prefix: '192.0.2.0/24', list: 'a' },
      { prefix: '192.0.0.0/16', list: 'b' },
    )
    table.remove('192.0.2.0/25', { list: 'a', ttlMs: anHour })
    expect(table.lookup('192.0.2.8')).toEqual({ lists: ['b'], prefix: '192.0.0.0/16' })
  })

  here.test('remove of a block takes away what was added within it, and add wins after it', () => {
    const table = tableOf()
    table.add('198.51.100.7', { list: 'dynamic' })
    table.add('198.51.100.0/24', { list: 'dynamic' })
    table.add('198.51.0.0/16', { list: 'wide' })
    table.remove('198.51.100.0/24')
    expect(table.lookup('198.51.100.7')).toBeUndefined()
    expect(table.lookup('198.51.101.7')?.lists).toEqual(['wide'])
    table.add('198.51.100.9', { list: 'dynamic' })
    expect(table.lookup('198.51.100.9')?.lists).toEqual(['dynamic'])
    table.add('198.51.100.0/24', { list: 'wide' })
    expect(new Set(table.lookup('198.51.100.9')?.lists)).toEqual(new Set(['wide', 'dynamic']))
  })

  here.test(
    'replace changes the compiled lists, keeps the added ones and old class numbers',
    () => {
      const table = tableOf({ prefix: '192.0.2.0/24', list: 'a', file: 'one', line: 1 })
      table.add('198.51.100.7', { list: 'dynamic', ttlMs: anHour })
      const oldClass = table.lookupClass('192.0.2.1')
      table.replace(
        here.form.compile(
          columnsOf([{ prefix: '203.0.113.0/24', list: 'b', file: 'two', line: 2 }]),
        ),
      )
      expect(table.lookup('192.0.2.1')).toBeUndefined()
      expect(table.explain('203.0.113.5')).toEqual([
        { list: 'b', prefix: '203.0.113.0/24', file: 'two', line: 2 },
      ])
      expect(table.lookup('198.51.100.7')?.lists).toEqual(['dynamic'])
      expect(table.listsOf(oldClass)).toEqual(['a'])
    },
  )

  here.test('an image opens as a table of its own', () => {
    const image = here.form.compile(columnsOf([{ prefix: '203.0.113.0/24', list: 'b' }]))
    expect(keep(here.form.open(image)).lookup('203.0.113.1')?.lists).toEqual(['b'])
    here.form.discard(here.form.compile(columnsOf([])))
  })

  here.test('an image of another form is refused with code TABLE_FORM', () => {
    const other = here.form.form === 'text' ? 'hashed' : 'text'
    const table = tableOf({ prefix: '192.0.2.0/24', list: 'a' })
    expect(() => table.replace({ form: other, content: undefined })).toThrow(
      expectedFault('TABLE_FORM'),
    )
    expect(table.lookup('192.0.2.1')?.lists).toEqual(['a'])
  })
}
