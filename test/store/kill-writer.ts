/**
 * Writes verdicts, whitelist entries and listings without end, until it is killed.
 */
import { openStore } from '../../src/store/open-store.ts'
import { Store } from '../../src/store/store.ts'
import { VerdictStore } from '../../src/store/verdict-store.ts'
import { WhitelistStore } from '../../src/store/whitelist-store.ts'

const report = (what: string, detail: string): void => {
  if (what !== 'opened') process.send?.(`${what}: ${detail}`)
}
const root = openStore(process.argv[2] ?? '', report)
const store = new Store(root, { sizeMaxOctets: 2 ** 40, report })
const verdicts = new VerdictStore(store, 5000)
const whitelist = new WhitelistStore(store)
process.send?.('writing')
for (let round = 0; ; round++) {
  for (let index = 0; index < 100; index++) {
    const user = `user${(round * 100 + index) % 20_000}`
    const finding = {
      layer: 'user',
      outcome: 'negative',
      name: 'user-exists',
      evidence: [user],
    } as const
    verdicts.put(`u:${user}`, { finding, foundAtMs: round, untilMs: 1e13 + round })
  }
  const place = { inode: 1, offset: round, head: 'x' }
  whitelist.enter([`a${round}@b.example`], 'maillog', place, round)
  if (round % 5 === 0) await verdicts.sweep(0)
  await new Promise((resolve) => setImmediate(resolve))
}
