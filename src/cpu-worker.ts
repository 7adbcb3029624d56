/**
 * The entry of the threads for CPU work: each export is a task by name (src/cpu-pool.ts).
 *
 * Results that hold columns move their buffers to the asking thread instead of copying them.
 */
import { transferableSymbol, valueSymbol } from 'piscina'
import { buffersOf } from './lists/column-buffers.ts'
import { type ReadListResult, type ReadListTask, readList as read } from './lists/read-list.ts'

export { compileTable } from './tables/compile-table.ts'

/** Reads one list; the result's columns are moved. */
export function readList(task: ReadListTask): object {
  const result = read(task)
  return moved(result, buffersOf(result.columns))
}

function moved(value: ReadListResult, buffers: readonly ArrayBuffer[]): object {
  return { [transferableSymbol]: buffers, [valueSymbol]: value }
}
