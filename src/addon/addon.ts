/**
 * The addon: loads the native part once per thread and gives it its types.
 *
 * A prebuilt of the installed package is taken if it fits this machine, else what `npm ci` built
 * (node-gyp-build decides). Where neither loads, `loadAddon` answers undefined and the reason is
 * kept: the slow twins serve then. Every native-backed part declares what it uses of the addon as
 * an interface of its own beside its code and takes it from here.
 */
import { createRequire } from 'node:module'
import { messageOf } from '../base/errors.ts'
import { packageRoot } from './package-root.ts'

/** The addon's exports before a part narrows them to the functions it uses. */
export type Addon = Readonly<Record<string, unknown>>

let addon: Addon | undefined
let fault: string | undefined

/** The addon, or undefined where it cannot be loaded (see `addonFault`). */
export function loadAddon(): Addon | undefined {
  if (addon !== undefined || fault !== undefined) return addon
  const require = createRequire(import.meta.url)
  try {
    addon = require('node-gyp-build')(packageRoot()) as Addon
  } catch (error) {
    fault = messageOf(error)
  }
  return addon
}

/** Why the addon did not load, or undefined. */
export function addonFault(): string | undefined {
  return fault
}
