/**
 * An address with its port, as log and commands show them.
 */

/** `192.0.2.7:25`, `[2001:db8::7]:25`. */
export function endpointText(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
