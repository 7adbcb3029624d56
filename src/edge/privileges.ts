/**
 * Privileges: what the process gives up before it serves.
 *
 * Started as root it has bound its ports and opened its log by then; it goes on as `process.user`,
 * with that user's groups, and proves that there is no way back. Core dumps are off, since a core
 * would hold mail and keys.
 */
import { accessSync, constants, mkdirSync } from 'node:fs'
import { userInfo } from 'node:os'
import { disableCoreDumps } from '../addon/process.ts'
import { messageOf, OperatingError } from '../base/errors.ts'
import { giveAway, type Owner } from './give-away.ts'

// Missing in the types of Node 20, there in each of its versions on Linux.
const { initgroups } = process as NodeJS.Process & {
  readonly initgroups?: (user: string, extraGroup: number) => void
}

/** A file by the setting that names it. */
export interface ReadFile {
  readonly name: string
  readonly path: string
}

/**
 * What the process made or opened as root and goes on writing; what is missing is passed over. And
 * what it goes on reading.
 */
export interface Places {
  /** Given away with everything in them. */
  readonly trees: readonly string[]
  /** Given away with the files that lie directly in them. */
  readonly folders: readonly string[]
  readonly files: readonly string[]
  /** Made for the user where it is missing; left as it is where it is there. */
  readonly madeFolders: readonly string[]
  /** Read as root, and again by each reload. */
  readonly read: readonly ReadFile[]
}

/**
 * Drops to the user when root; nothing when not root. The places become the user's first.
 * @returns warnings. Throws OperatingError when the user is unknown or root can be had again.
 */
export function dropPrivileges(user: string, places: Places): readonly string[] {
  const warnings: string[] = []
  if (!disableCoreDumps()) warnings.push('core dumps could not be switched off: set LimitCORE=0')
  if (process.getuid?.() !== 0) return warnings
  if (user === '') {
    warnings.push('process.user = "": serving as root; name a user')
    return warnings
  }
  try {
    const owner = ownerOf(user)
    for (const tree of places.trees) giveAway(tree, owner, 'tree')
    for (const folder of places.folders) giveAway(folder, owner, 'folder')
    for (const file of places.files) giveAway(file, owner, 'file')
    for (const folder of places.madeFolders) {
      const isMade = mkdirSync(folder, { recursive: true, mode: 0o755 }) !== undefined
      if (isMade) giveAway(folder, owner, 'file')
    }
    initgroups?.call(process, user, owner.gid)
    process.setgid?.(owner.gid)
    process.setuid?.(owner.uid)
  } catch (cause) {
    const message = `process.user = ${user}: ${messageOf(cause)}; name a user that exists`
    throw new OperatingError('PRIVILEGES', message, { cause })
  }
  if (canBeRoot()) {
    throw new OperatingError('PRIVILEGES', `process.user = ${user}: is still root; name another`)
  }
  return [...warnings, ...places.read.filter(isClosed).map((file) => closedText(file, user))]
}

/** May this process, as it is now, not read it? What is missing is another matter. */
function isClosed({ path }: ReadFile): boolean {
  try {
    accessSync(path, constants.R_OK)
    return false
  } catch (fault) {
    return (fault as NodeJS.ErrnoException).code === 'EACCES'
  }
}

function closedText({ name, path }: ReadFile, user: string): string {
  const remedy = 'chgrp and chmod g+r the file, and let the group enter the folders above it'
  return `${name} = ${path}: user ${user} may not read it, so no reload can take it; ${remedy}`
}

/**
 * The numbers of a user; only root may ask. Node tells those of the user that the process is: so it
 * is that user for a moment. Throws where there is none of that name.
 */
export function ownerOf(user: string): Owner {
  process.seteuid?.(user)
  try {
    const { uid, gid } = userInfo()
    return { uid, gid }
  } finally {
    process.seteuid?.(0)
  }
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
