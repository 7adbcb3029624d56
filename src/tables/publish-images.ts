/**
 * publishImages: compiled images become the content of native tables. A task of the CPU pool.
 *
 * Publishing numbers the classes anew, some 20 ms where lists overlap in 30,000 ways, and a new
 * table is 2 MiB of fresh memory: not for a thread that serves. Readers see a new image at their
 * next question, whichever thread swapped it.
 */
import type { IpTable, TableImage } from './ip-table.ts'
import { attachNativeTable, nativeTable } from './native-table.ts'

/** The task: images of form `prefix`, each for the table of that handle; 0 = for a new table. */
export interface PublishImagesTask {
  readonly images: readonly { readonly handle: number; readonly image: TableImage }[]
}

/**
 * Runs the task, in order; the handles of the tables, new ones to be owned by the caller
 * (ownNativeTable). Throws OperatingError TABLE_TOO_MANY_CLASSES: that table and those after it
 * stay as they were, and no new one is left over.
 */
export function publishImages({ images }: PublishImagesTask): readonly number[] {
  const made: IpTable[] = []
  let published = 0
  try {
    return images.map(({ handle, image }) => {
      // An image is used up even by a publication that fails.
      published++
      if (handle !== 0) {
        attachNativeTable(handle).replace(image)
        return handle
      }
      const table = nativeTable.open(image)
      made.push(table)
      return table.handle
    })
  } catch (fault) {
    for (const table of made) table.close()
    throw fault
  } finally {
    for (const { image } of images.slice(published)) nativeTable.discard(image)
  }
}
