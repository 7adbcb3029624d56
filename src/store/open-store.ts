/**
 * Store: opens the LMDB environment that keeps what the system has learnt, whatever happened to it.
 *
 * LMDB trusts its file: a truncated one ends in SIGBUS, a damaged one may end the process anywhere.
 * So the file's size is checked against its meta pages before it is opened, and a mark lies beside it
 * while it is opened and looked through: a mark that is found means that the last one who tried did
 * not survive. What does not pass is set aside under another name (never deleted) and an empty store
 * takes its place; `tell` says so. Syncing is on, the write map off: after kill -9 or a power cut the
 * store is at an earlier commit. Several processes and threads may have the same store open.
 * Source of the layout: lmdb-js 3.5, dependencies/lmdb (MDB_page, MDB_meta, MDB_DATA_VERSION 2).
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { open, type RootDatabase } from 'lmdb'
import { messageOf, OperatingError } from '../base/errors.ts'
import { storeCheckEntriesMax, storeReadersMax } from '../base/limits.ts'

/** What happened while a store was opened: the words of the log. */
export type StoreEvent = 'opened' | 'rebuilt'

/** How the store is told to the log. */
export type TellStore = (what: StoreEvent, detail: string) => void

const dataFile = 'data.mdb'
const lockFile = 'lock.mdb'
/** `opening-PID` while a process opens the store, `opening-condemned` when it is known to be bad. */
const markPrefix = 'opening-'

/** Opens the store of a folder, made if need be. Throws OperatingError STORE_UNUSABLE. */
export function openStore(folder: string, tell: TellStore): RootDatabase {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const damage = damageOf(folder)
    if (damage !== '') setAside(folder, damage, tell)
    const mark = join(folder, `${markPrefix}${process.pid}`)
    writeFileSync(mark, '')
    const root = openEnvironment(folder)
    const fault = lookThrough(root)
    if (fault === '') {
      rmSync(mark, { force: true })
      tell('opened', folder)
      return root
    }
    void root.close()
    rmSync(mark, { force: true })
    setAside(folder, fault, tell)
    return openEnvironment(folder)
  } catch (error) {
    const remedy = 'check that the folder is writable and has room'
    throw new OperatingError('STORE_UNUSABLE', `store ${folder}: ${messageOf(error)}; ${remedy}`)
  }
}

/** Marks the store as damaged: the next start sets it aside. For whoever meets a fault while reading. */
export function condemnStore(folder: string, reason: string): void {
  writeFileSync(join(folder, `${markPrefix}condemned`), `${reason}\n`)
}

function openEnvironment(folder: string): RootDatabase {
  return open({ path: folder, maxDbs: 16, maxReaders: storeReadersMax, compression: false })
}

/** What is wrong with the files, '' = nothing that can be seen from outside. */
function damageOf(folder: string): string {
  if (deadMarks(folder).length > 0) return 'the last one to open it did not survive'
  const path = join(folder, dataFile)
  if (!existsSync(path)) return ''
  const file = openSync(path, 'r')
  try {
    return damageOfFile(file, fstatSync(file).size)
  } finally {
    closeSync(file)
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

// Meta page, little endian: octets 24 magic, 28 version, 48 page size, 144 last page, 152 transaction.
// The page with the later transaction holds.
function damageOfFile(file: number, octets: number): string {
  const first = Buffer.alloc(160)
  if (readSync(file, first, 0, 160, 0) < 160) return `${octets} octets are no store`
  const pageOctets = first.readUInt32LE(48)
  const isPageSize =
    pageOctets >= 512 && pageOctets <= 65_536 && (pageOctets & (pageOctets - 1)) === 0
  if (!isMeta(first) || !isPageSize) return 'the first meta page is damaged'
  const second = Buffer.alloc(160)
  if (readSync(file, second, 0, 160, pageOctets) < 160 || !isMeta(second)) {
    return 'the second meta page is damaged'
  }
  const isSecondLater = second.readBigUInt64LE(152) > first.readBigUInt64LE(152)
  const lastPage = (isSecondLater ? second : first).readBigUInt64LE(144)
  const needed = (lastPage + 1n) * BigInt(pageOctets)
  return BigInt(octets) < needed ? `${octets} octets of at least ${needed}: cut off` : ''
}

function isMeta(page: Buffer): boolean {
  return page.readUInt32LE(24) === 0xbeefc0de && page.readUInt32LE(28) === 2
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

/** Reads some of every database: the pages that later reads go through. */
function lookThrough(root: RootDatabase): string {
  try {
    const names = [...root.getKeys({ limit: 100 })].filter((key) => typeof key === 'string')
    for (const name of names) {
      const database = root.openDB({ name: String(name) })
      for (const reverse of [false, true]) {
        for (const { value } of database.getRange({ limit: storeCheckEntriesMax, reverse })) {
          void value
        }
      }
    }
    return ''
  } catch (error) {
    return messageOf(error)
  }
}
