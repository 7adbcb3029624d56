/**
 * Addresses to listen on: `192.0.2.1:25`, `[2001:db8::1]:25`; and what may go wrong with them.
 */
import { isIP } from 'node:net'
import { OperatingError } from '../base/errors.ts'

/** One address to listen on; port 0 = any free one. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/**
 * Reads `address:port`, IPv6 in brackets.
 * @throws OperatingError LISTEN_BAD_ADDRESS
 */
export function parseListenAddress(text: string): ListenAddress {
  const found = /^(?:\[([^\]%]+)\]|([0-9.]+)):([0-9]{1,5})$/.exec(text)
  const host = found?.[1] ?? found?.[2] ?? ''
  const port = Number(found?.[3])
  if (isIP(host) !== (found?.[1] === undefined ? 4 : 6) || !(port <= 65_535)) {
    const remedy = 'write an IP address with a port, as 0.0.0.0:25 or [::]:25'
    throw new OperatingError('LISTEN_BAD_ADDRESS', `cannot listen on "${text}": ${remedy}`)
  }
  return { host, port }
}

/** The text form that `parseListenAddress` reads. */
export function listenAddressText({ host, port }: ListenAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

const faults: Readonly<Record<string, { readonly code: string; readonly text: string }>> = {
  EADDRINUSE: {
    code: 'LISTEN_IN_USE',
    text: 'another program listens there: stop it, or set another port in listen.smtp',
  },
  EACCES: {
    code: 'LISTEN_FORBIDDEN',
    text: 'a port below 1024 needs root or CAP_NET_BIND_SERVICE',
  },
  EADDRNOTAVAIL: {
    code: 'LISTEN_NOT_HERE',
    text: 'this machine has no such address: correct listen.smtp',
  },
}

/** The operating fault behind a system error name (EADDRINUSE, …) while listening on `address`. */
export function listenFault(address: string, errorName: string): OperatingError {
  const fault = faults[errorName] ?? { code: 'LISTEN_FAILED', text: errorName }
  return new OperatingError(fault.code, `cannot listen on ${address}: ${fault.text}`)
}
