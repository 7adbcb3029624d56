import { BlockList } from 'node:net'
import { describe } from 'vitest'
import { newServerGate, type TableLookup } from '../../src/io/server-gate.ts'
import { newSocketEngine } from '../../src/io/socket-engine.ts'
import { runGateContract } from '../contract/gate.ts'

const tables: TableLookup[] = []

describe('the gate over net.Server', () => {
  runGateContract({
    newEngine: newSocketEngine,
    newGate: () => newServerGate({ tableOf: (handle) => tables[handle - 1] }),
    newTable: (classes) => tables.push(lookupOf(classes)),
  })
})

/** A lookup over IPv4 prefixes by net.BlockList. */
function lookupOf(classes: Readonly<Record<string, number>>): TableLookup {
  const lists = Object.entries(classes).map(([prefix, verdictClass]) => {
    const [address = '', bits] = prefix.split('/')
    const list = new BlockList()
    list.addSubnet(address, Number(bits), 'ipv4')
    return { list, verdictClass }
  })
  return (address) => {
    if (address.includes(':')) return 0
    return lists.find(({ list }) => list.check(address, 'ipv4'))?.verdictClass ?? 0
  }
}
