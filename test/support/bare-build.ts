/**
 * This build without its addon, as where none fits the machine: the twins serve.
 */
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { projectRoot } from './needs.ts'

/** A command line whose `node-gyp-build` finds nothing. */
export interface BareBuild {
  readonly program: string
  remove(): void
}

/** Copies what is compiled and links what is installed. */
export function bareBuild(): BareBuild {
  const folder = mkdtempSync(join(tmpdir(), 'activemx-bare-'))
  for (const name of ['dist', 'package.json']) {
    cpSync(join(projectRoot, name), join(folder, name), { recursive: true })
  }
  symlinkSync(join(projectRoot, 'node_modules'), join(folder, 'node_modules'))
  return {
    program: join(folder, 'dist/src/cli/activemx.js'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
