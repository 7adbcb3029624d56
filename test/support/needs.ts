/**
 * What a test may need beyond npm: the real data beside the project, Debian's programs, root.
 *
 * Where a need is missing the test is skipped by name with its reason. `.ci/run` sets
 * ACTIVEMX_SKIP_NOTHING=true: there a missing need is a failure, so nothing is skipped by accident.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { describe } from 'vitest'
import { addonFault, loadAddon } from '../../src/addon/addon.ts'

/** Root of the checkout: the tests run from it. */
export const projectRoot = resolve(import.meta.dirname, '../..')

/** Path of a file or folder of the real data beside the project. */
export function sharedData(path: string): string {
  return resolve(projectRoot, '../shared/data', path)
}

/** Something a suite needs: undefined when it is there, else the reason to skip. */
export type Need = string | undefined

/** The real data beside the project. */
export function needsSharedData(): Need {
  return existsSync(sharedData('SOURCES.md')) ? undefined : 'no ../shared/data beside the project'
}

/** Programs of Debian's packages (sbin folders are searched too). */
export function needsProgram(...names: readonly string[]): Need {
  const missing = names.filter((name) => findProgram(name) === undefined)
  return missing.length === 0 ? undefined : `not installed: ${missing.join(', ')}`
}

/** A module that a program needs for what a suite asks of it: swaks has TLS by Net::SSLeay. */
export function needsPerlModule(name: string): Need {
  const { status } = spawnSync('perl', [`-M${name}`, '-e', '1'], { stdio: 'ignore' })
  return status === 0 ? undefined : `not installed: Perl's ${name}`
}

/** The addon, built for this machine. */
export function needsAddon(): Need {
  return loadAddon() === undefined ? `no addon: ${addonFault()}` : undefined
}

/** Rights of root. */
export function needsRoot(): Need {
  return process.getuid?.() === 0 ? undefined : 'needs root'
}

/** The path of a program, or undefined. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return folders.map((folder) => join(folder, name)).find(isExecutable)
}

/** A suite that runs when every need is met, is skipped by name otherwise, or fails (see above). */
export function describeWith(needs: readonly Need[], title: string, suite: () => void): void {
  const reasons = needs.filter((need) => need !== undefined)
  if (reasons.length === 0 || process.env['ACTIVEMX_SKIP_NOTHING'] === 'true')
    describe(title, suite)
  else describe.skip(`${title} (skipped: ${reasons.join('; ')})`, suite)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
