/** Files of tables: those of processes that are gone are cleared away, others are left alone. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { bitmap24Form } from '../../src/tables/bitmap24-table.ts'
import { hashedForm } from '../../src/tables/hashed-table.ts'
import { newTableFile } from '../../src/tables/table-file.ts'

let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-table-file-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** The number of a process that has ended. */
function deadProcess(): number {
  return spawnSync('true').pid
}

test('what a killed process left is cleared away, what lives or is no table stays', () => {
  const dead = deadProcess()
  const left = [`hashed-${dead}-1700000000000-0.mdb`, `hashed-${dead}-1700000000000-0.mdb-lock`]
  const kept = [`bitmap24-${process.ppid}-1700000000000-3.bits`, 'notes.txt']
  for (const name of [...left, ...kept]) writeFileSync(join(folder, name), '')
  const path = newTableFile(folder, 'bitmap24', 'bits')
  expect(readdirSync(folder).sort()).toEqual([...kept].sort())
  expect(basename(path)).toMatch(new RegExp(`^bitmap24-${process.pid}-\\d+-\\d+\\.bits$`))
})

test.each([
  { name: 'bitmap24', formOf: bitmap24Form },
  { name: 'hashed', formOf: hashedForm },
])(
  '$name: a new table clears the folder and takes its own files along',
  async ({ name, formOf }) => {
    writeFileSync(join(folder, `${name}-${deadProcess()}-1700000000000-0.old`), '')
    const table = formOf(folder).fromPrefixes([{ prefix: '192.0.2.0/24', list: 'a' }])
    const files = readdirSync(folder)
    expect(files.length).toBeGreaterThan(0)
    expect(files.filter((file) => !file.startsWith(`${name}-${process.pid}-`))).toEqual([])
    table.close()
    await expect.poll(() => readdirSync(folder)).toEqual([])
  },
)
