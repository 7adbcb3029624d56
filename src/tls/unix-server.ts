/**
 * The clients of the daemon and of `tls wrap --api`: peers checked by the kernel's word. Who may
 * connect: the user that the process runs as, and root.
 */
import net from 'node:net'
import { addonFault, loadAddon } from '../addon/addon.ts'
import { isOwnUser, type PeerCredentials, peerCredentials } from '../addon/peer-credentials.ts'
import { OperatingError } from '../base/errors.ts'
import { tlsClientsMax } from '../base/limits.ts'
import { listenAt } from '../files/unix-socket.ts'
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
  await listenAt(server, { path, called: 'socket', code: 'TLS_SOCKET', folderMode: 0o700 })
  return server
}

function requireCredentials(): void {
  if (loadAddon() !== undefined) return
  const text = `the addon did not load (${addonFault() ?? 'unknown'}): without it nobody's user is known; run npm run build`
  throw new OperatingError('TLS_NO_CREDENTIALS', text)
}
