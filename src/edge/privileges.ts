/**
 * Privileges: what the process gives up before it serves.
 *
 * Started as root it has bound its ports and opened its log by then; it goes on as `process.user`,
 * with that user's groups, and proves that there is no way back. Core dumps are off, since a core
 * would hold mail and keys.
 */
import { existsSync, lchownSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { disableCoreDumps } from '../addon/process.ts'
import { messageOf, OperatingError } from '../base/errors.ts'

// Missing in the types of Node 20, there in each of its versions on Linux.
const { initgroups } = process as NodeJS.Process & {
  readonly initgroups?: (user: string, extraGroup: string) => void
}

/**
 * Drops to the user when root; nothing when not root. `folder` and what is in it become the user's
 * first: the store is opened before, and written after.
 * @returns warnings. Throws OperatingError when the user is unknown or root can be had again.
 */
export function dropPrivileges(user: string, folder: string): readonly string[] {
  const warnings: string[] = []
  if (!disableCoreDumps()) warnings.push('core dumps could not be switched off: set LimitCORE=0')
  if (process.getuid?.() !== 0) return warnings
  if (user === '') {
    warnings.push('process.user = "": serving as root; name a user')
    return warnings
  }
  try {
    giveAway(folder, user)
    initgroups?.call(process, user, user)
    process.setgid?.(user)
    process.setuid?.(user)
  } catch (cause) {
    const message = `process.user = ${user}: ${messageOf(cause)}; name a user that exists`
    throw new OperatingError('PRIVILEGES', message, { cause })
  }
  if (canBeRoot()) {
    throw new OperatingError('PRIVILEGES', `process.user = ${user}: is still root; name another`)
  }
  return warnings
}

/**
 * Node tells no user's numbers, but for those that the process has: so it becomes the user for a
 * moment.
 */
function giveAway(folder: string, user: string): void {
  if (!existsSync(folder)) return
  process.setegid?.(user)
  process.seteuid?.(user)
  const userNumber = process.geteuid?.() ?? 0
  const groupNumber = process.getegid?.() ?? 0
  process.seteuid?.(0)
  process.setegid?.(0)
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  for (const path of ['', ...paths]) lchownSync(join(folder, path), userNumber, groupNumber)
}

function canBeRoot(): boolean {
  try {
    process.setuid?.(0)
    return true
  } catch {
    // Refused, as it should be.
    return false
  }
}
