import { afterAll, beforeAll, expect, test } from 'vitest'
import { failure, type NewOptions, success, type TlsCode } from '../../src/tls/api.ts'
import type { Carrier } from '../../src/tls/carrier.ts'
import { openSharedCarrier } from '../../src/tls/shared-carrier.ts'
import { type TlsSession, TlsWrapper } from '../../src/tls/wrapper.ts'
import { type Authority, makeAuthority } from './support/certificates.ts'
import { startPeer, type TlsPeer } from './support/peer.ts'

let authority: Authority
let peer: TlsPeer

beforeAll(async () => {
  authority = makeAuthority()
  peer = await startPeer(authority.issue('peer.test'))
})
afterAll(async () => {
  await peer.close()
  authority.remove()
})

/** A wrapper whose daemon takes `new` and ends every lease with `code`. */
class FailingDaemon extends TlsWrapper {
  readonly #code: TlsCode

  constructor(code: TlsCode) {
    super({ daemon: '/nonexistent/tls.sock' })
    this.#code = code
  }

  override async new(options: NewOptions): Promise<TlsSession> {
    if (options.shared === false) return super.new(options)
    const lease = {
      ...failure(this.#code, 'gone'),
      id: 1,
      greeting: '',
      release: async () => success,
    }
    const session = {
      route: 'shared',
      token: '',
      lease: async () => lease,
      free: async () => success,
    }
    return session as unknown as TlsSession
  }
}

/** What a connection through such a daemon comes to. */
async function endOf(code: TlsCode, fallback: boolean): Promise<string> {
  const wrapper = new FailingDaemon(code)
  const to = { host: '127.0.0.1', port: peer.port, ca: authority.ca, servername: 'peer.test' }
  const options = { shared: 'carried', ...to, fallback }
  const end = await new Promise<string>((resolve) => {
    openSharedCarrier(wrapper, options, {
      onConnected: () => resolve('connected'),
      onData: () => undefined,
      onDrain: () => undefined,
      onEnd: () => undefined,
      onClose: resolve,
    })
  })
  await wrapper.close()
  return end
}

test.each(['daemonGone', 'badToken', 'refused'] as const)(
  'the daemon ends the lease with %s: the connection is made directly, where that is allowed',
  async (code) => {
    expect(await endOf(code, true)).toBe('connected')
    expect(await endOf(code, false)).toBe('unreachable')
  },
)

test('a mailhost that the daemon does not reach is not tried again', async () => {
  expect(await endOf('syscall', true)).toBe('unreachable')
})

test('QUIT is not sent; a line of a message that reads like it is', async () => {
  const before = peer.received().length
  const wrapper = new TlsWrapper()
  const to = { host: '127.0.0.1', port: peer.port, ca: authority.ca, servername: 'peer.test' }
  let carrier: Carrier | undefined
  const closed = new Promise<string>((resolve) => {
    const events = {
      onConnected: () => undefined,
      onData: () => undefined,
      onDrain: () => undefined,
      onEnd: () => undefined,
      onClose: resolve,
    }
    const connected = new Promise<void>((resolveConnected) => {
      const all = { ...events, onConnected: resolveConnected }
      carrier = openSharedCarrier(wrapper, { shared: false, ...to }, all)
    })
    void connected.then(() => {
      const lines = ['DATA', 'QUIT smoking', 'QUIT', 'quit', '.', 'QUIT']
      for (const line of lines) carrier?.write(Buffer.from(`${line}\r\n`))
      setImmediate(() => carrier?.end(() => undefined))
    })
  })
  const wanted = 'DATA\r\nQUIT smoking\r\nQUIT\r\nquit\r\n.\r\n'
  await peer.receives(before + wanted.length)
  expect(await closed).toBe('closed')
  expect(peer.received().subarray(before).toString()).toBe(wanted)
  await wrapper.close()
})
