/**
 * The threads of listing-delay.ts: each asks the table for the address of the round until it is
 * listed, and notes when.
 */
import { workerData } from 'node:worker_threads'
import { attachNativeTable } from '../../src/tables/native-table.ts'
import { addressOf, type ListingData, nanosecondsNow } from './listing-delay.ts'

const { handle, rounds, row, seen, arrived } = workerData as ListingData
const table = attachNativeTable(handle)
const times = new BigInt64Array(seen)
const counts = new Int32Array(arrived)
for (let round = 0; round < rounds; round++) {
  const address = addressOf(round)
  Atomics.add(counts, 0, 1)
  Atomics.notify(counts, 0)
  while (table.lookupClass(address) === 0);
  times[row * rounds + round] = nanosecondsNow()
}
