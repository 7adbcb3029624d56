import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Bitmap24File } from '../../src/tables/bitmap24-file.ts'
import { bitmap24Form } from '../../src/tables/bitmap24-table.ts'
import { chooseForm } from '../../src/tables/choose-form.ts'
import { runTableContract } from '../contract/ip-table.ts'
import { ipv4Number } from '../support/addresses.ts'

const coarser = [
  'nested, adjacent and equal prefixes form a union',
  'explain names list, file and line of every entry, longest first',
  'add lists an address at once, remove unlists it at once',
  'explain shows an added entry with its end and without a file',
  'remove takes an address out of compiled lists, for a time or for good',
]
const longer = Array.from({ length: 8 }, (_, at) => `IPv4 /${25 + at} holds exactly its range (B6)`)

for (const { name, formIn } of [
  { name: 'bitmap24', formIn: bitmap24Form },
  {
    name: 'bitmap24, mirrored',
    formIn: (folder: string) => chooseForm({ name: 'bitmap24', folder }),
  },
]) {
  runTableContract({
    name,
    newForm: (folder) => formIn(join(folder, 'bitmap24')),
    skip: [{ reason: 'a bit refuses the whole /24', cases: [...longer, ...coarser] }],
  })
}

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-bitmap24-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('the /24 bitmap file (B4)', () => {
  const inside = ['192.135.140.0', '192.135.140.255', '192.135.140.77']
  const outside = ['192.135.139.0', '192.135.139.255', '192.135.141.0', '192.135.141.255']

  test('192.135.140.x is refused, .139.x and .141.x are not, and so after a restart (B4)', () => {
    const path = join(folder, 'restart.bits')
    Bitmap24File.create(path)
    const first = Bitmap24File.open(path)
    first.set(ipv4Number('192.135.140.9'))
    first.close()
    const second = Bitmap24File.open(path)
    expect(inside.map((address) => second.has(ipv4Number(address)))).toEqual([true, true, true])
    expect(outside.some((address) => second.has(ipv4Number(address)))).toBe(false)
    second.clear(ipv4Number('192.135.140.0'))
    second.close()
    expect(readFileSync(path).some((octet) => octet !== 0)).toBe(false)
  })

  test('a block is one bit at octet number ÷ 8, the most significant first', () => {
    const path = join(folder, 'address.bits')
    Bitmap24File.create(path)
    const bitmap = Bitmap24File.open(path)
    bitmap.set(ipv4Number('0.0.0.1'))
    bitmap.set(ipv4Number('0.0.9.1'))
    bitmap.set(ipv4Number('255.255.255.1'))
    bitmap.close()
    const octets = readFileSync(path)
    expect(octets).toHaveLength(2 * 1024 * 1024)
    expect([octets[0], octets[1], octets[octets.length - 1]]).toEqual([0x80, 0x40, 0x01])
  })

  test('a file of another size is refused with its code', () => {
    const path = join(folder, 'short.bits')
    writeFileSync(path, 'short')
    const wantCode = expect.objectContaining({ code: 'BITMAP_UNREADABLE' })
    expect(() => Bitmap24File.open(path)).toThrow(wantCode)
    expect(() => Bitmap24File.open(join(folder, 'none'))).toThrow(wantCode)
  })
})

describe('the bitmap24 form refuses by /24 (B4, B5)', () => {
  const form = () => bitmap24Form(join(folder, 'form'))

  test('an entry for one host refuses its whole /24, and no other block (B4)', () => {
    const table = form().fromPrefixes([
      { prefix: '192.135.140.7', list: 'drop', file: 'f', line: 3 },
    ])
    const want = { lists: ['drop'], prefix: '192.135.140.0/24' }
    expect(table.lookup('192.135.140.0')).toEqual(want)
    expect(table.lookup('192.135.140.255')).toEqual(want)
    expect(table.lookup('192.135.139.255')).toBeUndefined()
    expect(table.lookup('192.135.141.0')).toBeUndefined()
    expect(table.explain('192.135.140.200')).toEqual([
      { list: 'drop', prefix: '192.135.140.0/24', file: 'f', line: 3 },
    ])
    table.close()
  })

  test('an added host refuses its /24, removing any host of it lets all pass', () => {
    const table = form().fromPrefixes([])
    table.add('198.51.100.7', { list: 'dynamic' })
    expect(table.lookup('198.51.100.200')?.lists).toEqual(['dynamic'])
    expect(table.lookup('198.51.101.7')).toBeUndefined()
    table.remove('198.51.100.9')
    expect(table.lookup('198.51.100.7')).toBeUndefined()
    table.close()
  })

  test('an exclusion of a /24 or more clears bits, a longer one is left out', () => {
    const table = form().fromPrefixes([
      { prefix: '10.0.0.0/8', list: 'a' },
      { prefix: '10.1.0.0/16', list: 'a', isExcluded: true },
      { prefix: '10.1.5.0/24', list: 'b' },
      { prefix: '10.2.3.4', list: 'a', isExcluded: true },
    ])
    expect(table.lookup('10.0.255.1')?.lists).toEqual(['a'])
    expect(table.lookup('10.1.4.1')).toBeUndefined()
    expect(table.lookup('10.1.5.1')?.lists).toEqual(['b'])
    expect(table.lookup('10.2.3.4')?.lists).toEqual(['a'])
    table.close()
  })
})
