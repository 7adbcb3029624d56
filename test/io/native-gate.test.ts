import { describe } from 'vitest'
import { newNativeEngine } from '../../src/io/native-engine.ts'
import { newNativeGate } from '../../src/io/native-gate.ts'
import { type NativeIpTable, nativeTable } from '../../src/tables/native-table.ts'
import { runGateContract } from '../contract/gate.ts'
import { present } from '../contract/present.ts'

/** Held for the length of the run: a table that is collected is forgotten. */
const tables: NativeIpTable[] = []

describe('the native gate with the native engine', () => {
  runGateContract({
    newEngine: (handler, options) => present(newNativeEngine(handler, options)),
    newGate: () => present(newNativeGate()),
    newTable: (...prefixes) => {
      const table = nativeTable.fromPrefixes(
        prefixes.map((prefix, at) => ({ prefix, list: `list ${at}` })),
      )
      tables.push(table)
      return { handle: table.handle, classOf: (address) => table.lookupClass(address) }
    },
  })
})
