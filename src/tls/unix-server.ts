/**
 * The Unix socket of the daemon and of `tls wrap --api`: mode 0600, peers checked by the kernel's
 * word.
 *
 * The socket never exists with wider rights. Who may connect: the user that the process runs as,
 * and root. A file left behind by a process that died is replaced; one that still answers is an
 * error.
 */
import { lstatSync, mkdirSync, rmSync } from 'node:fs'
import net from 'node:net'
import { dirname } from 'node:path'
import { addonFault, loadAddon } from '../addon/addon.ts'
import { isOwnUser, type PeerCredentials, peerCredentials } from '../addon/peer-credentials.ts'
import { OperatingError } from '../base/errors.ts'
import { tlsClientsMax } from '../base/limits.ts'
import { refuse } from './client-connection.ts'

/**
 * Listens on `path` and hands over the clients that may stay, read by nobody yet; their owner calls
 * `onGone` when one has left. @throws OperatingError
 */
export async function listenForClients(
  path: string,
  onClient: (socket: net.Socket, peer: PeerCredentials, onGone: () => void) => void,
): Promise<net.Server> {
  requireCredentials()
  await removeStale(path)
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
  await bind(server, path)
  return server
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
