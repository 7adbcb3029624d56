/**
 * A worker thread that swaps a table every 10 ms between two images: the same prefixes, the lists
 * learnt in another order, so that nothing but the answers is the same. Started by swap-while.ts.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { workerData } from 'node:worker_threads'
import type { PrefixColumns } from '../../src/base/prefix-columns.ts'
import { attachNativeTable, nativeTable, repeatImage } from '../../src/tables/native-table.ts'

/** What the worker is given. `counters`: [swaps done, 1 = stop]. */
export interface SwapOrder {
  readonly handle: number
  readonly columns: readonly PrefixColumns[]
  readonly counters: Int32Array
}

const { handle, columns, counters } = workerData as SwapOrder
const table = attachNativeTable(handle)
const images = columns.map((one) => nativeTable.compile(one))
for (let swap = 0; Atomics.load(counters, 1) === 0; swap++) {
  const image = images[swap % images.length]
  if (image !== undefined) table.replace(repeatImage(image))
  Atomics.add(counters, 0, 1)
  await wait(10)
}
for (const image of images) nativeTable.discard(image)
