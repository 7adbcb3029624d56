/**
 * Privileges: what the process gives up before it serves.
 *
 * Started as root it has bound its ports and opened its log by then; it goes on as `process.user`,
 * with that user's groups, and proves that there is no way back. Core dumps are off, since a core
 * would hold mail and keys.
 */
import { disableCoreDumps } from '../addon/process.ts'
import { messageOf, OperatingError } from '../base/errors.ts'

// Missing in the types of Node 20, there in each of its versions on Linux.
const { initgroups } = process as NodeJS.Process & {
  readonly initgroups?: (user: string, extraGroup: string) => void
}

/**
 * Drops to the user when root; nothing when not root.
 * @returns warnings. Throws OperatingError when the user is unknown or root can be had again.
 */
export function dropPrivileges(user: string): readonly string[] {
  const warnings: string[] = []
  if (!disableCoreDumps()) warnings.push('core dumps could not be switched off: set LimitCORE=0')
  if (process.getuid?.() !== 0) return warnings
  if (user === '') {
    warnings.push('process.user = "": serving as root; name a user')
    return warnings
  }
  try {
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

function canBeRoot(): boolean {
  try {
    process.setuid?.(0)
    return true
  } catch {
    // Refused, as it should be.
    return false
  }
}
