/**
 * Files of tables that live as long as their process: a path for a new one, and an end to those
 * that a killed process left behind.
 *
 * The name holds the process, so that instances may share a folder. One whose number a new process
 * has got stays until that one ends, too.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

let serial = 0

/** A path that nobody has, in `folder`, which is made when missing and cleared of leftovers. */
export function newTableFile(folder: string, form: string, ending: string): string {
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(folder)) {
    const [, owner] = /^[a-z0-9]+-(\d+)-\d+-\d+\./.exec(name) ?? []
    if (owner !== undefined && !isAlive(Number(owner))) rmSync(join(folder, name), { force: true })
  }
  return join(folder, `${form}-${process.pid}-${Date.now()}-${serial++}.${ending}`)
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (fault) {
    // EPERM: it lives, and is another user's.
    return (fault as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}
