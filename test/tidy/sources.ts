/**
 * The sources as the tidy tests see them: every file that git tracks or would track, read once.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectRoot } from '../support/needs.ts'

/** One file of the project: path relative to the root, and its text. */
export interface Source {
  readonly path: string
  readonly text: string
}

/** Files whose path matches, read as UTF-8. */
export function sources(pattern: RegExp): readonly Source[] {
  return trackedPaths()
    .filter((path) => pattern.test(path))
    .map((path) => ({ path, text: readFileSync(join(projectRoot, path), 'utf8') }))
}

function trackedPaths(): readonly string[] {
  const options = { cwd: projectRoot, encoding: 'utf8', maxBuffer: 16 << 20 } as const
  return execFileSync('git', ['ls-files', '-co', '--exclude-standard'], options)
    .split('\n')
    .filter((path) => path !== '' && existsSync(join(projectRoot, path)))
}
