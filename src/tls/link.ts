/**
 * Link: one TLS connection over node:tls, client or server side, as the sessions use it.
 *
 * Opens (TCP or Unix socket, STARTTLS where asked, handshake, verification, SMTP greeting where it
 * carries SMTP) under one deadline, reads ahead into a bounded buffer, and reports by three events.
 * Used in the application's process for unshared sessions and in the daemon for shared ones.
 *
 * Invariants: `onEnd` comes once after a successful `open` and never before; what was received
 * before it can still be taken; after it writes answer false and go nowhere. No event is raised
 * from inside a method. A fault of the connection is an Outcome, never an exception.
 *
 * node:tls reports a TCP end without close-notify as an end: truncation must be told by the
 * protocol inside, as SMTP does.
 */
import { constants, createHash } from 'node:crypto'
import net from 'node:net'
import { hostname } from 'node:os'
import tls from 'node:tls'
import { tlsInboundOctetsMax, tlsTurnoverMsMax } from '../base/limits.ts'
import { failure, type NewOptions, type Outcome, success } from './api.ts'
import type { ClientListener } from './client-listener.ts'
import { faultOf, timedOut } from './fault.ts'
import { askReply, openSmtp, openStartTls } from './smtp-opening.ts'

/** What a link tells its session. */
export interface LinkEvents {
  /** Octets have come. */
  onReadable(): void
  /** All that was written has gone to the kernel, after a write answered false. */
  onDrain(): void
  /** The connection is over. */
  onEnd(outcome: Outcome): void
  /** The peer gave a ticket: a later connection of the same options may show it. */
  onTicket(ticket: Buffer): void
}

/** What was agreed in the handshake. */
export interface Agreement {
  readonly protocol: string
  readonly cipher: string
  readonly isResumed: boolean
  /** The EHLO reply inside TLS of an SMTP peer, else ''. */
  readonly greeting: string
}

/** Longest that a session takes to open where it names no time. Milliseconds. */
export const connectTimeoutMsDefault = 15_000

/** One connection; opened once, never reused. */
export class Link {
  agreement: Agreement = { protocol: '', cipher: '', isResumed: false, greeting: '' }
  /** Octets that wait for `take`. */
  buffered = 0
  readonly #options: NewOptions
  readonly #events: LinkEvents
  #socket: tls.TLSSocket | undefined
  #raw: net.Socket | undefined
  #chunks: Uint8Array[] = []
  #isOpen = false
  #lastFault: Outcome | undefined

  constructor(options: NewOptions, events: LinkEvents) {
    this.#options = options
    this.#events = events
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /**
   * Connects and shakes hands. @param context made by `contextOf`, shared by a name's links.
   * @param ticket of an earlier link of the same options: a shorter handshake.
   */
  async open(context: tls.SecureContext, ticket: Buffer | undefined): Promise<Outcome> {
    return this.#withDeadline(this.#connect(context, ticket))
  }

  /** Takes the client whose turn it is; waits for one as long as the endpoint is open. */
  async openAccepted(listener: ClientListener): Promise<Outcome> {
    const accepted = await listener.next()
    if (!(accepted instanceof tls.TLSSocket)) return accepted
    this.#socket = accepted
    // A shutdown while nobody was connected has ended nothing.
    this.#lastFault = undefined
    return this.#ready(success, false)
  }

  /** Queues octets. False: wait for `onDrain` before the next. The link reads them until then. */
  write(octets: Uint8Array): boolean {
    return this.#isOpen && this.#socket?.write(octets) === true
  }

  /** Gathers the writes of one wake-up into as few records as fit. */
  cork(): void {
    this.#socket?.cork()
  }

  /** Lets the gathered writes go. */
  uncork(): void {
    this.#socket?.uncork()
  }

  /** At most `octetsMax` of what has come, in order; undefined when there is nothing. */
  take(octetsMax: number): Uint8Array | undefined {
    const first = this.#chunks[0]
    if (first === undefined) return undefined
    const taken = this.#takeFrom(first, octetsMax)
    this.buffered -= taken.length
    if (this.#isOpen && this.buffered < tlsInboundOctetsMax / 2) this.#socket?.resume()
    return taken
  }

  /** Forgets what has come. */
  discard(): void {
    this.#chunks = []
    this.buffered = 0
  }

  /** Sends an SMTP command and awaits its reply, while nobody else reads. */
  async ask(command: string): Promise<number> {
    const socket = this.#socket
    if (socket === undefined || !this.#isOpen || this.buffered > 0) return 0
    socket.off('data', this.#onData)
    const asked = await this.#askInTime(socket, command)
    if (this.#isOpen) socket.on('data', this.#onData).resume()
    return asked
  }

  /** Ends with close-notify, after QUIT where the peer speaks SMTP. Resolves when it is over. */
  async close(): Promise<void> {
    const socket = this.#socket
    if (socket === undefined || !this.#isOpen) return this.destroy()
    if (this.#speaksSmtp) await this.ask('QUIT')
    this.#lastFault ??= failure('zeroReturn', 'the session was shut down')
    socket.end()
    const timer = setTimeout(() => socket.destroy(), tlsTurnoverMsMax)
    await this.#over(socket)
    clearTimeout(timer)
  }

  /** Ends at once, for what `fault` says. Resolves when it is over. */
  async destroy(fault = failure('zeroReturn', 'the session was closed')): Promise<void> {
    this.#lastFault ??= fault
    // Once TLS stands on it, the TCP socket must not be destroyed by itself: Node then frees its
    // handle below the TLS socket, and crashes (seen with 20.20).
    const socket = this.#socket ?? this.#raw
    socket?.destroy()
    if (socket !== undefined) await this.#over(socket)
  }

  /** Whoever waited for the end must not find the link open: a socket tells of it a tick later. */
  async #over(socket: net.Socket): Promise<void> {
    await closed(socket)
    this.#end()
  }

  get #speaksSmtp(): boolean {
    return this.#options.starttls === 'smtp' || this.#options.conversation === 'smtp'
  }

  get #ehlo(): string {
    return this.#options.ehlo ?? hostname()
  }

  async #withDeadline(opening: Promise<Outcome>): Promise<Outcome> {
    const afterMs = this.#options.connectTimeoutMs ?? connectTimeoutMsDefault
    const timer = setTimeout(() => {
      this.#lastFault = timedOut('the connection', afterMs)
      void this.destroy()
    }, afterMs)
    // What Node refuses to try, a port out of range, is an outcome like any other.
    const outcome = await opening.catch(faultOf)
    clearTimeout(timer)
    if (outcome.code === 'none') return outcome
    const fault = this.#lastFault ?? outcome
    void this.destroy()
    return fault
  }

  async #connect(context: tls.SecureContext, ticket: Buffer | undefined): Promise<Outcome> {
    const raw = this.#reach()
    this.#raw = raw
    const reached = await onceReady(raw, 'connect')
    if (reached.code !== 'none') return reached
    if (this.#options.starttls === 'smtp') {
      const opened = await openStartTls(raw, this.#ehlo)
      if (!opened.ok) return opened.fault
    }
    const socket = tls.connect(this.#tlsOptions(raw, context, ticket)).on('error', ignoreError)
    this.#socket = socket
    socket.on('session', (ticket: Buffer) => this.#events.onTicket(ticket))
    const shaken = await onceReady(socket, 'secureConnect')
    const checked = shaken.code === 'none' ? checkPin(socket, this.#options.pin) : shaken
    return this.#ready(checked, this.#speaksSmtp)
  }

  #reach(): net.Socket {
    const { host, port, path } = this.#options
    const raw =
      path === undefined
        ? net.connect({ host: host ?? 'localhost', port: port ?? 0, noDelay: true })
        : net.connect({ path })
    return raw.on('error', ignoreError).setKeepAlive(true, 60_000)
  }

  #tlsOptions(
    socket: net.Socket,
    secureContext: tls.SecureContext,
    session: Buffer | undefined,
  ): tls.ConnectionOptions {
    const { host, servername = host ?? '', insecure } = this.#options
    return {
      socket,
      secureContext,
      rejectUnauthorized: insecure !== true,
      ...(net.isIP(servername) === 0 && servername !== '' ? { servername } : {}),
      checkServerIdentity: (_host, certificate) =>
        servername === '' ? undefined : tls.checkServerIdentity(servername, certificate),
      ...(session === undefined ? {} : { session }),
    }
  }

  /** The handshake is over: SMTP peers are greeted, then octets flow. */
  async #ready(outcome: Outcome, isGreeted: boolean): Promise<Outcome> {
    const socket = this.#socket
    if (outcome.code !== 'none' || socket === undefined) return outcome
    let greeting = ''
    if (isGreeted) {
      const opened = await openSmtp(socket, this.#ehlo, this.#options.starttls === undefined)
      if (!opened.ok) return opened.fault
      greeting = opened.greeting
    }
    this.agreement = {
      protocol: socket.getProtocol() ?? '',
      cipher: socket.getCipher().standardName,
      isResumed: socket.isSessionReused(),
      greeting,
    }
    return this.#listen(socket)
  }

  #listen(socket: tls.TLSSocket): Outcome {
    if (socket.destroyed) return this.#lastFault ?? failure('syscall', 'the peer has closed')
    this.#isOpen = true
    socket.on('data', this.#onData)
    socket.on('drain', () => this.#events.onDrain())
    socket.on('error', (error) => {
      this.#lastFault ??= faultOf(error)
    })
    socket.on('end', () => {
      this.#lastFault ??= failure('zeroReturn', 'the peer has closed')
      this.#end()
    })
    socket.on('close', () => this.#end())
    socket.resume()
    return success
  }

  readonly #onData = (chunk: Uint8Array): void => {
    this.#chunks.push(chunk)
    this.buffered += chunk.length
    if (this.buffered >= tlsInboundOctetsMax) this.#socket?.pause()
    this.#events.onReadable()
  }

  #end(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#events.onEnd(this.#lastFault ?? failure('syscall', 'the connection was lost'))
  }

  #takeFrom(first: Uint8Array, octetsMax: number): Uint8Array {
    if (this.#chunks.length === 1 && first.length <= octetsMax) {
      this.#chunks = []
      return first
    }
    const size = Math.min(this.buffered, octetsMax)
    const taken = Buffer.allocUnsafe(size)
    let filled = 0
    let used = 0
    while (filled < size) {
      const chunk = this.#chunks[used]
      if (chunk === undefined) break
      const part = Math.min(chunk.length, size - filled)
      taken.set(chunk.subarray(0, part), filled)
      filled += part
      if (part < chunk.length) this.#chunks[used] = chunk.subarray(part)
      else used++
    }
    this.#chunks.splice(0, used)
    return taken
  }

  async #askInTime(socket: tls.TLSSocket, command: string): Promise<number> {
    const timer = setTimeout(() => {
      this.#lastFault ??= timedOut(command, tlsTurnoverMsMax)
      socket.destroy()
    }, tlsTurnoverMsMax)
    const asked = await askReply(socket, command)
    clearTimeout(timer)
    return asked.ok ? asked.reply.code : 0
  }
}

/** RFC 9325 §3.3, §3.5. */
export const secureOptions = constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION

/** Keys, certificates and trust of a session, made once for all its links. Throws on bad PEM. */
export function contextOf(options: NewOptions): tls.SecureContext {
  return tls.createSecureContext({
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    ...(options.certificate === undefined ? {} : { cert: options.certificate }),
    ...(options.key === undefined ? {} : { key: options.key }),
    minVersion: 'TLSv1.2',
    secureOptions,
  })
}

/** An error is reported by the step that waits; without a listener it would end the process. */
function ignoreError(): void {}

function closed(socket: net.Socket): Promise<void> {
  if (socket.closed) return Promise.resolve()
  return new Promise((resolve) => {
    socket.once('close', () => resolve())
  })
}

function onceReady(socket: net.Socket, event: 'connect' | 'secureConnect'): Promise<Outcome> {
  return new Promise((resolve) => {
    const finish = (outcome: Outcome): void => {
      socket.off(event, onReady).off('error', onError).off('close', onClose)
      resolve(outcome)
    }
    const onReady = (): void => finish(success)
    const onError = (error: Error): void => finish(faultOf(error))
    const onClose = (): void => finish(failure('syscall', 'the peer closed in the handshake'))
    socket.on(event, onReady).on('error', onError).on('close', onClose)
  })
}

/** Whether the peer shows the key of this pin; success where there is no pin. */
export function checkPin(socket: tls.TLSSocket, pin: string | undefined): Outcome {
  if (pin === undefined) return success
  const key = socket.getPeerX509Certificate()?.publicKey
  const hash = createHash('sha256')
  if (key !== undefined) hash.update(key.export({ type: 'spki', format: 'der' }))
  if (key !== undefined && hash.digest('base64') === pin) return success
  return failure('ssl', "the peer's key is not the pinned one")
}
