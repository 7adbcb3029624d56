/**
 * GiveAway: files and folders that root made become a user's, safely before that user itself.
 *
 * The user could write in these folders before, and a process of its own may run now: what lies
 * under a name may be another thing at each look. So each thing is opened once, never through a
 * link, and looked at and given away by its descriptor; what lies in a folder is reached through
 * the folder's. An O_PATH descriptor opens nothing: no permission is asked, no device or pipe
 * wakes. open(2), proc(5) on /proc/PID/fd.
 *
 * It does not judge the folders above a path that it is given.
 */
import { chownSync, closeSync, constants, fstatSync, openSync, readdirSync } from 'node:fs'

/** Numbers of the new owner. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

// fcntl.h of Linux; Node does not name it.
const openPath = 0x20_0000

/**
 * Gives the path away: with everything in it, with the files that lie directly in it, or alone.
 * What is missing is passed over, and so are links and files of several names: the user must not
 * get a file of root's by a link to it. Throws system errors.
 */
export function giveAway(path: string, owner: Owner, how: 'tree' | 'folder' | 'file'): void {
  const descriptor = openUnlessMissing(path)
  if (descriptor === undefined) return
  try {
    const found = fstatSync(descriptor)
    const isFolder = found.isDirectory()
    if (!isFolder && !(found.isFile() && found.nlink === 1)) return
    const self = `/proc/self/fd/${descriptor}`
    chownSync(self, owner.uid, owner.gid)
    if (!isFolder || how === 'file') return
    for (const entry of readdirSync(self, { withFileTypes: true })) {
      if (how === 'tree') giveAway(`${self}/${entry.name}`, owner, how)
      else if (entry.isFile()) giveAway(`${self}/${entry.name}`, owner, 'file')
    }
  } finally {
    closeSync(descriptor)
  }
}

function openUnlessMissing(path: string): number | undefined {
  try {
    return openSync(path, openPath | constants.O_NOFOLLOW)
  } catch (fault) {
    if ((fault as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw fault
  }
}
