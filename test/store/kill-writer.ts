/**
 * Writes verdicts, whitelist entries and listings without end, until it is killed.
 */
import { openStore } from '../../src/store/open-store.ts'
import { VerdictStore } from '../../src/store/verdict-store.ts'
import { WhitelistStore } from '../../src/store/whitelist-store.ts'

const root = openStore(process.argv[2] ?? '', (what) => {
  if (what === 'rebuilt') process.send?.('rebuilt')
})
const onFault = (detail: string): void => {
  process.send?.(`fault: ${detail}`)
}
const verdicts = new VerdictStore(root, 5000, onFault)
const whitelist = new WhitelistStore(root, onFault)
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
  void whitelist.enter([`a${round}@b.example`], { origin: 'mined', atMs: round }, 'maillog', place)
  if (round % 5 === 0) await verdicts.sweep(0)
  await new Promise((resolve) => setImmediate(resolve))
}
