/**
 * ClientListener: the local endpoint of a server session, for `accept`.
 *
 * A client that comes while nobody waits for it shakes hands and waits in its turn; nothing of it
 * is read until then. One whose handshake fails, or that does not show the key of the pin, costs
 * its own connection, and no call. Bounded: of those above `tlsWaitingClientsMax`, and of all when
 * the endpoint closes, the connection is closed.
 */
import tls from 'node:tls'
import { tlsWaitingClientsMax } from '../base/limits.ts'
import { failure, type NewOptions, type Outcome } from './api.ts'
import { checkPin, connectTimeoutMsDefault, secureOptions } from './link.ts'

const closed = failure('zeroReturn', 'the session was closed')

/** Where one server session waits for its clients. */
export class ClientListener {
  readonly #server: tls.Server
  readonly #pin: string | undefined
  readonly #waiting: tls.TLSSocket[] = []
  #isClosed = false
  /** The call that waits for a client. */
  #take: ((accepted: tls.TLSSocket | Outcome) => void) | undefined

  private constructor(server: tls.Server, pin: string | undefined) {
    this.#server = server
    this.#pin = pin
    server.maxConnections = 2 * tlsWaitingClientsMax
    server.on('secureConnection', (socket) => this.#onClient(socket))
    // Node leaves the connection of one that has said nothing for too long.
    server.on('tlsClientError', (_fault, socket) => socket.destroy())
  }

  /** Opens the endpoint of `options.listen`. Throws where it cannot be bound, and on bad PEM. */
  static async open(options: NewOptions): Promise<ClientListener> {
    const { ca, certificate, key, listen, pin } = options
    const server = tls.createServer({
      ...(ca === undefined ? {} : { ca }),
      ...(certificate === undefined ? {} : { cert: certificate }),
      ...(key === undefined ? {} : { key }),
      requestCert: options.requestCertificate === true || pin !== undefined,
      rejectUnauthorized: options.insecure !== true,
      handshakeTimeout: options.connectTimeoutMs ?? connectTimeoutMsDefault,
      minVersion: 'TLSv1.2',
      secureOptions,
    })
    await new Promise<void>((resolve, reject) => {
      // Not once: an accept that fails later costs that client alone.
      server.on('error', reject)
      server.listen({ host: listen?.host, port: listen?.port }, resolve)
    })
    return new ClientListener(server, pin)
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  /** The client whose turn it is; waits for one. One call at a time. */
  next(): Promise<tls.TLSSocket | Outcome> {
    let waiting = this.#waiting.shift()
    // A client that has gone in this round of events tells of it at its end.
    while (waiting?.destroyed === true) waiting = this.#waiting.shift()
    if (waiting !== undefined) return Promise.resolve(waiting)
    if (this.#isClosed) return Promise.resolve(closed)
    return new Promise((resolve) => {
      this.#take = resolve
    })
  }

  /** Ends the endpoint, and the clients that wait. */
  close(): void {
    this.#isClosed = true
    this.#server.close()
    for (const socket of this.#waiting.splice(0)) socket.destroy()
    this.#give(closed)
  }

  #give(accepted: tls.TLSSocket | Outcome): void {
    this.#take?.(accepted)
    this.#take = undefined
  }

  #onClient(socket: tls.TLSSocket): void {
    // A fault is told by the call that takes it; without a listener it would end the process.
    socket.on('error', () => undefined)
    const isFull = this.#isClosed || this.#waiting.length >= tlsWaitingClientsMax
    if (isFull || checkPin(socket, this.#pin).code !== 'none') socket.destroy()
    else if (this.#take !== undefined) this.#give(socket)
    else {
      this.#waiting.push(socket)
      socket.once('close', () => this.#forget(socket))
    }
  }

  #forget(socket: tls.TLSSocket): void {
    const at = this.#waiting.indexOf(socket)
    if (at !== -1) this.#waiting.splice(at, 1)
  }
}
