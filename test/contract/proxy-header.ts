/**
 * The contract of the PROXY header parsers: the TypeScript one and the native one answer alike.
 */
import { expect, test } from 'vitest'
import type { ProxyHeader } from '../../src/io/proxy-header.ts'

/** A parser under test. */
export type Parse = (octets: Buffer) => ProxyHeader

/** Binary signature of version 2. */
export const signature = '\r\n\r\n\0\r\nQUIT\n'
const ipv4 = '\xcb\0\x71\x09\xc0\0\x02\x0a\x0f\xa0\0\x19'
const ipv6 = `${'\0'.repeat(15)}\x01${'\0'.repeat(10)}\xff\xff\x7f\0\0\x02\x0f\xa0\0\x19`

const client = { address: '203.0.113.9', port: 4000, localAddress: '192.0.2.10', localPort: 25 }
const loopback = { address: '::1', port: 4000, localAddress: '127.0.0.2', localPort: 25 }

const whole: readonly (readonly [string, string, object | 'local'])[] = [
  ['version 1', 'PROXY TCP4 203.0.113.9 192.0.2.10 4000 25\r\n', client],
  ['version 1, IPv6', 'PROXY TCP6 0:0::1 ::ffff:127.0.0.2 4000 25\r\n', loopback],
  ['version 1, UNKNOWN', 'PROXY UNKNOWN\r\n', 'local'],
  ['version 1, UNKNOWN with addresses', 'PROXY UNKNOWN ff:: ff:: 1 2\r\n', 'local'],
  ['version 2', `${signature}\x21\x11\0\x0c${ipv4}`, client],
  ['version 2, IPv6', `${signature}\x21\x21\0\x24${ipv6}`, loopback],
  ['version 2 with values', `${signature}\x21\x11\0\x10${ipv4}\x04\0\x01Z`, client],
  ['version 2, LOCAL with junk', `${signature}\x20\x11\0\x03\x01\x02\x03`, 'local'],
  ['version 2, unspecified family', `${signature}\x21\0\0\0`, 'local'],
]

const broken: readonly (readonly [string, string])[] = [
  ['no header', 'EHLO x\r\n'],
  ['line feed only', 'PROXY TCP4 203.0.113.9 192.0.2.10 4000 25\n'],
  ['lower case', 'proxy TCP4 203.0.113.9 192.0.2.10 4000 25\r\n'],
  ['leading zero in a port', 'PROXY TCP4 203.0.113.9 192.0.2.10 04000 25\r\n'],
  ['port too large', 'PROXY TCP4 203.0.113.9 192.0.2.10 65536 25\r\n'],
  ['octal-looking octet', 'PROXY TCP4 0203.0.113.9 192.0.2.10 4000 25\r\n'],
  ['family mismatch', 'PROXY TCP4 2001:db8::9 192.0.2.10 4000 25\r\n'],
  ['two spaces', 'PROXY TCP4  203.0.113.9 192.0.2.10 4000 25\r\n'],
  ['a word too many', 'PROXY TCP4 203.0.113.9 192.0.2.10 4000 25 1\r\n'],
  ['a word too few', 'PROXY TCP4 203.0.113.9 192.0.2.10 4000\r\n'],
  ['zone', 'PROXY TCP6 fe80::1%lo ::1 4000 25\r\n'],
  ['NUL in an address', 'PROXY TCP4 203.0.113.9\0 192.0.2.10 4000 25\r\n'],
  ['carriage return inside', 'PROXY UNKNOWN a\rb\r\n'],
  ['two carriage returns', 'PROXY UNKNOWN\r\r\n'],
  ['107 octets without an end', `PROXY UNKNOWN ${'x'.repeat(93)}`],
  ['108 octets', `PROXY UNKNOWN ${'x'.repeat(92)}\r\n`],
  ['version 1 in binary', `${signature}\x11\x11\0\x0c${ipv4}`],
  ['unknown command', `${signature}\x22\x11\0\x0c${ipv4}`],
  ['datagrams', `${signature}\x21\x12\0\x0c${ipv4}`],
  ['UNIX addresses', `${signature}\x21\x31\0\xd8${'\0'.repeat(216)}`],
  ['no addresses', `${signature}\x21\x11\0\0`],
  ['short addresses', `${signature}\x21\x11\0\x07\xcb\0\x71\x09\xc0\0\x02`],
  ['value beyond its part', `${signature}\x21\x11\0\x10${ipv4}\x04\0\xffA`],
  ['longer than anybody sends', `${signature}\x21\x11\xff\xff`],
]

/** Runs the contract. */
export function runProxyHeaderContract(parse: Parse): void {
  const read = (octets: string): ProxyHeader => parse(Buffer.from(octets, 'latin1'))

  test.each(whole)(
    '%s: whole, cut at every octet, and with octets behind it',
    (_label, text, want) => {
      for (let cut = 0; cut < text.length; cut += 1) {
        expect(read(text.slice(0, cut)), `cut at ${cut}`).toEqual({ kind: 'incomplete' })
      }
      const headerOctets = text.length
      const said = want === 'local' ? { kind: 'local' } : { kind: 'proxied', ...(want as object) }
      for (const behind of ['', 'EHLO x\r\n', '\0\0']) {
        expect(read(text + behind)).toEqual({ ...said, headerOctets })
      }
    },
  )

  test.each(broken)('%s: invalid, and never a header when cut', (_label, text) => {
    expect(read(text)).toEqual({ kind: 'invalid' })
    for (let cut = 0; cut < text.length; cut += 1) {
      expect(['incomplete', 'invalid']).toContain(read(text.slice(0, cut)).kind)
    }
  })
}
