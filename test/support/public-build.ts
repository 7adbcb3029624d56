/**
 * This build where every user can read it: for programs that drop root's rights, or run as another
 * user, while the checkout may lie in a folder of root's own.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { projectRoot } from './needs.ts'
import { program } from './proxy-program.ts'

/** A command line that every user can run. */
export interface PublicBuild {
  readonly program: string
  remove(): void
}

/** This build itself where it can be read, else a copy. Needs root. */
export function publicBuild(): PublicBuild {
  const isReadable = spawnSync('setpriv', [...asUser('nobody'), 'test', '-r', program]).status === 0
  if (isReadable) return { program, remove: () => {} }
  const folder = mkdtempSync(join(tmpdir(), 'activemx-public-'))
  chmodSync(folder, 0o755)
  const parts = ['package.json', 'dist', 'build', 'node_modules', 'examples']
  execFileSync('cp', ['-a', ...parts.map((name) => join(projectRoot, name)), folder])
  return {
    program: join(folder, 'dist/src/cli/activemx.js'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** Words of setpriv before a command that runs as a user. */
export function asUser(name: string): readonly string[] {
  return ['--reuid', name, '--regid', groupOf(name), '--clear-groups']
}

/** Number of a user's own group. */
function groupOf(name: string): string {
  return execFileSync('id', ['-g', name], { encoding: 'utf8' }).trim()
}
