/**
 * Unix sockets that a server of ours listens on: mode 0600 from their first moment, and one server
 * at a path.
 *
 * The socket of a process that died is replaced; one that still answers, and a file that is no
 * socket, are faults. Meanwhile the folder is locked: of two that start at the same instant the
 * second would else take the first one's socket for that of the dead. Any part of layer 4 may use
 * this.
 */
import {
  chmodSync,
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  openSync,
  rmSync,
  type Stats,
} from 'node:fs'
import net from 'node:net'
import { dirname } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { loadAddon } from '../addon/addon.ts'
import { tryLock } from '../addon/process.ts'
import { messageOf, OperatingError } from '../base/errors.ts'
import { socketTakeoverMsMax } from '../base/limits.ts'

/** A path, and how its faults are told. */
export interface SocketPlace {
  readonly path: string
  /** What stands before the path in messages: `control.socket =`. */
  readonly called: string
  /** Code of its OperatingErrors. */
  readonly code: string
  /** Of the folder, where it is not there yet. */
  readonly folderMode: number
}

const lockAgainMs = 5
/** Clients that the kernel keeps until they are accepted. */
const backlog = 1024

/**
 * Listens there. A client that the server cannot take later, for lack of descriptors, ends nothing.
 * Rejects with an OperatingError of the place's code.
 */
export async function listenAt(server: net.Server, place: SocketPlace): Promise<void> {
  const folder = dirname(place.path)
  try {
    mkdirSync(folder, { recursive: true, mode: place.folderMode })
  } catch {
    // Said below, with the path.
  }
  const lock = await lockOf(folder)
  try {
    await removeStale(place)
    await bind(server, place)
  } finally {
    if (lock !== undefined) closeSync(lock)
  }
}

/** The folder, locked, or undefined where it may not be read or nothing can lock it. */
async function lockOf(folder: string): Promise<number | undefined> {
  if (loadAddon() === undefined) return undefined
  let fd: number
  try {
    fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch {
    return undefined
  }
  const untilMs = performance.now() + socketTakeoverMsMax
  while (!tryLock(fd) && performance.now() < untilMs) await pause(lockAgainMs)
  return fd
}

/** Removes the socket of a dead process, and nothing else. */
async function removeStale(place: SocketPlace): Promise<void> {
  const { path } = place
  const there = entryOf(path)
  if (there === undefined) return
  if (!there.isSocket()) throw faultOf(place, 'is no socket; remove it or name another path')
  const why = await reasonToLeave(path)
  if (why !== '') throw faultOf(place, `${why} or name another path`)
  rmSync(path, { force: true })
}

function entryOf(path: string): Stats | undefined {
  try {
    return lstatSync(path)
  } catch {
    // Nothing there; or not to be reached, which listen() says.
    return undefined
  }
}

/** '' where nobody listens. One that is full lives; of another user's nobody knows. */
function reasonToLeave(path: string): Promise<string> {
  const lives = 'another process listens there; stop it'
  return new Promise((resolve) => {
    const probe = net.connect({ path })
    probe.once('connect', () => {
      probe.destroy()
      resolve(lives)
    })
    probe.once('error', ({ code }: NodeJS.ErrnoException) => {
      if (code === 'ECONNREFUSED' || code === 'ENOENT') resolve('')
      else resolve(code === 'EACCES' ? "is another user's socket; remove it" : lives)
    })
  })
}

async function bind(server: net.Server, place: SocketPlace): Promise<void> {
  // A Unix socket is bound inside listen(): the mask is in force for just that call.
  const mask = process.umask(0o177)
  try {
    await new Promise<void>((resolve, reject) => {
      // Not once: later ones speak of a client that cannot be taken.
      server.on('error', reject)
      server.listen({ path: place.path, backlog }, resolve)
      process.umask(mask)
    })
    // A folder with rights for all that is made in it heeds no mask.
    chmodSync(place.path, 0o600)
  } catch (cause) {
    throw faultOf(place, `${messageOf(cause)}; name a path in a writable folder`, cause)
  } finally {
    process.umask(mask)
  }
}

function faultOf({ path, called, code }: SocketPlace, why: string, cause?: unknown): Error {
  return new OperatingError(code, `${called} ${path}: ${why}`, { cause })
}
