/**
 * Opens the store of a folder and reads and writes it, in a process that damage may end.
 * Exit code 0: it served, with what it could read or with an empty store.
 */
import { condemnStore, openStore } from '../../src/store/open-store.ts'
import { Store } from '../../src/store/store.ts'
import { VerdictStore } from '../../src/store/verdict-store.ts'

const folder = process.argv[2] ?? ''
const root = openStore(folder, () => undefined)
const condemn = (reason: string): void => condemnStore(folder, reason)
const store = new Store(root, { sizeMaxOctets: 2 ** 40, report: () => undefined, condemn })
const cache = new VerdictStore(store, 1_000_000)
for (let index = 0; index < 5000; index++) cache.get(`u:user${index}@a.example`, 0)
cache.put('u:new@a.example', { foundAtMs: 0, untilMs: 1e13 })
const isKept = cache.get('u:new@a.example', 0) !== undefined
process.exit(isKept ? 0 : 1)
