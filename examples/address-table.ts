/**
 * E-mail addresses as a library: `node examples/address-table.ts` (Node ≥ 22; on 20:
 * dist/examples/).
 */
import { AddressTable } from '../src/index.ts'

// AddressTable.open('var/whitelist.mdb') keeps millions of them and outlives the process.
const table = AddressTable.inMemory()
table.add('John@Example.NET', { source: 'mined', ttlMs: 90 * 86_400_000 })
console.log(table.has('<john@example.net>')) // true
console.log(table.find('john@example.net')) // when it was seen, when it ends, who said so
table.remove('john@example.net')
table.close()
