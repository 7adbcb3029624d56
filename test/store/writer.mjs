// Writes into a store until it is killed; says each number that is committed.
import { openStore } from '../../dist/src/store/open-store.js'
import { Store } from '../../dist/src/store/store.js'

const [path, sizeMaxOctets = '1073741824'] = process.argv.slice(2)
const report = (what, detail) => process.stdout.write(`${what} ${detail}\n`)
const store = new Store(openStore(path, report), { sizeMaxOctets: Number(sizeMaxOctets), report })
const table = store.table('numbers')
for (let n = 0; ; n++) {
  table.put('last', n)
  for (let k = 0; k < 20; k++) table.put(`n${n}-${k}`, 'x'.repeat(100 * k))
  const isWritten = store.flush()
  process.stdout.write(`${isWritten ? 'wrote' : 'failed'} ${n}\n`)
  await new Promise((resolve) => setImmediate(resolve))
}
