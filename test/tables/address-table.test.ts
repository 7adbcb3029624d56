import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openAddressTable } from '../../src/store/stored-address-table.ts'
import { newAddressTable } from '../../src/tables/address-table.ts'
import { runAddressTableContract } from '../contract/address-table.ts'

runAddressTableContract('in memory', newAddressTable)
runAddressTableContract('stored (LMDB)', (folder) =>
  openAddressTable(join(folder, 'addresses.mdb')),
)

test('a stored table is there after closing and opening, and for a second opener', () => {
  const folder = mkdtempSync(join(tmpdir(), 'activemx-addresses-'))
  const path = join(folder, 'addresses.mdb')
  const first = openAddressTable(path)
  first.add('john@example.net', { source: 'mined', ttlMs: 3_600_000 })
  const beside = openAddressTable(path)
  expect(beside.has('john@example.net')).toBe(true)
  beside.close()
  first.close()
  const second = openAddressTable(path)
  expect(second.find('john@example.net')).toMatchObject({ source: 'mined' })
  second.close()
  rmSync(folder, { recursive: true, force: true })
})
