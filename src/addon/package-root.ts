/**
 * The folder of the installed package, for the addon and the version, from sources and from dist/.
 */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

/** The folder of package.json: two up from src/addon/ or three from dist/src/addon/. */
export function packageRoot(): string {
  const require = createRequire(import.meta.url)
  for (const up of ['../..', '../../..']) {
    const root = fileURLToPath(new URL(up, import.meta.url))
    try {
      const name: unknown = require(`${root}/package.json`).name
      if (name === 'activemx') return root
    } catch {
      // Not this folder: the next one is tried, and the last failure is reported below.
    }
  }
  throw new Error(`no package.json of activemx above ${import.meta.url}`)
}
