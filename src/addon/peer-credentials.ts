/**
 * Peer credentials: which process and user is at the other end of a Unix socket.
 *
 * The kernel notes them at connect; nobody can forge them (unix(7), SO_PEERCRED). The control
 * socket and the TLS session daemon admit root and their own user by it. Without the addon nothing
 * is known.
 */
import type { Socket } from 'node:net'
import { loadAddon } from './addon.ts'

/** Who is at the other end. */
export interface PeerCredentials {
  readonly pid: number
  readonly uid: number
  readonly gid: number
}

interface CredentialsAddon {
  readonly peerCredentials: (fd: number) => PeerCredentials
}

/**
 * Credentials of an open Unix socket's peer; undefined without addon or for a socket that is gone.
 */
export function peerCredentials(socket: Socket): PeerCredentials | undefined {
  const addon = loadAddon() as CredentialsAddon | undefined
  const fd = descriptorOf(socket)
  if (addon === undefined || fd < 0) return undefined
  try {
    return addon.peerCredentials(fd)
  } catch {
    // The peer may be gone already; it gets the answer of an unknown user.
    return undefined
  }
}

/** Whether the peer is root or the user of this process. Unknown peers are not. */
export function isOwnUser(credentials: PeerCredentials | undefined): boolean {
  if (credentials === undefined) return false
  return credentials.uid === 0 || credentials.uid === process.geteuid?.()
}

/**
 * The descriptor below a socket, −1 for none; Node has no public name for it, every supported
 * version this one.
 */
export function descriptorOf(socket: Socket): number {
  const handle = (socket as unknown as { readonly _handle?: { readonly fd?: number } })._handle
  return handle?.fd ?? -1
}
