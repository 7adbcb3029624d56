/**
 * The tasks of the CPU pool, run by the thread that asks: where there is too little to read for a
 * thread.
 */
import type { CpuPool } from '../lists/cpu-pool.ts'
import { type ReadListTask, readList } from '../lists/read-list.ts'
import { type CompileTableTask, compileTable } from '../tables/compile-table.ts'
import { type PublishImagesTask, publishImages } from '../tables/publish-images.ts'

/** Rejects for a name that is no task. */
export const inlinePool: CpuPool = {
  async run(name, task) {
    switch (name) {
      case 'readList':
        return readList(task as ReadListTask)
      case 'compileTable':
        return compileTable(task as CompileTableTask)
      case 'publishImages':
        return publishImages(task as PublishImagesTask)
      default:
        throw new Error(`cpu pool: no task ${name}`)
    }
  },
}
