/**
 * The buffers behind columns, for moving them to another thread without a copy.
 */
import type { FamilyColumns, PrefixColumns } from '../base/prefix-columns.ts'

/** Each buffer once. Shared buffers need no move and are left out. */
export function buffersOf(columns: PrefixColumns): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>()
  for (const { words, lengths, listIds, fileIds, lines, excluded } of [columns.v4, columns.v6]) {
    for (const { buffer } of [
      words,
      lengths,
      listIds,
      fileIds,
      lines,
      excluded,
    ] satisfies Column[]) {
      if (buffer instanceof ArrayBuffer) buffers.add(buffer)
    }
  }
  return [...buffers]
}

type Column = Exclude<FamilyColumns[keyof FamilyColumns], number>
