/**
 * A client for tests: says octets, waits for octets and for the end. Waits for events, never for
 * time.
 */
import { connect, type Socket } from 'node:net'

/** How a connection ended, as the client saw it. */
export type ClientEnd = 'ended' | 'reset'

/** A TCP client that keeps all it has received. */
export class RawClient {
  readonly socket: Socket
  received = Buffer.alloc(0)
  end: ClientEnd | undefined
  readonly #waiting = new Set<() => void>()

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk])
      this.#wake()
    })
    socket.on('error', () => {
      this.end ??= 'reset'
      this.#wake()
    })
    for (const event of ['end', 'close'])
      socket.on(event, () => {
        this.end ??= 'ended'
        this.#wake()
      })
  }

  get text(): string {
    return this.received.toString('latin1')
  }

  send(octets: string | Uint8Array): this {
    this.socket.write(typeof octets === 'string' ? Buffer.from(octets, 'latin1') : octets)
    return this
  }

  /** Resolves with all that was received, once it holds `text`; fails if the end comes first. */
  async sees(text: string): Promise<string> {
    await this.#until(() => this.text.includes(text) || this.end !== undefined)
    if (!this.text.includes(text)) {
      throw new Error(`${this.end} after ${JSON.stringify(this.text)}, awaited ${text}`)
    }
    return this.text
  }

  /** Resolves when the other side has ended or reset the connection. */
  async ends(): Promise<ClientEnd> {
    await this.#until(() => this.end !== undefined)
    return this.end ?? 'ended'
  }

  /** Resolves when this many octets have been received in all. */
  async holds(octets: number): Promise<void> {
    await this.#until(() => this.received.length >= octets)
  }

  async #until(isReached: () => boolean): Promise<void> {
    while (!isReached()) {
      await new Promise<void>((resolve) => this.#waiting.add(resolve))
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }
}

/** Connects to a port of loopback, from another loopback address if one is given. */
export async function connectClient(port: number, from?: string): Promise<RawClient> {
  const isVersion6 = from?.includes(':') ?? false
  const socket = connect({
    port,
    host: isVersion6 ? '::1' : '127.0.0.1',
    allowHalfOpen: true,
    noDelay: true,
    ...(from === undefined ? {} : { localAddress: from }),
  })
  const client = new RawClient(socket)
  await new Promise((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', (error: NodeJS.ErrnoException) => {
      // A connection that was made and reset before this side looked counts as made.
      if (error.code === 'ECONNRESET') resolve(undefined)
      else reject(error)
    })
  })
  return client
}
