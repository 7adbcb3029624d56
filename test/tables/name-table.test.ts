import { expect, test } from 'vitest'
import { newNameTable } from '../../src/tables/name-table.ts'

const table = newNameTable([
  { name: 'mx.example.net', file: 'trusted.txt', line: 1 },
  { name: '*.example.org', file: 'trusted.txt', line: 2 },
  { name: '.example.com', file: 'trusted.txt', line: 3 },
  { name: '.deep.example.com', file: 'trusted.txt', line: 4 },
])

test.each([
  { name: 'mx.example.net', line: 1 },
  { name: 'MX.Example.NET.', line: 1 },
  { name: 'a.mx.example.net', line: undefined },
  { name: 'example.net', line: undefined },
  { name: 'example.org', line: undefined },
  { name: 'a.example.org', line: 2 },
  { name: 'a.b.example.org', line: 2 },
  { name: 'notexample.org', line: undefined },
  { name: '.example.org', line: undefined },
  { name: 'example.com', line: 3 },
  { name: 'a.example.com', line: 3 },
  { name: 'a.deep.example.com', line: 4 },
  { name: 'com', line: undefined },
  { name: '', line: undefined },
  { name: `${'a.'.repeat(200)}example.com`, line: undefined },
])('$name is held by line $line', ({ name, line }) => {
  expect(table.find(name)?.line).toBe(line)
  expect(table.has(name)).toBe(line !== undefined)
})

test('an empty table holds nothing', () => {
  expect(newNameTable([]).has('example.net')).toBe(false)
})
