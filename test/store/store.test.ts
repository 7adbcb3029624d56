import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { DynamicList } from '../../src/store/dynamic-list.ts'
import { GoodHosts } from '../../src/store/good-hosts.ts'
import { checkLmdbFile } from '../../src/store/lmdb-check.ts'
import { openStore } from '../../src/store/open-store.ts'
import { Store } from '../../src/store/store.ts'
import { projectRoot } from '../support/needs.ts'

let path = ''
let reports: string[] = []
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'activemx-store-'))
  reports = []
})
afterEach(() => rmSync(path, { recursive: true, force: true }))

interface Choices {
  readonly folder?: string
  readonly sizeMaxOctets?: number
  readonly readersMax?: number
}

function newStore({ folder = path, sizeMaxOctets = 1024 ** 3, readersMax }: Choices = {}): Store {
  const report = (what: string, detail: string): void => void reports.push(`${what} ${detail}`)
  return new Store(openStore(folder, report, readersMax), { sizeMaxOctets, report })
}

async function filledStore(): Promise<void> {
  const store = newStore()
  const table = store.table<string>('numbers')
  for (let n = 0; n < 5000; n++) table.put(`k${n}`, 'v'.repeat(n % 200))
  table.put('big', 'x'.repeat(50_000))
  await store.close()
  reports = []
}

describe('table', () => {
  test('own changes are seen at once and survive a restart', async () => {
    const store = newStore()
    const table = store.table<{ n: number }>('t')
    table.put('a', { n: 1 })
    table.put('b', { n: 2 })
    table.remove('a')
    expect([table.get('a'), table.get('b'), table.has('a'), table.has('b')]).toEqual([
      undefined,
      { n: 2 },
      false,
      true,
    ])
    await store.close()
    const again = newStore()
    expect([...again.table('t').entries()]).toEqual([['b', { n: 2 }]])
    expect(reports).toEqual([`opened ${path}`, `opened ${path}`])
    await again.close()
  })

  test('keys that are too long or empty are not kept and harm nobody', async () => {
    const store = newStore()
    const table = store.table<number>('t')
    for (const key of ['', 'k'.repeat(1025), 'é'.repeat(600)]) {
      table.put(key, 1)
      expect(table.get(key)).toBeUndefined()
    }
    table.put('k'.repeat(1024), 2)
    expect(store.flush()).toBe(true)
    expect(table.count()).toBe(1)
    await store.close()
  })

  test('above size_max nothing new is kept, removing works, and it is said once', async () => {
    const store = newStore({ sizeMaxOctets: 200_000 })
    const table = store.table<string>('t')
    for (let n = 0; n < 100; n++) {
      table.put(`k${n}`, 'x'.repeat(4000))
      store.flush()
    }
    expect(table.count()).toBeLessThan(60)
    expect(store.lost()).toBeGreaterThan(40)
    expect(table.get('k99')).toBeUndefined()
    expect(reports.filter((line) => line.startsWith('full'))).toHaveLength(1)
    table.remove('k0')
    expect(store.flush()).toBe(true)
    expect(table.has('k0')).toBe(false)
    await store.close()
  })
})

describe('cases of lmdb', () => {
  test.each([
    ['half', (octets: number) => Math.floor(octets / 2)],
    ['one octet', () => 1],
    ['nothing', () => 0],
    ['a page less', (octets: number) => octets - 4096],
    ['one and a half pages', () => 6000],
  ])('lmdb-318: a file cut to %s is set aside and rebuilt, loudly', async (_, keep) => {
    await filledStore()
    const file = join(path, 'data.mdb')
    truncateSync(file, keep(statSync(file).size))
    const store = newStore()
    expect(reports[0]).toMatch(
      /^rebuilt .*data\.mdb: .*; set aside as data\.mdb\.damaged-\d+, an empty store takes its place$/,
    )
    expect(store.table('numbers').count()).toBe(0)
    expect(readdirSync(path).filter((name) => name.includes('damaged-'))).toHaveLength(1)
    await store.close()
  })

  test('lmdb-319: 1,000 turned octets: what endangers memory is found, the rest is entries less', async () => {
    await filledStore()
    const file = join(path, 'data.mdb')
    const whole = readFileSync(file)
    let found = 0
    for (let round = 0; round < 10; round++) {
      const octets = Buffer.from(whole)
      for (let n = 0; n < 1000; n++) octets[randomInt(octets.length)] = randomInt(256)
      writeFileSync(file, octets)
      try {
        checkLmdbFile(file, Number.MAX_SAFE_INTEGER)
      } catch {
        found++
      }
      const store = newStore()
      for (const [key, value] of store.table<string>('numbers').entries()) {
        expect(typeof key + typeof value).toBeTruthy()
      }
      await store.close()
    }
    expect(found).toBeGreaterThan(8)
  })

  test('lmdb-321: a copy of the files taken while commits run is some committed state', async () => {
    const child = await startWriter()
    const lines = createInterface({ input: child.stdout ?? process.stdin })
    let last = 0
    lines.on('line', (line) => {
      if (line.startsWith('wrote')) last = Number(line.slice(6))
    })
    const copies: { folder: string; from: number }[] = []
    for (let n = 0; n < 10; n++) {
      await once(lines, 'line')
      const folder = `${path}-copy${n}`
      mkdirSync(folder)
      const from = last
      copyFileSync(join(path, 'data.mdb'), join(folder, 'data.mdb'))
      copies.push({ folder, from })
    }
    await killed(child)
    for (const { folder, from } of copies) {
      const store = newStore({ folder })
      const table = store.table<number | string>('numbers')
      const state = table.get('last')
      // A copy is not one moment: it may be seen as damaged, and is set aside then.
      if (typeof state === 'number') {
        expect(state).toBeGreaterThanOrEqual(from)
        expect(table.get(`n${state}-19`)).toBe('x'.repeat(1900))
      } else expect(reports.some((line) => line.startsWith('rebuilt'))).toBe(true)
      await store.close()
      rmSync(folder, { recursive: true })
    }
  })

  test('lmdb-316: a full disk costs what is learnt, never the process; it recovers', async () => {
    const child = spawn('bash', [
      '-c',
      `ulimit -f 512; exec ${process.execPath} ${projectRoot}/test/store/writer.mjs ${path}`,
    ])
    const lines = createInterface({ input: child.stdout })
    const seen: string[] = []
    let failures = 0
    for await (const line of lines) {
      seen.push(line)
      if (line.startsWith('failed')) failures++
      if (failures === 50) break
    }
    expect(child.exitCode).toBeNull()
    expect(seen.filter((line) => line.startsWith('fault'))).toHaveLength(1)
    await killed(child)
    const wrote = seen.filter((line) => line.startsWith('wrote')).at(-1)
    const store = newStore()
    const table = store.table<number>('numbers')
    expect(`wrote ${table.get('last')}`).toBe(wrote)
    table.put('last', -1)
    expect(store.flush()).toBe(true)
    await store.close()
  })

  test('lmdb-323: more readers than slots are a fault by name, not a crash', async () => {
    const store = newStore({ readersMax: 1 })
    const table = store.table<number>('numbers')
    table.put('a', 1)
    store.flush()
    expect(table.get('a')).toBe(1)
    const script = `
      import { openStore } from './dist/src/store/open-store.js'
      import { Store } from './dist/src/store/store.js'
      const report = () => {}
      try {
        const root = openStore(process.argv[1], report, 1)
        new Store(root, { sizeMaxOctets: 1e9, report }).table('numbers').get('a')
        console.log('read')
      }
      catch (error) { console.log(error.code + ': ' + error.message) }`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, path], {
      cwd: projectRoot,
    })
    let said = ''
    for await (const text of child.stdout) said += String(text)
    expect(said).toMatch(/^STORE_(READERS|UNUSABLE): .*readers/i)
    expect(table.get('a')).toBe(1)
    await store.close()
  })
})

describe('crashes', () => {
  test('kill -9 while writing: what was said to be written is there', async () => {
    for (let round = 0; round < 5; round++) {
      const child = await startWriter()
      const lines = createInterface({ input: child.stdout ?? process.stdin })
      let last = -1
      lines.on('line', (line) => {
        if (line.startsWith('wrote')) last = Number(line.slice(6))
      })
      for (let n = randomInt(5, 40); n > 0; n--) await once(lines, 'line')
      await killed(child)
      const store = newStore()
      expect(store.table<number>('numbers').get('last')).toBeGreaterThanOrEqual(last)
      await store.close()
    }
    expect(reports.filter((line) => line.startsWith('rebuilt'))).toEqual([])
  })
})

describe('what is learnt', () => {
  test('B23: dynamic entries keep evidence and end, survive a restart, and go when they end', async () => {
    const now = 1_000_000
    const store = newStore()
    const list = new DynamicList(store)
    const entry = { source: 'feedback', reason: 'open-relay', evidence: ['250 at RCPT'] } as const
    expect(list.add({ ...entry, prefix: '192.0.2.7', addedAtMs: now, expiresAtMs: now + 10 })).toBe(
      true,
    )
    expect(list.add({ ...entry, prefix: '2001:DB8::7/64', addedAtMs: now, expiresAtMs: 0 })).toBe(
      true,
    )
    expect(list.add({ ...entry, prefix: 'x', addedAtMs: now, expiresAtMs: 0 })).toBe(false)
    await store.close()

    const again = newStore()
    const kept = new DynamicList(again)
    expect([...kept.entries(now)]).toEqual([
      { ...entry, prefix: '192.0.2.7/32', addedAtMs: now, expiresAtMs: now + 10 },
      { ...entry, prefix: '2001:db8::/64', addedAtMs: now, expiresAtMs: 0 },
    ])
    expect(kept.get('::ffff:192.0.2.7', now)?.reason).toBe('open-relay')
    expect(kept.get('192.0.2.7', now + 10)).toBeUndefined()
    expect(kept.sweep(now + 10)).toBe(1)
    expect(kept.remove('2001:db8::/64')).toBe(true)
    expect(kept.remove('2001:db8::/64')).toBe(false)
    again.flush()
    expect([...kept.entries(now)]).toEqual([])
    await again.close()
  })

  test('a sweep leaves what is being entered anew', async () => {
    const store = newStore()
    const list = new DynamicList(store)
    const good = new GoodHosts(store)
    const found = { source: 'feedback', reason: 'open-relay', evidence: [] } as const
    const one = { ...found, prefix: '192.0.2.7/32', addedAtMs: 0 }
    list.add({ ...one, expiresAtMs: 10 })
    good.note('4:c0000207', 1)
    store.flush()
    list.add({ ...one, expiresAtMs: 100 })
    good.note('4:c0000207', 50)
    expect(list.sweep(20)).toBe(0)
    good.sweep(20)
    store.flush()
    expect(list.get('192.0.2.7', 20)?.expiresAtMs).toBe(100)
    expect(good.goodAtMs('4:c0000207')).toBe(50)
    await store.close()
  })
})

async function startWriter(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [`${projectRoot}/test/store/writer.mjs`, path])
  await once(child.stdout, 'data')
  return child
}

async function killed(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}
