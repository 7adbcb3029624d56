/**
 * A Unix datagram socket, which Node lacks: for /dev/log and the service manager's notify socket.
 *
 * Sending never blocks; what the receiver has no room for is refused and the caller counts it.
 */
import { OperatingError } from '../base/errors.ts'
import { addonFault, loadAddon } from './addon.ts'

/** An open local datagram socket. */
export interface LocalDatagram {
  /** 0, or the system's error number (EAGAIN 11: no room; ENOTCONN 107, ECONNREFUSED 111: gone). */
  send(octets: Uint8Array): number
  close(): void
}

interface DatagramAddon {
  readonly openLocalDatagram: (path: string) => number
  readonly sendLocalDatagram: (fd: number, octets: Uint8Array) => number
  readonly closeLocalDatagram: (fd: number) => void
}

/** Opens a socket to `path` (`@name`: abstract). Throws OperatingError LOCAL_DATAGRAM. */
export function openLocalDatagram(path: string): LocalDatagram {
  const addon = loadAddon() as DatagramAddon | undefined
  if (addon === undefined) {
    throw new OperatingError('LOCAL_DATAGRAM', `${path}: needs the addon: ${addonFault()}`)
  }
  const fd = connected(addon, path)
  let isOpen = true
  return {
    send: (octets) => (isOpen ? addon.sendLocalDatagram(fd, octets) : 9),
    close: () => {
      if (isOpen) addon.closeLocalDatagram(fd)
      isOpen = false
    },
  }
}

function connected(addon: DatagramAddon, path: string): number {
  try {
    return addon.openLocalDatagram(path)
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : path
    throw new OperatingError('LOCAL_DATAGRAM', message, { cause })
  }
}
