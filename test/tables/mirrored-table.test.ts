/**
 * Forms in JavaScript with their native mirror keep the contract of every form, and are what the
 * native gate asks.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { chooseForm } from '../../src/tables/choose-form.ts'
import { columnsOf } from '../../src/tables/entries.ts'
import type { IpTable } from '../../src/tables/ip-table.ts'
import { attachNativeTable } from '../../src/tables/native-table.ts'
import { runTableContract } from '../contract/ip-table.ts'

for (const name of ['text', 'hashed'] as const) {
  runTableContract({
    name: `${name}, mirrored`,
    newForm: (folder) => chooseForm({ name, folder: `${folder}/${name}` }),
  })
}

describe.each(['text', 'hashed', 'bitmap24'] as const)('the mirror of form %s', (name) => {
  let folder = ''
  let table: IpTable | undefined
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'activemx-mirror-'))
  })
  afterEach(() => {
    table?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  test('answers by its handle what the form holds, through every change', () => {
    const form = chooseForm({ name, folder })
    const kept = form.fromPrefixes([{ prefix: '192.135.140.0/24', list: 'a' }])
    table = kept
    const mirror = attachNativeTable(kept.handle)
    const listsOf = (address: string) => mirror.listsOf(mirror.lookupClass(address))
    expect(kept.form).toBe(name)
    expect([listsOf('192.135.140.0'), listsOf('192.135.140.255')]).toEqual([['a'], ['a']])
    expect([listsOf('192.135.139.255'), listsOf('192.135.141.0')]).toEqual([[], []])
    kept.add('198.51.100.7', { list: 'dynamic' })
    const neighbour = name === 'bitmap24' ? ['dynamic'] : []
    expect([listsOf('198.51.100.7'), listsOf('198.51.100.8')]).toEqual([['dynamic'], neighbour])
    kept.remove('198.51.100.7', { list: 'dynamic' })
    expect([listsOf('198.51.100.7'), listsOf('198.51.100.8')]).toEqual([[], []])
    kept.replace(form.compile(columnsOf([{ prefix: '203.0.113.9', list: 'b' }])))
    expect([listsOf('192.135.140.0'), listsOf('203.0.113.9')]).toEqual([[], ['b']])
    expect(kept.lookup('203.0.113.9')?.lists).toEqual(['b'])
  })
})
