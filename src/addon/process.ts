/**
 * What only the addon can say to the kernel about this process.
 */
import { loadAddon } from './addon.ts'

interface ProcessAddon {
  readonly disableCoreDumps: () => void
  readonly tryLock: (fd: number) => boolean
}

/** Core dumps off: a core would hold mail and keys. False where it could not be done. */
export function disableCoreDumps(): boolean {
  const addon = loadAddon() as ProcessAddon | undefined
  if (addon === undefined) return false
  try {
    addon.disableCoreDumps()
    return true
  } catch {
    // Reported by the caller, who goes on: dumps stay as the supervisor set them.
    return false
  }
}

/**
 * Takes the lock of an open file or folder. It ends with the descriptor, so with the process at the
 * latest. @returns false where another has it, or there is no addon.
 */
export function tryLock(fd: number): boolean {
  return (loadAddon() as ProcessAddon | undefined)?.tryLock(fd) === true
}
