/**
 * RelayWrap: `activemx tls wrap --listen … --to …`: plain connections in, TLS conversations out.
 *
 * Each local connection is one conversation: a session of its own, or with a shared name a lease on
 * the daemon's session. SMTP over a shared session keeps the session for the next tenant: the local
 * client is greeted in the server's name, its QUIT is answered here, and a conversation that ends
 * in the middle of a message, or in which the client said AUTH or XCLIENT, gives the lease back as
 * broken: nothing of it is ever sent, and nobody else speaks in its name.
 *
 * Backpressure both ways: the local side is not read while a write waits, the session is not read
 * while the local side's backlog is not taken.
 */
import net from 'node:net'
import { messageOf, OperatingError } from '../base/errors.ts'
import { ConversationFollower } from '../smtp/conversation-follower.ts'
import type { Lease, NewOptions, Outcome } from './api.ts'
import type { TlsSession, TlsWrapper } from './wrapper.ts'

/** How a relay is set up. */
export interface RelayOptions {
  /** Local endpoint: port (and address), or a path. */
  readonly listen: { readonly host: string; readonly port: number } | { readonly path: string }
  /** The session of each conversation. */
  readonly session: NewOptions
  readonly log?: (text: string) => void
}

const readOctets = 64 * 1024
/** A raw shared conversation whose client half-closed ends when its peer was silent so long. */
const lingerMs = 1000

/** A running relay; ends by `stop`. */
export class RelayWrap {
  readonly #server: net.Server
  readonly #connections = new Set<net.Socket>()

  private constructor(wrapper: TlsWrapper, options: RelayOptions) {
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.#connections.add(socket)
      socket.on('error', () => socket.destroy())
      socket.on('close', () => this.#connections.delete(socket))
      const conversation = new Conversation(wrapper, options, socket)
      conversation.run().catch((error) => {
        options.log?.(`conversation: ${messageOf(error)}`)
        socket.destroy()
      })
    })
  }

  /** Starts to take connections. @throws OperatingError where it cannot listen. */
  static async start(wrapper: TlsWrapper, options: RelayOptions): Promise<RelayWrap> {
    const relay = new RelayWrap(wrapper, options)
    await new Promise<void>((resolve, reject) => {
      const refuse = (error: Error): void =>
        reject(new OperatingError('TLS_WRAP_LISTEN', `cannot listen: ${error.message}`))
      // Later ones speak of a client that cannot be taken, for lack of descriptors.
      relay.#server.on('error', refuse).listen(options.listen, resolve)
    })
    return relay
  }

  /** The port that was bound; 0 for a path. */
  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  /** Ends every conversation and the listener. */
  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#connections) socket.destroy()
    await closed
  }
}

/** One local connection. */
class Conversation {
  readonly #wrapper: TlsWrapper
  readonly #options: RelayOptions
  readonly #socket: net.Socket
  readonly #follower: ConversationFollower | undefined
  #hasClientEnded = false

  constructor(wrapper: TlsWrapper, options: RelayOptions, socket: net.Socket) {
    this.#wrapper = wrapper
    this.#options = options
    this.#socket = socket
    const { shared, starttls, conversation } = options.session
    const isSmtp = starttls === 'smtp' || conversation === 'smtp'
    this.#follower = isSmtp && shared !== false ? new ConversationFollower() : undefined
  }

  async run(): Promise<void> {
    this.#socket.pause()
    const session = await this.#wrapper.new(this.#options.session)
    if (session.route === 'shared') await this.#runShared(session)
    else await this.#runOwn(session)
    await session.free()
  }

  async #runOwn(session: TlsSession): Promise<void> {
    const outcome = await session.connect()
    if (outcome.code !== 'none') return this.#refuse(outcome)
    this.#greet(await this.#greetingOfOwn(session))
    const toPeer = this.#copyToPeer(session, 0).then(() => session.shutdown())
    await this.#copyToClient(session, 0)
    this.#socket.end()
    await toPeer
  }

  async #runShared(session: TlsSession): Promise<void> {
    const lease = await session.lease()
    if (lease.code !== 'none') return this.#refuse(lease)
    this.#greet(lease.greeting)
    const toClient = this.#copyToClient(session, lease.id)
    await this.#copyToPeer(session, lease.id)
    await this.#endShared(lease, toClient)
    if (!this.#socket.destroyed) this.#socket.end()
  }

  /** Gives the lease back, in the state that the conversation is in. */
  async #endShared(lease: Lease, toClient: Promise<void>): Promise<void> {
    if (this.#follower === undefined) {
      await this.#silence()
      await lease.release('cancelled')
    } else {
      if (this.#follower.hasQuit) await this.#allReplies(toClient)
      const isFit = this.#follower.isAtRest && !this.#follower.isPersonal
      await lease.release(isFit ? 'cancelled' : 'broken')
      if (this.#follower.hasQuit) this.#socket.write('221 2.0.0 Bye\r\n')
    }
    await toClient
  }

  /** The last EHLO reply lies in the lease; a session of one's own has one all the same. */
  async #greetingOfOwn(session: TlsSession): Promise<string> {
    const { starttls, conversation } = this.#options.session
    if (starttls !== 'smtp' && conversation !== 'smtp') return ''
    const lease = await session.lease()
    await lease.release()
    return lease.greeting
  }

  // The server's own greeting was taken before TLS: the local client gets one in its name.
  #greet(ehlo: string): void {
    const [name = ''] = ehlo.split(/[ \r]/, 1)
    if (ehlo !== '') this.#socket.write(`220 ${name} ESMTP\r\n`)
  }

  #refuse({ code, message }: Outcome): void {
    const { starttls, conversation } = this.#options.session
    this.#options.log?.(`no session: ${code}: ${message}`)
    if (starttls !== 'smtp' && conversation !== 'smtp') this.#socket.destroy()
    else
      this.#socket.end('421 4.4.1 No TLS session to the server\r\n', () => this.#socket.destroy())
  }

  /** Until the client ends, quits, or a write fails. */
  async #copyToPeer(session: TlsSession, lease: number): Promise<void> {
    for await (const chunk of this.#clientChunks()) {
      const octets = this.#follower?.client(chunk) ?? chunk
      if (octets.length > 0) {
        const { code } = await session.write(octets, { lease })
        if (code !== 'none') return
      }
      if (this.#follower?.hasQuit === true) return
    }
    this.#hasClientEnded = true
  }

  async *#clientChunks(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of this.#socket.iterator({ destroyOnReturn: false })) {
        yield chunk as Uint8Array
      }
    } catch {
      // The client is gone; what it left unfinished is judged where the conversation ends.
    }
  }

  /** Until the session ends, the lease is given back, or the client is gone. */
  async #copyToClient(session: TlsSession, lease: number): Promise<void> {
    for (;;) {
      const { code, data } = await session.read(readOctets, { lease })
      if (code !== 'none') break
      this.#lastHeardAtMs = performance.now()
      const isSmtp = this.#follower?.server(data) !== false
      if (this.#socket.destroyed || !isSmtp) break
      if (!this.#socket.write(data)) await this.#first('drain')
      this.#onReply()
    }
    // Nothing more comes for the client; its own end may still be on the way.
    if (!this.#hasClientEnded && this.#follower?.hasQuit !== true) this.#socket.end()
    this.#onReply()
  }

  #lastHeardAtMs = performance.now()
  #onReply: () => void = () => undefined

  /** Resolves with the event or the socket's end; leaves no listener behind. */
  #first(event: 'drain' | 'close', afterMs = 0): Promise<void> {
    const socket = this.#socket
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer)
        socket.off(event, finish).off('close', finish)
        resolve()
      }
      const timer = afterMs === 0 ? undefined : setTimeout(finish, afterMs)
      socket.on(event, finish).on('close', finish)
    })
  }

  /** Every command has had its reply, or none will come. */
  async #allReplies(toClient: Promise<void>): Promise<void> {
    let isOver = false
    void toClient.then(() => {
      isOver = true
    })
    while ((this.#follower?.awaited ?? 0) > 0 && !isOver) {
      await new Promise<void>((resolve) => {
        this.#onReply = resolve
      })
    }
  }

  async #silence(): Promise<void> {
    while (!this.#socket.destroyed) {
      const leftMs = this.#lastHeardAtMs + lingerMs - performance.now()
      if (leftMs <= 0) return
      await this.#first('close', leftMs)
    }
  }
}
