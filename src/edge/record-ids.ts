/**
 * Ids of verdict records made in serving threads: those of the gate with one character more, which
 * names the thread, so that no two parts of an instance make the same.
 */
import { newRefusalIds } from '../io/refusal-id.ts'

/** Makes the ids of a thread. */
export function newRecordIds(thread: number): (wallMs: number) => string {
  const newId = newRefusalIds()
  const mark = (thread % 256).toString(32)
  return (wallMs) => newId(wallMs) + mark
}
