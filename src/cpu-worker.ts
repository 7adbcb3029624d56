/**
 * The entry of the threads for CPU work: each export is a task by name (src/cpu-pool.ts).
 *
 * Results that hold columns move their buffers to the asking thread instead of copying them.
 */
import { move, transferableSymbol, valueSymbol } from 'piscina'
import { buffersOf } from './lists/column-buffers.ts'
import { type ReadListResult, type ReadListTask, readList as read } from './lists/read-list.ts'

export { compileTable } from './tables/compile-table.ts'

/** Reads one list; the result's columns are moved. */
export function readList(task: ReadListTask): unknown {
  const result: ReadListResult = read(task)
  const buffers = buffersOf(result.columns)
  return move({ [transferableSymbol]: buffers, [valueSymbol]: result })
}
