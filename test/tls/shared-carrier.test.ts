import net from 'node:net'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import {
  emptyRead,
  failure,
  type LeaseEnding,
  type NewOptions,
  success,
  type TlsCode,
} from '../../src/tls/api.ts'
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

const nothing = {
  onConnected: () => undefined,
  onData: () => undefined,
  onDrain: () => undefined,
  onEnd: () => undefined,
}
const tlsOnly = { timeoutMs: 1_000, plainHosts: undefined }

/** What a connection through such a daemon comes to. */
async function endOf(code: TlsCode, fallback: boolean): Promise<string> {
  const wrapper = new FailingDaemon(code)
  const to = { host: '127.0.0.1', port: peer.port, ca: authority.ca, servername: 'peer.test' }
  const options = { shared: 'carried', ...to, fallback }
  const end = await new Promise<string>((resolve) => {
    const events = { ...nothing, onConnected: () => resolve('connected'), onClose: resolve }
    openSharedCarrier(wrapper, options, events, tlsOnly)
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
    const connected = new Promise<void>((resolveConnected) => {
      const events = { ...nothing, onConnected: resolveConnected, onClose: resolve }
      carrier = openSharedCarrier(wrapper, { shared: false, ...to }, events, tlsOnly)
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

/** A wrapper whose one session is leased: what is written on it, and how the lease ends. */
class LeasedSession extends TlsWrapper {
  readonly written: string[] = []
  granted = Promise.resolve()
  endSession: () => void = () => undefined
  readonly ended: Promise<string>
  #onEnded: (ending: string) => void = () => undefined

  constructor() {
    super({ daemon: '/nonexistent/tls.sock' })
    this.ended = new Promise((resolve) => {
      this.#onEnded = resolve
    })
  }

  override async new(): Promise<TlsSession> {
    const release = async (ending: LeaseEnding = 'finished') => {
      this.#onEnded(ending)
      return success
    }
    const session = {
      route: 'shared',
      token: '',
      lease: async () => {
        await this.granted
        return { ...success, id: 1, greeting: 'mailhost\r\n', release }
      },
      write: async (octets: Uint8Array) => {
        this.written.push(Buffer.from(octets).toString())
        return success
      },
      read: () =>
        new Promise((resolve) => {
          this.endSession = () => resolve(emptyRead(failure('zeroReturn', 'the peer has closed')))
        }),
      free: async () => success,
    }
    return session as unknown as TlsSession
  }
}

type CarrierEnd = (carrier: Carrier, wrapper: LeasedSession) => void

const byQuit: CarrierEnd = (carrier) => {
  carrier.write(Buffer.from('QUIT\r\n'))
  carrier.end(() => undefined)
}

/** Says EHLO and `lines`, each by itself, and ends: what was said, and how the lease ended. */
async function dialogueOf(lines: readonly string[], end: CarrierEnd) {
  const wrapper = new LeasedSession()
  const carrier = await new Promise<Carrier>((resolve) => {
    const events = { ...nothing, onConnected: () => resolve(opened), onClose: () => undefined }
    const opened = openSharedCarrier(wrapper, { shared: 'said' }, events, tlsOnly)
  })
  for (const line of ['EHLO c', ...lines]) carrier.write(Buffer.from(`${line}\r\n`))
  setImmediate(() => end(carrier, wrapper))
  const ending = await wrapper.ended
  await wrapper.close()
  return { said: wrapper.written.join(''), ending }
}

const message = ['DATA', 'EHLO x', 'RSET', 'XFORWARD NAME=x', 'QUIT', 'QUIT', 'quit']

test.each([
  { label: 'a whole message', lines: [...message, '.'], end: byQuit, ending: 'cancelled' },
  { label: 'a line like XCLIENT', lines: ['XCLIENT x', '.'], end: byQuit, ending: 'broken' },
  {
    label: 'a session that ends behind a line like QUIT',
    lines: ['DATA', 'QUIT'],
    end: (_carrier: Carrier, wrapper: LeasedSession) => wrapper.endSession(),
    ending: 'broken',
  },
  {
    label: 'a carrier that is given up behind a line like QUIT',
    lines: ['DATA', 'QUIT'],
    end: (carrier: Carrier) => carrier.destroy(),
    ending: 'broken',
  },
])('no text is a command: $label ends the lease as $ending', async ({ lines, end, ending }) => {
  const dialogue = await dialogueOf(lines, end)
  const kept = lines.at(-1) === 'QUIT' ? lines.slice(0, -1) : lines
  expect(dialogue).toEqual({ said: kept.map((line) => `${line}\r\n`).join(''), ending })
})

test('an XCLIENT of any length ends the session behind its tenant', async () => {
  const { ending } = await dialogueOf([`XCLIENT HELO=${'x'.repeat(600)}`], byQuit)
  expect(ending).toBe('broken')
})

test('a connection given up while it waits for its lease ends at once, and gives it back later', async () => {
  const wrapper = new LeasedSession()
  let grant = (): void => undefined
  wrapper.granted = new Promise<void>((resolve) => {
    grant = resolve
  })
  const end = await new Promise<string>((resolve) => {
    const events = { ...nothing, onClose: resolve }
    const carrier = openSharedCarrier(wrapper, { shared: 'waited for' }, events, tlsOnly)
    setImmediate(() => carrier.destroy())
  })
  expect(end).toBe('closed')
  grant()
  expect(await wrapper.ended).toBe('cancelled')
  await wrapper.close()
})

test('a plain connection that is not made in its time is given up, with its socket', async () => {
  const neverConnects = new net.Socket()
  vi.spyOn(net, 'connect').mockReturnValueOnce(neverConnects)
  const plainHosts = new Map([['192.0.2.1:25', Number.POSITIVE_INFINITY]])
  const options = { shared: 'plain', host: '192.0.2.1', port: 25 }
  const wrapper = new TlsWrapper({ daemon: '/nonexistent/tls.sock' })
  const end = await new Promise<string>((resolve) => {
    const events = { ...nothing, onClose: resolve }
    openSharedCarrier(wrapper, options, events, { timeoutMs: 20, plainHosts })
  })
  expect(end).toBe('unreachable')
  expect(neverConnects.destroyed).toBe(true)
  await wrapper.close()
})
