import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { AddressTable, IpTable } from '../src/index.ts'
import { projectRoot } from './support/needs.ts'

test('the library gives tables of IP addresses and of e-mail addresses', () => {
  const table = IpTable.fromPrefixes([{ prefix: '192.0.2.0/24', list: 'drop' }])
  expect(table.lookup('::ffff:192.0.2.7')).toEqual({ lists: ['drop'], prefix: '192.0.2.0/24' })
  table.close()
  const addresses = AddressTable.inMemory()
  addresses.add('john@example.net', { source: 'mined' })
  expect(addresses.has('JOHN@example.net')).toBe(true)
  addresses.close()
})

test.each([
  { example: 'ip-table', says: "lists: [ 'drop' ]" },
  { example: 'address-table', says: 'true' },
  { example: 'proxy', says: 'listening on 127.0.0.1:' },
])('the example $example runs', ({ example, says }) => {
  const path = `${projectRoot}/dist/examples/${example}.js`
  expect(execFileSync(process.execPath, [path], { encoding: 'utf8' })).toContain(says)
})
