/**
 * Faults of the native table: TableError numbers (native/core/verdict_class.hpp) become
 * OperatingErrors.
 */
import { OperatingError } from '../base/errors.ts'
import { addedPrefixesMax, verdictClassesMax } from '../base/limits.ts'
import type { NativeImage } from './native-addon.ts'

/** By TableError; number 0 is no fault. */
const faults: readonly (readonly [code: string, text: string])[] = [
  ['', ''],
  [
    'TABLE_TOO_MANY_CLASSES',
    `the lists overlap in more than ${verdictClassesMax} ways: merge some lists`,
  ],
  ['TABLE_TOO_LARGE', 'the prefixes need more than 1 GiB: list wider prefixes'],
  [
    'TABLE_ADDED_FULL',
    `${addedPrefixesMax} prefixes are entered already: remove some or shorten their time`,
  ],
  ['SNAPSHOT_UNREADABLE', 'the file cannot be read'],
  ['SNAPSHOT_FOREIGN', 'the file is no snapshot of this version: write it anew'],
  ['SNAPSHOT_DAMAGED', 'the file is damaged: write it anew'],
]

/** Throws the OperatingError of a TableError other than 0; `what` begins its message. */
export function checkNative(error: number, what: string, reason?: string): void {
  if (error === 0) return
  const [code = 'TABLE_FAULT', text = ''] = faults[error] ?? []
  throw new OperatingError(code, `${what}: ${reason === undefined ? text : `${reason}; ${text}`}`)
}

/** The number of the image, or the OperatingError that says why there is none. */
export function imageOrThrow(found: NativeImage, what: string): number {
  if (found.image !== undefined) return found.image
  checkNative(found.error, what, found.reason)
  throw new OperatingError('TABLE_FAULT', `${what}: neither an image nor a fault`)
}
