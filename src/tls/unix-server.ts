/**
 * The Unix socket of the daemon and of `tls wrap --api`: mode 0600, peers checked by the kernel's
 * word.
 *
 * The socket never exists with wider rights. Who may connect: the user that the process runs as,
 * and root. A file left behind by a process that died is replaced; one that still answers is an
 * error. Meanwhile the folder is locked: of two that start at the same instant the second would
 * else take the first one's socket for that of the dead.
 */
import { closeSync, constants, lstatSync, mkdirSync, openSync, rmSync } from 'node:fs'
import net from 'node:net'
import { dirname } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { addonFault, loadAddon } from '../addon/addon.ts'
import { isOwnUser, type PeerCredentials, peerCredentials } from '../addon/peer-credentials.ts'
import { tryLock } from '../addon/process.ts'
import { OperatingError } from '../base/errors.ts'
import { tlsClientsMax, tlsTakeoverMsMax } from '../base/limits.ts'
import { refuse } from './client-connection.ts'

const lockAgainMs = 5

/**
 * Listens on `path` and hands over the clients that may stay, read by nobody yet; their owner calls
 * `onGone` when one has left. @throws OperatingError
 */
export async function listenForClients(
  path: string,
  onClient: (socket: net.Socket, peer: PeerCredentials, onGone: () => void) => void,
): Promise<net.Server> {
  requireCredentials()
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  let clients = 0
  const onGone = (): void => {
    clients--
  }
  const server = net.createServer({ pauseOnConnect: true }, (socket) => {
    const peer = peerCredentials(socket)
    if (peer === undefined || !isOwnUser(peer)) return refuse(socket, 'another user')
    if (clients >= tlsClientsMax) return refuse(socket, `${tlsClientsMax} clients already`)
    clients++
    onClient(socket, peer, onGone)
  })
  await alone(dirname(path), async () => {
    await removeStale(path)
    await bind(server, path)
  })
  return server
}

/** Acts while nobody else does so in this folder. */
async function alone(folder: string, act: () => Promise<void>): Promise<void> {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    const untilMs = performance.now() + tlsTakeoverMsMax
    while (!tryLock(fd) && performance.now() < untilMs) await pause(lockAgainMs)
    await act()
  } finally {
    closeSync(fd)
  }
}

async function bind(server: net.Server, path: string): Promise<void> {
  // A Unix socket is bound inside listen(): the mask is in force for just that call.
  const mask = process.umask(0o177)
  try {
    await new Promise<void>((resolve, reject) => {
      // Later ones speak of a client that cannot be taken, for lack of descriptors.
      server.on('error', reject)
      server.listen({ path, backlog: 1024 }, resolve)
      process.umask(mask)
    })
  } catch (error) {
    throw new OperatingError('TLS_SOCKET', `socket ${path}: ${String(error)}`)
  } finally {
    process.umask(mask)
  }
}

/** Removes the socket of a dead process, and nothing else. */
async function removeStale(path: string): Promise<void> {
  const there = lstatSync(path, { throwIfNoEntry: false })
  if (there === undefined) return
  if (!there.isSocket()) {
    const text = `socket ${path}: a file that is no socket stands there; name another path`
    throw new OperatingError('TLS_SOCKET', text)
  }
  if (!(await isDead(path))) {
    const text = `socket ${path}: another process serves it; stop it or name another path`
    throw new OperatingError('TLS_SOCKET_IN_USE', text)
  }
  rmSync(path, { force: true })
}

/** Whether nobody listens there. One that is full, or not ours, is alive. */
function isDead(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.connect({ path })
    probe.once('connect', () => {
      probe.destroy()
      resolve(false)
    })
    probe.once('error', ({ code }: NodeJS.ErrnoException) =>
      resolve(code === 'ECONNREFUSED' || code === 'ENOENT'),
    )
  })
}

function requireCredentials(): void {
  if (loadAddon() !== undefined) return
  const text = `the addon did not load (${addonFault() ?? 'unknown'}): without it nobody's user is known; run npm run build`
  throw new OperatingError('TLS_NO_CREDENTIALS', text)
}
