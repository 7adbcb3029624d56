/**
 * The store of an instance while its file is damaged under it.
 */
import { mkdtempSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { dynamicSweepEveryMs, storeSweepEveryMs } from '../../src/base/limits.ts'
import { joinToRead } from '../../src/edge/native-edge.ts'
import { Learnt } from '../../src/store/learnt.ts'
import { WhitelistStore } from '../../src/store/whitelist-store.ts'

const settings = {
  sizeMaxOctets: 2 ** 30,
  verdictsMax: 1000,
  whitelistExpiresMs: 3_600_000,
  goodForMs: 3_600_000,
}
/** The two pages of meta data at its beginning. */
const metaOctets = 2 * 4096

let folder: string
let told: string[]
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-learnt-'))
  told = []
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
})
afterEach(() => {
  vi.useRealTimers()
  rmSync(folder, { recursive: true, force: true })
})

const opened = () => new Learnt(folder, settings, (what) => told.push(what))

/** Zeros in every page of the trees. */
function damage(): void {
  const path = join(folder, 'data.mdb')
  const octets = statSync(path).size - metaOctets
  writeSync(openSync(path, 'r+'), Buffer.alloc(octets), 0, octets, metaOctets)
}

test('pages that are none: told, no sweep ends the process, and the next start begins anew', async () => {
  const learnt = opened()
  learnt.goodHosts.note('192.0.2.7', Date.now())
  learnt.whitelist.add('anna@partner.example', 'learnt', Date.now())
  learnt.verdicts.put('u:a', { foundAtMs: 0, untilMs: 1e13 })
  await learnt.verdicts.flushed()
  learnt.store.flush()
  expect(told).toEqual(['opened'])

  damage()
  await vi.advanceTimersByTimeAsync(Math.max(storeSweepEveryMs, dynamicSweepEveryMs))
  expect(learnt.store.faults).toBeGreaterThan(0)
  expect(told).toContain('fault')
  expect(readdirSync(folder)).toContain('opening-condemned')
  await learnt.close()

  told = []
  const again = opened()
  expect(told).toEqual(['rebuilt', 'opened'])
  await again.close()
})

test('pages that are none, met by a thread that only reads: told, and the next start begins anew', async () => {
  const learnt = opened()
  learnt.whitelist.add('anna@partner.example', 'learnt', Date.now())
  const faults: string[] = []
  const joined = joinToRead(folder, (detail) => faults.push(detail))
  const whitelist = new WhitelistStore(joined)
  expect(whitelist.has('anna@partner.example')).toBe(true)

  damage()
  expect(whitelist.has('anna@partner.example')).toBe(false)
  expect(whitelist.place('mail.log')).toBeUndefined()
  expect(faults[0]).toMatch(/^MDB_/)
  expect(readdirSync(folder)).toContain('opening-condemned')
  await joined.close()
  await learnt.close()
})
