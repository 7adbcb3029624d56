/**
 * The two builds of the addon, node-gyp's (install) and CMake's (developers), are of the same
 * sources.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { describeWith, needsProgram, projectRoot } from '../support/needs.ts'
import { freshCopy, run } from './fresh-copy.ts'

describeWith([needsProgram('cmake', 'g++')], 'the CMake build', () => {
  const copy = freshCopy()
  afterAll(copy.remove)

  test('exports the same names as the node-gyp build', { timeout: 600_000 }, () => {
    run(copy.path, 'npx', 'cmake-js', '-d', 'native', '-O', 'out/cmake', '-B', 'Release', 'build')
    const built = exportsOf(join(copy.path, 'out/cmake/Release/activemx.node'))
    const installed = exportsOf(
      createRequire(import.meta.url)('node-gyp-build').resolve(projectRoot),
    )
    expect(installed.length).toBeGreaterThan(0)
    expect(built).toEqual(installed)
  })
})

/** Sorted names, read in a process of its own: two copies of one addon do not share a process. */
function exportsOf(path: string): readonly string[] {
  const script = 'console.log(JSON.stringify(Object.keys(require(process.argv[1])).sort()))'
  return JSON.parse(run(projectRoot, process.execPath, '-e', script, path))
}
