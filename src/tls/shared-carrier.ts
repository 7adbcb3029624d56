/**
 * SharedCarrier: a connection to the mailhost that is a lease on a shared TLS session.
 *
 * To its user it looks like a fresh SMTP connection: it greets in the mailhost's name and answers
 * the first EHLO from what the session's own EHLO learnt; QUIT gives the lease back and is not
 * sent. All else passes unchanged. Where the daemon is away or refuses, the wrapper makes the
 * session here: the direct connection takes over and the user sees no difference.
 *
 * Where TLS is opportunistic and the mailhost offers none, or the handshake fails, the connection
 * is a plain one, and stays so for a while for those that follow: nothing is asked twice for each.
 *
 * Its user may keep it for many messages. When others wait for the session (`onWanted`), or it was
 * kept for long (`onOverdue`), the user gives it back between two messages.
 *
 * A connection that ends in any other way than QUIT gives the lease back as broken: the daemon then
 * ends that session, so that nothing half said is ever completed by the next tenant.
 */
import net from 'node:net'
import { tlsDirectKeepMs, tlsLeaseKeepMs, tlsPlainMs } from '../base/limits.ts'
import { type Lease, type NewOptions, newLeaseId, type ReadOutcome, type TlsCode } from './api.ts'
import { type Carrier, type CarrierEvents, SocketCarrier } from './carrier.ts'
import type { TlsSession, TlsWrapper } from './wrapper.ts'

const readOctets = 64 * 1024
const quit = Buffer.from('QUIT\r\n')
const ehlo = Buffer.from('EHLO')
const xclient = Buffer.from('XCLIENT')

/** It went away, or was started anew, between `new` and the lease; or it will not. */
const daemonFaults: ReadonlySet<TlsCode> = new Set(['daemonGone', 'badToken', 'refused'])

/**
 * Mailhosts that had no TLS to offer: until when (`performance.now()`) nothing is asked, by name.
 */
export type PlainHosts = Map<string, number>

/** The way without TLS. */
export interface PlainWay {
  /** Longest that a plain connection takes to be made, milliseconds. */
  readonly timeoutMs: number
  /**
   * Where TLS is opportunistic: the thread's memory of those without; else there is no such way.
   */
  readonly plainHosts: PlainHosts | undefined
}

/** Opens a connection over a shared session. */
export function openSharedCarrier(
  wrapper: TlsWrapper,
  options: NewOptions,
  events: CarrierEvents,
  plainWay: PlainWay,
): Carrier {
  const carrier = new SharedCarrier(wrapper, options, events, plainWay)
  void carrier.run()
  return carrier
}

type Opened = readonly [TlsSession, Lease]

class SharedCarrier implements Carrier {
  readonly #wrapper: TlsWrapper
  readonly #options: NewOptions
  readonly #events: CarrierEvents
  readonly #lease = newLeaseId()
  #session: TlsSession | undefined
  #greeting = ''
  #hasGreeted = false
  /** QUIT was the last that was said: it is not sent on, the session has other tenants. */
  #hasQuit = false
  #isOver = false
  #backlog = 0
  #isPaused = false
  #onResume: () => void = () => undefined
  #mustClose = false
  readonly #plainWay: PlainWay
  #plain: Carrier | undefined

  constructor(wrapper: TlsWrapper, options: NewOptions, events: CarrierEvents, plainWay: PlainWay) {
    this.#plainWay = plainWay
    this.#wrapper = wrapper
    this.#options = options
    this.#events = events
  }

  async run(): Promise<void> {
    const { plainHosts } = this.#plainWay
    const plainUntilMs = plainHosts?.get(this.#hostName) ?? 0
    if (performance.now() < plainUntilMs) {
      this.#goPlain()
      return
    }
    const opened = await this.#opened()
    if (opened === undefined) {
      this.#events.onClose('closed')
      return
    }
    const [session, lease] = opened
    if (lease.code !== 'none') {
      await session.free()
      if (lease.code === 'ssl' && plainHosts !== undefined && !this.#isOver) {
        plainHosts.set(this.#hostName, performance.now() + tlsPlainMs)
        this.#goPlain()
      } else this.#events.onClose('unreachable')
      return
    }
    this.#greeting = lease.greeting
    if (session.route === 'unshared') this.#events.onDirect?.()
    this.#events.onConnected()
    this.#events.onData(Buffer.from(`220 ${firstWord(lease.greeting)} ESMTP\r\n`, 'latin1'))
    // A direct connection stands in for the daemon, which may be back.
    const keepMs = session.route === 'shared' ? tlsLeaseKeepMs : tlsDirectKeepMs
    const timer = setTimeout(() => this.#events.onOverdue?.(), keepMs).unref()
    await this.#readOn(session)
    clearTimeout(timer)
    // Clean by its user's order alone, which says QUIT and ends: never by what a message holds.
    const isClean = this.#isOver && this.#hasQuit && !this.#mustClose
    await lease.release(isClean ? 'cancelled' : 'broken')
    await session.free()
    this.#events.onClose(this.#isOver ? 'closed' : 'ended')
  }

  /** Undefined: the connection is over; what it waited for, maybe for long, is given back. */
  #opened(): Promise<Opened | undefined> {
    return new Promise((resolve) => {
      this.#wake = () => resolve(undefined)
      void this.#leased().then(async (opened) => {
        if (!this.#isOver) {
          resolve(opened)
          return
        }
        const [session, lease] = opened
        if (lease.code === 'none') await lease.release('cancelled')
        await session.free()
      })
    })
  }

  async #leased(): Promise<Opened> {
    const opened = await this.#leaseOf(this.#options)
    const [session, lease] = opened
    const isDaemons = session.route === 'shared' && daemonFaults.has(lease.code)
    if (!isDaemons || this.#options.fallback !== true || this.#isOver) return opened
    await session.free()
    return this.#leaseOf({ ...this.#options, shared: false })
  }

  async #leaseOf(options: NewOptions): Promise<Opened> {
    const session = await this.#wrapper.new(options)
    this.#session = session
    return [session, await session.lease({ id: this.#lease, yields: true })]
  }

  write(octets: Uint8Array): number {
    if (this.#plain !== undefined) return this.#plain.write(octets)
    const session = this.#session
    if (session === undefined || this.#isOver) return 0
    if (!this.#hasGreeted && this.#answersHello(octets)) return this.#backlog
    // What looked like QUIT was a line of a message: more follows.
    if (this.#hasQuit) this.#send(session, quit)
    this.#hasQuit = quit.equals(octets)
    if (this.#hasQuit) return this.#backlog
    // XCLIENT changes who the session speaks for: no other tenant may have it afterwards. A line of
    // a message that reads like it costs no more than that.
    if (beginsWith(octets, xclient)) this.#mustClose = true
    this.#send(session, octets)
    return this.#backlog
  }

  get untaken(): number {
    return this.#plain?.untaken ?? this.#backlog
  }

  #send(session: TlsSession, octets: Uint8Array): void {
    this.#backlog += octets.length
    void session.write(octets, { lease: this.#lease }).then(({ code }) => {
      this.#backlog -= octets.length
      if (code === 'none' && this.#backlog === 0) this.#events.onDrain()
    })
  }

  pause(): void {
    this.#plain?.pause()
    this.#isPaused = true
  }

  resume(): void {
    this.#plain?.resume()
    this.#isPaused = false
    this.#onResume()
  }

  end(done: () => void): void {
    this.#isOver = true
    if (this.#plain !== undefined) {
      this.#plain.end(done)
      return
    }
    this.#wake()
    done()
  }

  destroy(): void {
    this.#hasQuit = false
    this.#isOver = true
    this.#plain?.destroy()
    this.#wake()
  }

  get #hostName(): string {
    return `${this.#options.host}:${this.#options.port}`
  }

  /** The mailhost itself, in the clear: it greets by itself, and QUIT is sent to it. */
  #goPlain(): void {
    const { host = '', port = 0 } = this.#options
    const events = this.#events
    const socket = net.connect({ host, port, noDelay: true })
    let reason: 'ended' | 'unreachable' = 'unreachable'
    const timer = setTimeout(() => socket.destroy(), this.#plainWay.timeoutMs)
    socket.on('connect', () => {
      clearTimeout(timer)
      reason = 'ended'
      events.onConnected()
    })
    socket.on('data', (chunk: Buffer) => events.onData(chunk))
    socket.on('drain', () => events.onDrain())
    socket.on('end', () => events.onEnd())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      clearTimeout(timer)
      events.onClose(this.#isOver ? 'closed' : reason)
    })
    this.#plain = new SocketCarrier(socket)
  }

  /** Delivers what the peer says, until the connection or the session ends. */
  async #readOn(session: TlsSession): Promise<void> {
    while (!this.#isOver) {
      const end = await this.#endOf(session.read(readOctets, { lease: this.#lease }))
      if (end === undefined) return
      if (end.code === 'wantRead') {
        this.#events.onWanted?.()
        continue
      }
      if (end.code !== 'none') {
        if (!this.#isOver) this.#events.onEnd()
        return
      }
      while (this.#isPaused && !this.#isOver) {
        await new Promise<void>((resolve) => {
          this.#onResume = resolve
          this.#wake = resolve
        })
      }
      if (!this.#isOver) this.#events.onData(end.data)
    }
  }

  /** Undefined: the connection was over before. One promise a read: none holds what was read. */
  #endOf(read: Promise<ReadOutcome>): Promise<ReadOutcome | undefined> {
    return new Promise((resolve) => {
      this.#wake = () => resolve(undefined)
      void read.then(resolve)
    })
  }

  #wake: () => void = () => undefined

  /** The session has had its EHLO: the first one of a tenant is answered from that. */
  #answersHello(octets: Uint8Array): boolean {
    this.#hasGreeted = true
    if (!beginsWith(octets, ehlo)) return false
    const lines = this.#greeting.split('\r\n').slice(0, -1)
    const last = lines.length - 1
    const reply = lines.map((line, at) => `250${at < last ? '-' : ' '}${line}\r\n`).join('')
    setImmediate(() => {
      if (!this.#isOver) this.#events.onData(Buffer.from(reply, 'latin1'))
    })
    return true
  }
}

function beginsWith(octets: Uint8Array, command: Uint8Array): boolean {
  let at = 0
  while (at < command.length && octets[at] === command[at]) at++
  return at === command.length
}

function firstWord(greeting: string): string {
  return greeting.split(/[ \r]/, 1)[0] ?? ''
}
