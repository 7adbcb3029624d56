import { BlockList, isIP } from 'node:net'
import { describe } from 'vitest'
import { newServerGate, type TableLookup } from '../../src/io/server-gate.ts'
import { newSocketEngine } from '../../src/io/socket-engine.ts'
import { runGateContract } from '../contract/gate.ts'

const tables: TableLookup[] = []

describe('the gate over net.Server', () => {
  runGateContract({
    newEngine: newSocketEngine,
    newGate: () => newServerGate({ tableOf: (handle) => tables[handle - 1] }),
    newTable: (...prefixes) => {
      const classOf = lookupOf(prefixes)
      return { handle: tables.push(classOf), classOf }
    },
  })
})

/** A lookup over IPv4 prefixes by net.BlockList: the class is the prefix's number from 1. */
function lookupOf(prefixes: readonly string[]): TableLookup {
  const lists = prefixes.map((prefix) => {
    const [address = '', bits] = prefix.split('/')
    const list = new BlockList()
    list.addSubnet(address, Number(bits), 'ipv4')
    return list
  })
  return (address) => {
    // As the product's tables: what is no address is a bug.
    if (isIP(address) === 0) throw new Error(`not an address: ${JSON.stringify(address)}`)
    if (address.includes(':')) return 0
    return lists.findIndex((list) => list.check(address, 'ipv4')) + 1
  }
}
