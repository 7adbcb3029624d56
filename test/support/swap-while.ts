/**
 * Runs a check again and again while another thread swaps the table under it.
 */
import { once } from 'node:events'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import type { PrefixColumns } from '../../src/base/prefix-columns.ts'
import { projectRoot } from './needs.ts'
import type { SwapOrder } from './table-swapper.ts'

/**
 * Repeats `check` until `swaps` swaps between `columns` have happened around it; the table's
 * handle.
 */
export async function checkWhileSwapping(
  handle: number,
  columns: readonly PrefixColumns[],
  swaps: number,
  check: () => void,
): Promise<void> {
  const counters = new Int32Array(new SharedArrayBuffer(8))
  const order: SwapOrder = { handle, columns, counters }
  const script = pathToFileURL(`${projectRoot}/dist/test/support/table-swapper.js`)
  const worker = new Worker(script, { workerData: order })
  const ended = once(worker, 'exit')
  let fault: Error | undefined
  worker.on('error', (error) => {
    fault = error
  })
  try {
    while (Atomics.load(counters, 0) < swaps && fault === undefined) {
      check()
      await new Promise((resolve) => setImmediate(resolve))
    }
  } finally {
    Atomics.store(counters, 1, 1)
    await ended
  }
  if (fault !== undefined) throw fault
}
