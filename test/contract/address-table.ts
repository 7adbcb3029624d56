/**
 * The contract of every form of AddressTable.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AddressTable } from '../../src/tables/address-table.ts'

/** Runs every case against a form; `newTable` gets an empty folder of its own. */
export function runAddressTableContract(
  name: string,
  newTable: (folder: string) => AddressTable,
): void {
  describe(`AddressTable contract: ${name}`, () => {
    let folder = ''
    let table: AddressTable
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'activemx-addresses-'))
      table = newTable(folder)
    })
    afterEach(() => {
      table.close()
      rmSync(folder, { recursive: true, force: true })
    })
    const source = { source: 'mined' }

    test('the listed address is held, another user of the same host is not', () => {
      expect(table.add('john@example.net', source)).toBe(true)
      expect(table.has('john@example.net')).toBe(true)
      expect(table.has('jane@example.net')).toBe(false)
      expect(table.has('john@mail.example.net')).toBe(false)
      expect(table.size).toBe(1)
    })

    test.each([
      'JOHN@Example.NET',
      '<john@example.net>',
      'john@example.net.',
      '"john"@example.net',
    ])('%s is the same address', (text) => {
      table.add('john@example.net', source)
      expect(table.has(text)).toBe(true)
      expect(table.add(text, source)).toBe(false)
      expect(table.size).toBe(1)
    })

    test('a local part that needs its quotes keeps them', () => {
      table.add('"john smith"@example.net', source)
      expect(table.has('"John Smith"@example.net')).toBe(true)
      expect(table.has('john smith@example.net')).toBe(false)
    })

    test.each(['', '@', 'john', 'john@', '@example.net', 'a@b c', `${'a'.repeat(65)}@b`, 'a\0@b'])(
      '%j is no address: never held, refused with code ADDRESS_SYNTAX',
      (text) => {
        const wantCode = expect.objectContaining({ code: 'ADDRESS_SYNTAX' })
        expect(() => table.add(text, source)).toThrow(wantCode)
        expect(table.has(text)).toBe(false)
        expect(table.remove(text)).toBe(false)
      },
    )

    test('an address ends with its time, and adding again renews it', () => {
      const wallMs = Date.now()
      table.add('old@example.net', { ...source, wallMs: wallMs - 2000, ttlMs: 1000 })
      table.add('new@example.net', { ...source, wallMs: wallMs - 2000, ttlMs: 1000 })
      table.add('new@example.net', { ...source, wallMs, ttlMs: 3_600_000 })
      expect(table.has('old@example.net')).toBe(false)
      expect(table.find('new@example.net')).toMatchObject({ seenMs: wallMs, source: 'mined' })
      expect(table.sweep()).toBe(1)
      expect([...table.entries()].map((entry) => entry.address)).toEqual(['new@example.net'])
    })

    test('removal works at once', () => {
      table.add('john@example.net', source)
      expect(table.remove('John@example.net')).toBe(true)
      expect(table.has('john@example.net')).toBe(false)
      expect(table.remove('john@example.net')).toBe(false)
    })

    test('many are entered at once, each once, faulty ones counted', () => {
      const many = ['b@example.net', 'a@example.net', 'B@example.net', 'nobody']
      expect(table.addMany(many, source)).toEqual({ added: 2, known: 1, faulty: 1 })
      expect([...table.entries()].map((entry) => entry.address)).toEqual([
        'a@example.net',
        'b@example.net',
      ])
    })
  })
}
