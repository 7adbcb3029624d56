/**
 * The entry of the threads for CPU work: each export is a task by name (src/cpu-pool.ts).
 *
 * Results that hold columns move to the asking thread in one buffer a list: each buffer more costs
 * that thread 20 µs. On Linux priority is a matter of the thread, so only these threads give way to
 * those that serve.
 */
import { constants, getPriority, setPriority } from 'node:os'
import { move, transferableSymbol, valueSymbol } from 'piscina'
import { packedColumns } from './base/prefix-columns.ts'
import { buffersOf } from './lists/column-buffers.ts'
import { type ReadListResult, type ReadListTask, readList as read } from './lists/read-list.ts'

export { compileTable } from './tables/compile-table.ts'
export { loadImage } from './tables/native-table.ts'
export { publishImages } from './tables/publish-images.ts'
export { saveTable } from './tables/save-table.ts'

/** Steps of 19 behind the serving threads: a quarter of their share where both want the core. */
const niceSteps = 6
giveWay()

/** Reads one list; the result's columns are moved. */
export function readList(task: ReadListTask): unknown {
  const found: ReadListResult = read(task)
  const result = { ...found, columns: packedColumns(found.columns) }
  const buffers = buffersOf(result.columns)
  return move({ [transferableSymbol]: buffers, [valueSymbol]: result })
}

/**
 * From the niceness that the service has: nobody but root may go below it again. A system that
 * forbids it all the same has its work done at equal priority.
 */
function giveWay(): void {
  try {
    setPriority(Math.min(constants.priority.PRIORITY_LOW, getPriority() + niceSteps))
  } catch {
    // Said nowhere: a hint to the scheduler, no promise.
  }
}
