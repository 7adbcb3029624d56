import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { openStore } from '../../src/store/open-store.ts'
import { Store } from '../../src/store/store.ts'

const faults = vi.hoisted(() => ({ check: '', open: '' }))
vi.mock('../../src/store/lmdb-check.ts', async (original) => {
  const real = await original<typeof import('../../src/store/lmdb-check.ts')>()
  const checkLmdbFile: typeof real.checkLmdbFile = (path, pagesMax) => {
    if (faults.check !== '') throw new Error(faults.check)
    return real.checkLmdbFile(path, pagesMax)
  }
  return { ...real, checkLmdbFile }
})
vi.mock('../../src/files/environment.ts', async (original) => {
  const real = await original<typeof import('../../src/files/environment.ts')>()
  const openEnvironment: typeof real.openEnvironment = (folder, readersMax) => {
    if (faults.open !== '') throw new Error(faults.open)
    return real.openEnvironment(folder, readersMax)
  }
  return { ...real, openEnvironment }
})

test.each([
  { label: 'a data file that may not be read', check: 'EACCES: permission denied', open: '' },
  { label: 'no descriptor left for the lock', check: '', open: 'Too many open files: locks' },
])('a store that is whole stays where it is: $label', async ({ check, open }) => {
  const folder = mkdtempSync(join(tmpdir(), 'activemx-store-'))
  const told: string[] = []
  const opened = () => {
    const root = openStore(folder, (what) => void told.push(what))
    return new Store(root, { sizeMaxOctets: 2 ** 30, report: () => {} })
  }
  const store = opened()
  store.table<number>('numbers').put('kept', 7)
  await store.close()
  const files = readdirSync(folder)
  Object.assign(faults, { check, open })
  expect(opened).toThrow(`store ${folder}: ${check}${open}; check that the folder is writable`)
  Object.assign(faults, { check: '', open: '' })
  expect(readdirSync(folder)).toEqual(files)
  const again = opened()
  expect([told, again.table<number>('numbers').get('kept')]).toEqual([['opened', 'opened'], 7])
  await again.close()
  rmSync(folder, { recursive: true })
})
