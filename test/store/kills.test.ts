/**
 * Show 5: killed at random while learning, the store opens, and nothing wrong is in it.
 *
 * 100 kills in CI, 10 elsewhere; ACTIVEMX_KILLS=1000 for the full figure.
 */
import { fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openStore } from '../../src/store/open-store.ts'
import { Store } from '../../src/store/store.ts'
import { VerdictStore } from '../../src/store/verdict-store.ts'
import { WhitelistStore } from '../../src/store/whitelist-store.ts'
import { projectRoot } from '../support/needs.ts'

const kills = Number(process.env['ACTIVEMX_KILLS'] ?? (process.env['CI'] === 'true' ? 100 : 10))

test(
  `Show 5: killed ${kills} times while it writes, the store opens whole`,
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'activemx-kills-'))
    const messages: string[] = []
    let wasPlace = -1
    for (let kill = 0; kill < kills; kill++) {
      messages.push(...(await writeAndKill(folder, 20 + ((kill * 37) % 120))))
      const place = await checkStore(folder)
      expect(place).toBeGreaterThanOrEqual(0)
      wasPlace = Math.max(wasPlace, place)
    }
    expect(messages.filter((message) => message !== 'writing')).toEqual([])
    expect(wasPlace).toBeGreaterThan(0)
    rmSync(folder, { recursive: true, force: true })
  },
  60_000 + kills * 5_000,
)

/** Resolves with what the writer said before it died. */
function writeAndKill(folder: string, afterMs: number): Promise<string[]> {
  const messages: string[] = []
  const writer = fork(join(projectRoot, 'dist/test/store/kill-writer.js'), [folder])
  return new Promise((resolve) => {
    writer.on('message', (message) => {
      messages.push(String(message))
      if (message === 'writing') setTimeout(() => writer.kill('SIGKILL'), afterMs)
    })
    writer.on('exit', () => resolve(messages))
  })
}

/**
 * Opens the store as the next start would, and reads every entry; resolves with the mining place.
 */
async function checkStore(folder: string): Promise<number> {
  const told: string[] = []
  const report = (what: string): void => void told.push(what)
  const store = new Store(openStore(folder, report), { sizeMaxOctets: 2 ** 40, report })
  const verdicts = new VerdictStore(store, 5000)
  const whitelist = new WhitelistStore(store)
  for (const [key, verdict] of verdicts.entries('', 0, 100_000)) {
    expect(`u:${verdict.finding?.evidence[0]}`).toBe(key)
    expect(verdict.untilMs - 1e13).toBe(verdict.foundAtMs)
  }
  const place = whitelist.place('maillog')?.offset ?? 0
  // One transaction: what the place covers is in the list.
  expect(whitelist.has(`a${place}@b.example`) || place === 0).toBe(true)
  expect(told).toEqual(['opened'])
  await store.close()
  return place
}
