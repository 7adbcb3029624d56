/** What the addon must offer in these tests. */
import { addonFault } from '../../src/addon/addon.ts'

/** The value, or an error that says why the addon did not load. */
export function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error(`the addon did not load: ${addonFault()}`)
  return value
}
