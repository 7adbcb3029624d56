/**
 * A fresh copy of the project: what git tracks, with this checkout's node_modules, in a folder of
 * its own, so that a test may build there without touching the addon that other tests are using.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { projectRoot } from '../support/needs.ts'

/** Makes the copy and returns its path; `remove` it afterwards. */
export function freshCopy(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'activemx-copy-'))
  for (const file of trackedFiles()) {
    mkdirSync(dirname(join(path, file)), { recursive: true })
    cpSync(join(projectRoot, file), join(path, file))
  }
  cpSync(join(projectRoot, 'dist'), join(path, 'dist'), { recursive: true })
  symlinkSync(join(projectRoot, 'node_modules'), join(path, 'node_modules'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** Runs a program to its end; its output, and what it printed as the error when it fails. */
export function run(cwd: string, program: string, ...args: readonly string[]): string {
  const options = { cwd, encoding: 'utf8', stdio: 'pipe', maxBuffer: 64 << 20 } as const
  return execFileSync(program, args, options)
}

function trackedFiles(): readonly string[] {
  return run(projectRoot, 'git', 'ls-files', '-co', '--exclude-standard')
    .split('\n')
    .filter((file) => file !== '' && existsSync(join(projectRoot, file)))
}
