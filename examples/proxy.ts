/**
 * The proxy as a library, before a mailhost on port 10025: `node examples/proxy.ts` (Node ≥ 22; on
 * 20: `node dist/examples/proxy.js`). It stops by itself after a second.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createProxy } from '../src/index.ts'

const proxy = await createProxy({
  name: 'mx1.example.net',
  listen: { smtp: ['127.0.0.1:0'], workers: 1 },
  mailhost: { addresses: ['127.0.0.1:10025'], sessions_max: 10 },
  recipients: { domains: ['example.net', '*.example.org'] },
  lists: { blacklist: [{ file: 'examples/lists/blacklist.txt' }] },
  process: { user: '' },
})

console.log(`listening on ${proxy.addresses.join(', ')}`)
await sleep(1_000)
console.log(proxy.status().gate.accepted, 'connections so far')
await proxy.stop()
