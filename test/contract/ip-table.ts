/**
 * The contract of every form of IpTable: see the head of src/tables/ip-table.ts for the meaning.
 * Tables that change: ip-table-changes.ts.
 *
 * A form that cannot keep a case by its nature skips it by title, with the reason in the report.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { IpTable, IpTableForm, PrefixEntry } from '../../src/tables/ip-table.ts'
import { ipv4Number, ipv4Text, ipv6Text, ipv6Words } from '../support/addresses.ts'
import { expectedFault } from './expected-fault.ts'
import { changeCases } from './ip-table-changes.ts'

/** Which cases a form leaves out, and why. */
export interface ContractSkip {
  readonly reason: string
  readonly cases: readonly string[]
}

/** The form under test. `newForm` gets an empty folder of its own, deleted after the case. */
export interface TableContract {
  readonly name: string
  readonly newForm: (folder: string) => IpTableForm
  readonly skip?: readonly ContractSkip[]
}

/** Runs every case against a form. */
export function runTableContract({ name, newForm, skip = [] }: TableContract): void {
  describe(`IpTable contract: ${name}`, () => {
    let folder = ''
    let form: IpTableForm
    const tables: IpTable[] = []

    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'activemx-table-'))
      form = newForm(folder)
    })
    afterEach(() => {
      for (const table of tables.splice(0)) table.close()
      rmSync(folder, { recursive: true, force: true })
    })

    const tableOf = (...entries: readonly PrefixEntry[]): IpTable => {
      const table = form.fromPrefixes(entries)
      tables.push(table)
      return table
    }
    const keep = (table: IpTable): IpTable => {
      tables.push(table)
      return table
    }
    const known = new Set<string>()
    const contractTest = (title: string, body: () => void | Promise<void>): void => {
      known.add(title)
      const skipped = skip.find((one) => one.cases.includes(title))
      if (skipped === undefined) test(title, body)
      else test.skip(`${title} (${skipped.reason})`, body)
    }

    contractTest('an empty table holds nothing', () => {
      const table = tableOf()
      expect(table.lookup('192.0.2.7')).toBeUndefined()
      expect(table.lookup('2001:db8::1')).toBeUndefined()
      expect(table.lookupClass('192.0.2.7')).toBe(0)
      expect(table.explain('192.0.2.7')).toEqual([])
      expect(table.listsOf(0)).toEqual([])
    })

    contractTest('a /24 holds its first and last address, not its neighbours (B4)', () => {
      const table = tableOf({ prefix: '192.135.140.0/24', list: 'drop' })
      for (const address of ['192.135.140.0', '192.135.140.255']) {
        expect(table.lookup(address)).toEqual({ lists: ['drop'], prefix: '192.135.140.0/24' })
      }
      for (const address of ['192.135.139.255', '192.135.139.0', '192.135.141.0']) {
        expect(table.lookup(address)).toBeUndefined()
      }
    })

    for (let length = 0; length <= 24; length++) {
      contractTest(`IPv4 /${length} holds exactly its range (B6)`, () => checkRange4(length))
    }
    for (let length = 25; length <= 32; length++) {
      contractTest(`IPv4 /${length} holds exactly its range (B6)`, () => checkRange4(length))
    }
    function checkRange4(length: number): void {
      const { table, first, last } = rangeTable(32, length, 0xc0a8_5555n)
      for (const inside of [first, last]) expect(table.lookupClass(ipv4Text(inside))).not.toBe(0)
      if (first > 0n) expect(table.lookupClass(ipv4Text(first - 1n))).toBe(0)
      if (last < 0xffff_ffffn) expect(table.lookupClass(ipv4Text(last + 1n))).toBe(0)
    }

    contractTest('every IPv6 length /0 to /128 holds exactly its range (B6)', () => {
      const inner = 0x2001_0db8_5555_aaaa_5555_aaaa_5555_aaaan
      for (let length = 0; length <= 128; length++) {
        const { table, first, last } = rangeTable(128, length, inner)
        for (const inside of [inner, last]) {
          expect(table.lookupClass(ipv6Text(inside)), `/${length}`).not.toBe(0)
        }
        if (length >= 4) expect(table.lookupClass(ipv6Text(first))).not.toBe(0)
        if (first > 0n) expect(table.lookupClass(ipv6Text(first - 1n)), `/${length}`).toBe(0)
        if (length > 0) expect(table.lookupClass(ipv6Text(last + 1n)), `/${length}`).toBe(0)
      }
    })

    function rangeTable(bits: number, length: number, inner: bigint) {
      const hostBits = (1n << BigInt(bits - length)) - 1n
      const first = inner & ~hostBits
      const text = bits === 32 ? ipv4Text(first) : ipv6Text(first)
      const table = tableOf({ prefix: `${text}/${length}`, list: 'l' })
      return { table, first, last: first | hostBits }
    }

    contractTest('IPv4 and IPv6 do not hold each other', () => {
      const table = tableOf(
        { prefix: '0.0.0.0/0', list: 'four' },
        { prefix: '2000::/3', list: 'six' },
      )
      expect(table.lookup('203.0.113.9')?.lists).toEqual(['four'])
      expect(table.lookup('2001:db8::1')?.lists).toEqual(['six'])
      expect(table.lookup('4000::1')).toBeUndefined()
    })

    contractTest('::/0 holds no IPv4 address', () => {
      const table = tableOf({ prefix: '::/0', list: 'six' })
      expect(table.lookup('2001:db8::1')?.lists).toEqual(['six'])
      expect(table.lookup('192.0.2.1')).toBeUndefined()
      expect(table.lookup('::ffff:192.0.2.1')).toBeUndefined()
    })

    contractTest('an IPv4-mapped IPv6 address is IPv4, asked and entered', () => {
      const table = tableOf(
        { prefix: '192.0.2.0/24', list: 'a' },
        { prefix: '::ffff:198.51.100.0/120', list: 'b' },
      )
      expect(table.lookup('::ffff:192.0.2.7')?.lists).toEqual(['a'])
      expect(table.lookup('::ffff:c000:207')?.lists).toEqual(['a'])
      expect(table.lookup('198.51.100.200')).toEqual({ lists: ['b'], prefix: '198.51.100.0/24' })
      const mapped = Uint32Array.of(0, 0, 0xffff, 0xc000_0207)
      const [verdictClass = 0] = table.lookupMany6(mapped, new Uint16Array(1))
      expect(table.listsOf(verdictClass)).toEqual(['a'])
    })

    contractTest('a link-local peer is found without its zone id', () => {
      const table = tableOf({ prefix: 'fe80::/10', list: 'link' })
      expect(table.lookup('fe80::1%eth0')?.lists).toEqual(['link'])
    })

    contractTest('host bits of an entry are cleared', () => {
      const table = tableOf({ prefix: '192.0.2.77/24', list: 'a' })
      expect(table.lookup('192.0.2.1')?.prefix).toBe('192.0.2.0/24')
    })

    contractTest('the class is the set of all lists that hold the address', () => {
      const table = tableOf(
        { prefix: '10.0.0.0/8', list: 'a' },
        { prefix: '10.1.0.0/16', list: 'b' },
        { prefix: '10.1.2.0/24', list: 'c' },
        { prefix: '10.1.2.0/24', list: 'a' },
      )
      expect(table.lookup('10.1.2.3')).toEqual({ lists: ['a', 'b', 'c'], prefix: '10.1.2.0/24' })
      expect(table.lookup('10.1.9.1')).toEqual({ lists: ['a', 'b'], prefix: '10.1.0.0/16' })
      expect(table.lookup('10.9.9.9')).toEqual({ lists: ['a'], prefix: '10.0.0.0/8' })
      expect(table.lookupClass('10.1.2.3')).toBe(table.lookupClass('10.1.2.200'))
      expect(table.lookupClass('10.1.2.3')).not.toBe(table.lookupClass('10.1.9.1'))
      expect(table.listsOf(table.lookupClass('10.1.9.1'))).toEqual(['a', 'b'])
    })

    contractTest('the same entry twice counts once in the class and twice in explain', () => {
      const twice = [1, 2].map((line) => ({ prefix: '192.0.2.0/24', list: 'a', file: 'f', line }))
      const table = tableOf(...twice)
      expect(table.lookup('192.0.2.0')?.lists).toEqual(['a'])
      expect(table.explain('192.0.2.0').map((origin) => origin.line)).toEqual([1, 2])
    })

    contractTest('nested, adjacent and equal prefixes form a union', () => {
      const table = tableOf(
        { prefix: '1.2.3.0/24', list: 'l' },
        { prefix: '1.2.3.4', list: 'l' },
        { prefix: '1.2.0.0/16', list: 'l' },
      )
      expect(table.lookup('1.2.3.4')?.prefix).toBe('1.2.3.4/32')
      expect(table.lookup('1.2.3.5')?.prefix).toBe('1.2.3.0/24')
      expect(table.lookup('1.2.255.255')?.prefix).toBe('1.2.0.0/16')
      expect(table.lookup('1.3.0.0')).toBeUndefined()
    })

    contractTest('an exclusion takes its range out of its own list only', () => {
      const table = tableOf(
        { prefix: '10.0.0.0/8', list: 'a' },
        { prefix: '10.1.0.0/16', list: 'a', isExcluded: true },
        { prefix: '10.1.2.0/24', list: 'a' },
        { prefix: '10.1.0.0/17', list: 'b' },
      )
      expect(table.lookup('10.0.255.255')?.lists).toEqual(['a'])
      expect(table.lookup('10.1.0.1')).toEqual({ lists: ['b'], prefix: '10.1.0.0/17' })
      expect(table.lookup('10.1.200.1')).toBeUndefined()
      expect(table.lookup('10.1.2.9')).toEqual({ lists: ['a', 'b'], prefix: '10.1.2.0/24' })
      expect(table.lookup('10.2.0.0')?.lists).toEqual(['a'])
    })

    contractTest('at equal length the exclusion wins, in any order of entry', () => {
      const listed = { prefix: '192.0.2.0/24', list: 'a' }
      const excluded = { ...listed, isExcluded: true }
      expect(tableOf(listed, excluded).lookup('192.0.2.0')).toBeUndefined()
      expect(tableOf(excluded, listed).lookup('192.0.2.0')).toBeUndefined()
    })

    contractTest('IPv6 exclusions work at every depth', () => {
      const table = tableOf(
        { prefix: '2001:db8::/32', list: 'a' },
        { prefix: '2001:db8:1::/48', list: 'a', isExcluded: true },
        { prefix: '2001:db8:1::5', list: 'a' },
      )
      expect(table.lookup('2001:db8::1')?.prefix).toBe('2001:db8::/32')
      expect(table.lookup('2001:db8:1::4')).toBeUndefined()
      expect(table.lookup('2001:db8:1::5')?.prefix).toBe('2001:db8:1::5/128')
      expect(table.lookup('2001:db8:1::6')).toBeUndefined()
    })

    contractTest('explain names list, file and line of every entry, longest first', () => {
      const table = tableOf(
        { prefix: '10.0.0.0/8', list: 'a', file: 'a.netset', line: 7 },
        { prefix: '10.1.2.3', list: 'b', file: 'b.netset', line: 1_000_000 },
        { prefix: '10.1.0.0/16', list: 'a', file: 'a.netset', line: 9 },
        { prefix: '10.1.0.0/16', list: 'c' },
        { prefix: '10.1.2.0/24', list: 'c', isExcluded: true },
      )
      expect(table.explain('10.1.2.3')).toEqual([
        { list: 'b', prefix: '10.1.2.3/32', file: 'b.netset', line: 1_000_000 },
        { list: 'a', prefix: '10.1.0.0/16', file: 'a.netset', line: 9 },
        { list: 'a', prefix: '10.0.0.0/8', file: 'a.netset', line: 7 },
      ])
      expect(table.explain('11.0.0.0')).toEqual([])
    })

    contractTest('lookupMany answers like lookupClass, address by address', () => {
      const table = tableOf(
        { prefix: '10.0.0.0/8', list: 'a' },
        { prefix: '10.1.2.0/24', list: 'b' },
        { prefix: '255.255.255.255', list: 'c' },
        { prefix: '0.0.0.0', list: 'd' },
      )
      const texts = [
        '10.1.2.3',
        '9.255.255.255',
        '10.9.9.9',
        '255.255.255.255',
        '0.0.0.0',
        '0.0.0.1',
      ]
      const addresses = Uint32Array.from(texts, ipv4Number)
      const classes = table.lookupMany(addresses, new Uint16Array(texts.length))
      expect([...classes]).toEqual(texts.map((text) => table.lookupClass(text)))
      expect(table.lookupMany(new Uint32Array(0), new Uint16Array(0))).toHaveLength(0)
    })

    contractTest('lookupMany6 answers like lookupClass, address by address', () => {
      const table = tableOf(
        { prefix: '2001:db8::/32', list: 'a' },
        { prefix: '2001:db8::1', list: 'b' },
      )
      const texts = ['2001:db8::1', '2001:db8::2', '2001:db9::', '::']
      const words = Uint32Array.from(texts.flatMap(ipv6Words))
      const classes = table.lookupMany6(words, new Uint16Array(texts.length))
      expect([...classes]).toEqual(texts.map((text) => table.lookupClass(text)))
      expect(table.listsOf(classes[0] ?? 0)).toEqual(['a', 'b'])
    })

    contractTest('a text that is no address is refused with code ADDRESS_SYNTAX', () => {
      const table = tableOf({ prefix: '0.0.0.0/0', list: 'a' })
      for (const text of [
        '',
        '1.2.3',
        '01.2.3.4',
        '1.2.3.4/32',
        '1.2.3.256',
        'g::1',
        ':::',
        'mx.example',
      ]) {
        expect(() => table.lookup(text), text).toThrow(expectedFault('ADDRESS_SYNTAX'))
      }
    })

    contractTest('an entry that is no prefix is refused with code PREFIX_SYNTAX', () => {
      for (const prefix of ['1.2.3.4/33', '2001:db8::/129', 'x', '1.2.3.4/']) {
        expect(() => tableOf({ prefix, list: 'a' })).toThrow(expectedFault('PREFIX_SYNTAX'))
        expect(() => tableOf().add(prefix, { list: 'a' })).toThrow(expectedFault('PREFIX_SYNTAX'))
      }
    })

    changeCases({
      get form() {
        return form
      },
      tableOf,
      keep,
      test: contractTest,
    })

    contractTest('a saved table answers the same after loading, provenance too', () => {
      const table = tableOf(
        { prefix: '10.0.0.0/8', list: 'a', file: 'a.netset', line: 7 },
        { prefix: '10.1.0.0/16', list: 'a', isExcluded: true },
        { prefix: '10.1.2.0/24', list: 'b', file: 'b.netset', line: 8 },
        { prefix: '2001:db8::/32', list: 'b', file: 'b.netset', line: 9 },
      )
      const path = join(folder, 'table.snapshot')
      table.save(path)
      const loaded = keep(form.load(path))
      for (const address of ['10.0.0.1', '10.1.0.1', '10.1.2.1', '2001:db8::1', '1.1.1.1']) {
        expect(loaded.lookup(address)).toEqual(table.lookup(address))
        expect(loaded.explain(address)).toEqual(table.explain(address))
      }
    })

    contractTest('a damaged, cut, foreign or missing snapshot is refused with its code', () => {
      const path = join(folder, 'table.snapshot')
      tableOf({ prefix: '10.0.0.0/8', list: 'a', file: 'a.netset', line: 7 }).save(path)
      const whole = readFileSync(path)
      const damaged = Buffer.from(whole)
      damaged[damaged.length - 2] = (damaged[damaged.length - 2] ?? 0) ^ 1
      writeFileSync(path, damaged)
      expect(() => form.load(path)).toThrow(expectedFault('SNAPSHOT_DAMAGED'))
      writeFileSync(path, whole.subarray(0, whole.length - 1))
      expect(() => form.load(path)).toThrow(expectedFault('SNAPSHOT_DAMAGED'))
      for (const content of ['', 'hello', '#!/bin/sh\n'.repeat(100)]) {
        writeFileSync(path, content)
        expect(() => form.load(path)).toThrow(/^snapshot /)
      }
      expect(() => form.load(join(folder, 'none'))).toThrow(expectedFault('SNAPSHOT_UNREADABLE'))
    })

    contractTest('sizes count compiled and added prefixes', () => {
      const table = tableOf(
        { prefix: '10.0.0.0/8', list: 'a' },
        { prefix: '2001:db8::/32', list: 'a' },
      )
      table.add('192.0.2.1', { list: 'dynamic' })
      expect(table.sizes()).toMatchObject({ prefixes4: 1, prefixes6: 1, addedPrefixes: 1 })
      expect(table.sizes().tableBytes).toBeGreaterThan(0)
    })

    test('every skipped case is a case of the contract', () => {
      expect(skip.flatMap((one) => one.cases).filter((title) => !known.has(title))).toEqual([])
    })
  })
}
