/**
 * IP tables as a library: `node examples/ip-table.ts` (Node ≥ 22; on 20: `node
 * dist/examples/ip-table.js`).
 */
import { IpTable } from '../src/index.ts'

const table = IpTable.fromPrefixes([
  { prefix: '192.0.2.0/24', list: 'drop', file: 'a.netset', line: 7 },
  { prefix: '192.0.2.99', list: 'drop', isExcluded: true },
  { prefix: '2001:db8::/32', list: 'six' },
])

console.log(table.lookup('192.0.2.7')) // { lists: ['drop'], prefix: '192.0.2.0/24' }
console.log(table.lookup('192.0.2.99')) // undefined: excluded
console.log(table.lookup('::ffff:192.0.2.7')) // the same as 192.0.2.7

table.add('198.51.100.7', { list: 'dynamic', ttlMs: 3_600_000 })
const addresses = Uint32Array.of(0xc0000207, 0xc6336407, 0x01010101)
const classes = table.lookupMany(addresses, new Uint16Array(addresses.length))
console.log(Array.from(classes, (verdictClass) => table.listsOf(verdictClass)))

console.log(table.explain('192.0.2.7')) // list, prefix, file, line
table.remove('198.51.100.7')
table.close()
