/**
 * Store: opens the LMDB environment that keeps what the system has learnt, whatever happened to it.
 *
 * LMDB trusts its file: a truncated one ends in SIGBUS, a damaged one may end the process anywhere.
 * So the file is checked before it is opened (lmdb-check.ts: its size against its meta pages, its
 * tree page by page), and a mark lies beside it while it is opened: a mark that is found means that
 * the last one who tried did not survive. Another mark is left by whoever finds it damaged later.
 * What does not pass is set aside under another name (never deleted) and an empty store takes its
 * place; `tell` says so. Syncing is on, the write map off: after kill -9 or a power
 * cut the store is at an earlier commit. Several processes and threads may have the same store
 * open.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RootDatabase } from 'lmdb'
import { messageOf, OperatingError } from '../base/errors.ts'
import { storeCheckPagesMax, storeReadersMax } from '../base/limits.ts'
import { openEnvironment } from '../files/environment.ts'
import { checkLmdbFile } from './lmdb-check.ts'

/** What happened while a store was opened: the words of the log. */
export type StoreEvent = 'opened' | 'rebuilt'

/** How the store is told to the log. */
export type TellStore = (what: StoreEvent, detail: string) => void

const dataFile = 'data.mdb'
const lockFile = 'lock.mdb'
/**
 * `opening-PID` while a process opens the store, `opening-condemned` when it is known to be bad.
 */
const markPrefix = 'opening-'

/** Opens the store of a folder, made if need be. Throws OperatingError STORE_UNUSABLE. */
export function openStore(
  folder: string,
  tell: TellStore,
  readersMax = storeReadersMax,
): RootDatabase {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const damage = damageOf(folder)
    if (damage !== '') setAside(folder, damage, tell)
    const root = openMarked(folder, readersMax)
    tell('opened', folder)
    return root
  } catch (error) {
    const remedy = 'check that the folder is writable and has room'
    throw new OperatingError('STORE_UNUSABLE', `store ${folder}: ${messageOf(error)}; ${remedy}`)
  }
}

/** Whoever hears of a fault has survived: that leaves no mark. */
function openMarked(folder: string, readersMax: number): RootDatabase {
  const mark = join(folder, `${markPrefix}${process.pid}`)
  writeFileSync(mark, '')
  try {
    return openEnvironment(folder, readersMax)
  } finally {
    rmSync(mark, { force: true })
  }
}

/**
 * Opens a store that another thread of this process has opened, or will: nothing is checked, since
 * the others may be writing.
 */
export function joinStore(folder: string): RootDatabase {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return openEnvironment(folder, storeReadersMax)
}

/**
 * Marks the store as damaged: the next start sets it aside. A disk that takes no mark is no fault.
 */
export function condemnStore(folder: string, reason: string): void {
  try {
    writeFileSync(join(folder, `${markPrefix}condemned`), `${reason}\n`)
  } catch {
    // The fault itself is told; the next start meets the damage as this one did.
  }
}

/**
 * What is wrong with the files, '' = nothing that can be seen from outside. Throws where they
 * cannot be read: that is no damage.
 */
function damageOf(folder: string): string {
  if (deadMarks(folder).length > 0) return 'the last one to open it did not survive'
  const path = join(folder, dataFile)
  if (!existsSync(path)) return ''
  try {
    checkLmdbFile(path, storeCheckPagesMax)
    return ''
  } catch (error) {
    if (error instanceof OperatingError && error.code === 'STORE_DAMAGED') return error.message
    throw error
  }
}

/** Marks whose process is gone. That of a living one, or of this one, says nothing yet. */
function deadMarks(folder: string): readonly string[] {
  const marks = readdirSync(folder).filter((name) => name.startsWith(markPrefix))
  return marks.filter((name) => !isAlive(Number(name.slice(markPrefix.length))))
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

function setAside(folder: string, reason: string, tell: TellStore): void {
  const stamp = new Date().toISOString().replaceAll(/[^0-9]/g, '')
  const aside = `${dataFile}.damaged-${stamp}`
  const path = join(folder, dataFile)
  if (existsSync(path)) renameSync(path, join(folder, aside))
  rmSync(join(folder, lockFile), { force: true })
  for (const mark of deadMarks(folder)) rmSync(join(folder, mark), { force: true })
  tell('rebuilt', `${reason}; set aside as ${aside}, an empty store takes its place`)
}
