/**
 * A client for tests that says exactly what it is told to and waits for replies by event.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** One connection. */
export class SmtpClient {
  readonly socket: Socket
  /** Everything heard so far. */
  heard = ''
  isClosed = false
  #at = 0
  #wake: (() => void) | undefined

  /** Connects and waits for the greeting. */
  static async open(port: number, localAddress = '127.0.0.1'): Promise<SmtpClient> {
    const socket = connect({ host: '127.0.0.1', port, localAddress, noDelay: true })
    const client = new SmtpClient(socket)
    await once(socket, 'connect')
    await client.reply()
    return client
  }

  constructor(socket: Socket) {
    this.socket = socket
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      this.heard += text
      this.#wake?.()
    })
    // What a test expects of a broken connection it reads from `isClosed`.
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      this.isClosed = true
      this.#wake?.()
    })
  }

  /** Sends octets as they are. */
  send(octets: string | Uint8Array): void {
    if (typeof octets === 'string') this.socket.write(octets, 'latin1')
    else this.socket.write(octets)
  }

  /** Sends a line and resolves with the whole reply to it. */
  async says(line: string): Promise<string> {
    this.send(`${line}\r\n`)
    return this.reply()
  }

  /** Several lines, a reply to each; resolves with the last. */
  async saysAll(...lines: readonly string[]): Promise<string> {
    let last = ''
    for (const line of lines) last = await this.says(line)
    return last
  }

  /** The next whole reply, or what there is when the connection ends. */
  async reply(): Promise<string> {
    for (;;) {
      const match = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\n/.exec(this.heard.slice(this.#at))
      if (match !== null) {
        this.#at += match[0].length
        return match[0]
      }
      if (this.isClosed) return this.heard.slice(this.#at)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** Resolves when the server has closed. */
  async closed(): Promise<void> {
    while (!this.isClosed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** Leaves at once. */
  leave(): void {
    this.socket.destroy()
  }
}
