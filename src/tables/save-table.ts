/**
 * saveTable: a live native table is written as a snapshot. A task of the CPU pool.
 *
 * From then on files and lines of its entries lie there and no longer in memory.
 */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { attachNativeTable } from './native-table.ts'

/** The task. */
export interface SaveTableTask {
  readonly handle: number
  /** The snapshot; its folder is made when missing. */
  readonly path: string
}

/** Runs the task. Throws OperatingError SNAPSHOT_UNWRITABLE, or the fault of making the folder. */
export function saveTable({ handle, path }: SaveTableTask): void {
  mkdirSync(dirname(path), { recursive: true })
  attachNativeTable(handle).save(path)
}
