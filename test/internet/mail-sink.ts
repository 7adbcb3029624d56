/**
 * MailSink: the protected mailhost of the loopback internet. It takes what it is given for its
 * domains and keeps it for the test to look at.
 */
import net from 'node:net'

/** A message as the mailhost took it. */
export interface Delivered {
  readonly sender: string
  readonly recipients: readonly string[]
  /** Header and body as received, dots still stuffed, without the final dot. */
  readonly message: string
}

interface Envelope {
  sender: string
  recipients: string[]
  message: string[]
  isInData: boolean
}

const keywords = ['PIPELINING', 'SIZE 50000000', '8BITMIME', 'XFORWARD NAME ADDR PORT PROTO HELO']
const helloReply = `250-mailhost\r\n${keywords.map((word) => `250-${word}\r\n`).join('')}250 DSN\r\n`

/** One mailhost. */
export class MailSink {
  readonly delivered: Delivered[] = []
  readonly #domains: readonly string[]
  /** Known users; undefined: it takes every user. */
  users: readonly string[] | undefined
  readonly #server = net.createServer((socket) => this.#onConnection(socket))
  readonly #open = new Set<net.Socket>()
  #endpoint = ''

  constructor(domains: readonly string[], users?: readonly string[]) {
    this.#domains = domains
    this.users = users
  }

  /** `address:port` once it listens. */
  get endpoint(): string {
    return this.#endpoint
  }

  /** Binds a free port of the address. */
  listen(address: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(0, address, () => {
        const bound = this.#server.address()
        const port = typeof bound === 'object' && bound !== null ? bound.port : 0
        this.#endpoint = `${address}:${port}`
        resolve()
      })
    })
  }

  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #onConnection(socket: net.Socket): void {
    this.#open.add(socket)
    socket.on('close', () => this.#open.delete(socket))
    socket.on('error', () => socket.destroy())
    const envelope: Envelope = { sender: '', recipients: [], message: [], isInData: false }
    let pending = ''
    socket.write('220 mailhost ESMTP\r\n')
    socket.on('data', (octets) => {
      pending += octets.toString('latin1')
      const lines = pending.split('\r\n')
      pending = lines.pop() ?? ''
      const replies = lines.map((line) => this.#onLine(envelope, line)).join('')
      if (replies !== '' && socket.writable) socket.write(replies, 'latin1')
      if (replies.endsWith('bye\r\n')) socket.end()
    })
  }

  #onLine(envelope: Envelope, line: string): string {
    if (envelope.isInData) return this.#onMessageLine(envelope, line)
    const verb = (line.split(' ')[0] ?? '').toUpperCase()
    switch (verb) {
      case 'EHLO':
        return helloReply
      case 'MAIL':
        envelope.sender = pathOf(line)
        envelope.recipients = []
        return '250 2.1.0 ok\r\n'
      case 'RCPT':
        return this.#onRecipient(envelope, pathOf(line))
      case 'DATA':
        if (envelope.recipients.length === 0) return '503 5.5.1 RCPT first\r\n'
        envelope.isInData = true
        envelope.message = []
        return '354 go on\r\n'
      case 'QUIT':
        return '221 2.0.0 bye\r\n'
      default:
        return '250 2.0.0 ok\r\n'
    }
  }

  #onRecipient(envelope: Envelope, path: string): string {
    const at = path.lastIndexOf('@')
    const isOurs = this.#domains.includes(path.slice(at + 1).toLowerCase())
    const isKnown = this.users === undefined || this.users.includes(path.slice(0, at))
    if (!isOurs) return '550 5.7.1 not ours\r\n'
    if (!isKnown) return '550 5.1.1 no such user\r\n'
    envelope.recipients.push(path)
    return '250 2.1.5 ok\r\n'
  }

  #onMessageLine(envelope: Envelope, line: string): string {
    if (line !== '.') {
      envelope.message.push(line)
      return ''
    }
    envelope.isInData = false
    this.delivered.push({
      sender: envelope.sender,
      recipients: [...envelope.recipients],
      message: envelope.message.map((each) => `${each}\r\n`).join(''),
    })
    return `250 2.0.0 taken as ${this.delivered.length}\r\n`
  }
}

function pathOf(line: string): string {
  return line.slice(line.indexOf('<') + 1, line.indexOf('>'))
}
