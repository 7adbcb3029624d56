import { fork } from 'node:child_process'
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { MemoryVerdictCache } from '../../src/probes/verdict-cache.ts'
import { condemnStore, openStore } from '../../src/store/open-store.ts'
import { Store } from '../../src/store/store.ts'
import { VerdictStore } from '../../src/store/verdict-store.ts'
import { runVerdictCacheContract, verdictUntil } from '../contract/verdict-cache.ts'
import { projectRoot } from '../support/needs.ts'

const folders: string[] = []
function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'activemx-store-'))
  folders.push(folder)
  return folder
}
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

const never = (what: string, detail: string): never => {
  throw new Error(`${what} ${detail}`)
}

interface Opened {
  readonly cache: VerdictStore
  readonly told: string[]
  close(): Promise<void>
}

function openAt(folder: string, entriesMax = 1_000_000): Opened {
  const told: string[] = []
  const root = openStore(folder, (what, detail) => told.push(`${what}: ${detail}`))
  const store = new Store(root, { sizeMaxOctets: 2 ** 40, report: never })
  const cache = new VerdictStore(store, entriesMax)
  return { cache, told, close: () => store.close() }
}

/** A store of 300,000 octets, filled with verdicts that are over at 1000, and its reports. */
async function openFull() {
  const told: string[] = []
  const report = (what: string): void => void told.push(what)
  const store = new Store(openStore(newFolder(), report), { sizeMaxOctets: 300_000, report })
  const cache = new VerdictStore(store, 1_000_000)
  for (let index = 0; !store.isFull && index < 20_000; index++) {
    cache.put(`h:${index}:r`, verdictUntil(1000))
    if (index % 100 === 99) await cache.flushed()
  }
  expect(store.isFull).toBe(true)
  cache.put('h:new:r', verdictUntil(1000))
  expect(cache.get('h:new:r', 0)).toBeUndefined()
  return { store, cache, told }
}

runVerdictCacheContract('in memory', () => ({
  cache: new MemoryVerdictCache(100),
  close: () => Promise.resolve(),
}))
runVerdictCacheContract('in the store', () => openAt(newFolder()))

async function filledFolder(): Promise<string> {
  const folder = newFolder()
  const { cache, close } = openAt(folder)
  for (let index = 0; index < 5000; index++)
    cache.put(`u:user${index}@a.example`, verdictUntil(1e13))
  await cache.flushed()
  await close()
  return folder
}

describe('the verdict store', () => {
  test('survives a restart', async () => {
    const folder = await filledFolder()
    const { cache, told, close } = openAt(folder)
    expect(cache.size).toBe(5000)
    expect(cache.get('u:user4999@a.example', 0)).toEqual(verdictUntil(1e13))
    expect(told).toEqual([`opened: ${folder}`])
    await close()
  })

  test('a sweep takes what is over, and in a full store what would be over first', async () => {
    const { cache, close } = openAt(newFolder(), 10)
    for (let index = 0; index < 30; index++) cache.put(`u:${index}`, verdictUntil(1000 + index))
    cache.put('u:5', verdictUntil(9000))
    await cache.flushed()
    await cache.sweep(1003)
    expect(cache.size).toBeLessThanOrEqual(11)
    expect(cache.get('u:29', 0)).toBeDefined()
    expect(cache.get('u:5', 0)).toBeDefined()
    expect(cache.get('u:8', 0)).toBeUndefined()
    await close()
  })
})

describe('above size_max', () => {
  test('above size_max: after a sweep new verdicts are kept again', async () => {
    const { store, cache, told } = await openFull()
    await cache.sweep(2000)
    expect(store.isFull).toBe(false)
    cache.put('h:new:r', verdictUntil(1e13))
    await cache.flushed()
    expect(cache.get('h:new:r', 2000)).toEqual(verdictUntil(1e13))
    expect(told).toEqual(['opened', 'full', 'recovered'])
    await store.close()
  })

  test('above size_max: after a flush new verdicts are kept again', async () => {
    const { store, cache } = await openFull()
    await cache.flush('h:')
    expect([cache.size, store.isFull]).toEqual([0, false])
    await store.close()
  })

  test('above size_max: what is known ends, or is shortened', async () => {
    const { store, cache } = await openFull()
    cache.put('h:1:r', verdictUntil(0))
    cache.put('h:2:r', verdictUntil(500))
    await cache.flushed()
    expect(cache.get('h:1:r', 0)).toBeUndefined()
    expect(cache.get('h:2:r', 499)).toEqual(verdictUntil(500))
    expect(cache.get('h:2:r', 500)).toBeUndefined()
    await store.close()
  })

  test('what ends a verdict is tried again until a transaction succeeds', async () => {
    const store = new Store(
      openStore(newFolder(), () => {}),
      {
        sizeMaxOctets: 2 ** 40,
        report: () => {},
      },
    )
    const cache = new VerdictStore(store, 1_000_000)
    const other = new VerdictStore(store, 1_000_000)
    cache.put('h:1:r', verdictUntil(1000))
    await cache.flushed()
    const failing = vi.spyOn(store, 'transact').mockReturnValue(false)
    cache.put('h:1:r', verdictUntil(0))
    cache.put('h:2:r', verdictUntil(1000))
    await cache.flushed()
    expect(other.get('h:1:r', 0)).toBeDefined()
    failing.mockRestore()
    await cache.flushed()
    expect([other.get('h:1:r', 0), other.get('h:2:r', 0)]).toEqual([undefined, undefined])
    await store.close()
  })
})

test('a flush of 50,000 lets other work in between, and leaves none', async () => {
  const { cache, close } = openAt(newFolder())
  for (let index = 0; index < 50_000; index++) cache.put(`u:${index}`, verdictUntil(1e13))
  await cache.flushed()
  expect(cache.size).toBe(50_000)
  const sizes = new Set<number>()
  let isDone = false
  const flushed = cache.flush('u:').finally(() => {
    isDone = true
  })
  while (!isDone) {
    sizes.add(cache.size)
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(await flushed).toBe(50_000)
  expect(cache.size).toBe(0)
  expect(sizes.size).toBeGreaterThan(10)
  await close()
})

describe('lmdb: a damaged store is set aside, an empty one takes its place', () => {
  const cuts = [
    { label: 'cut in half', cut: (path: string, octets: number) => truncateSync(path, octets / 2) },
    { label: 'cut to one octet', cut: (path: string) => truncateSync(path, 1) },
    { label: 'cut to nothing', cut: (path: string) => truncateSync(path, 0) },
    { label: 'not a store', cut: (path: string) => writeFileSync(path, 'x'.repeat(8192)) },
  ]
  test.each(cuts)('$label', async ({ cut }) => {
    const folder = await filledFolder()
    const path = join(folder, 'data.mdb')
    cut(path, readFileSync(path).length)
    const { cache, told, close } = openAt(folder)
    expect(cache.size).toBe(0)
    expect(told[0]).toMatch(/^rebuilt: /)
    expect(readdirSync(folder).some((name) => name.includes('.damaged-'))).toBe(true)
    cache.put('u:new@a.example', verdictUntil(1e13))
    await cache.flushed()
    await close()
  })

  test('a mark of one who did not survive opening it, and one of who met a fault', async () => {
    const folder = await filledFolder()
    condemnStore(folder, 'MDB_CORRUPTED')
    const first = openAt(folder)
    expect(first.told[0]).toMatch(/^rebuilt: /)
    await first.close()
    const second = openAt(folder)
    expect(second.told[0]).toMatch(/^opened: /)
    expect(readdirSync(folder).filter((name) => name.startsWith('opening'))).toEqual([])
    await second.close()
  })

  test('files copied in the middle of commits open at an earlier commit', async () => {
    const folder = newFolder()
    const { cache, close } = openAt(folder)
    const copies: string[] = []
    for (let round = 0; round < 5; round++) {
      for (let index = 0; index < 500; index++) {
        cache.put(`u:${round}-${index}`, verdictUntil(1e13))
      }
      await new Promise((resolve) => setImmediate(resolve))
      const copy = newFolder()
      cpSync(join(folder, 'data.mdb'), join(copy, 'data.mdb'))
      copies.push(copy)
    }
    await cache.flushed()
    await close()
    for (const copy of copies) {
      const opened = openAt(copy)
      expect(opened.cache.size).toBeLessThanOrEqual(2500)
      for (const [, verdict] of opened.cache.entries('', 0, 3000)) {
        expect(verdict).toEqual(verdictUntil(1e13))
      }
      await opened.close()
    }
  })

  test('a thousand flipped bits: a miss, a rebuild, never a crash loop', async () => {
    const folder = await filledFolder()
    const path = join(folder, 'data.mdb')
    const octets = readFileSync(path)
    let state = 12345
    for (let flip = 0; flip < 1000; flip++) {
      state = (state * 1103515245 + 12345) & 0x7fffffff
      const at = state % octets.length
      octets[at] = (octets[at] ?? 0) ^ (1 << (flip & 7))
    }
    writeFileSync(path, octets)
    let isHealthy = false
    for (let start = 0; start < 3 && !isHealthy; start++) isHealthy = await runReader(folder)
    expect(isHealthy).toBe(true)
  })
})

/** Opens and reads the store in a process of its own, which damage may end. */
function runReader(folder: string): Promise<boolean> {
  const reader = fork(join(projectRoot, 'dist/test/store/reader.js'), [folder], { stdio: 'ignore' })
  return new Promise((resolve) => reader.on('exit', (code) => resolve(code === 0)))
}
