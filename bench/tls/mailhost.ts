/**
 * A mailhost of the TLS bench, a process of its own: SMTP with STARTTLS, PIPELINING and tickets;
 * takes every message and counts.
 *
 * mailhost CERTIFICATE KEY prints its port; a line of input is answered by the counts as JSON.
 */
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { createInterface } from 'node:readline'
import tls from 'node:tls'

/** What the mailhost has counted so far. */
export interface MailhostCounts {
  connections: number
  /** Handshakes with a certificate. */
  full: number
  /** Handshakes with a ticket. */
  resumed: number
  messages: number
}

const [certificateFile = '', keyFile = ''] = process.argv.slice(2)
const counts: MailhostCounts = { connections: 0, full: 0, resumed: 0, messages: 0 }
const secureContext = tls.createSecureContext({
  cert: readFileSync(certificateFile),
  key: readFileSync(keyFile),
  sessionIdContext: 'bench',
})
const keywords = 'PIPELINING\r\n250-SIZE 60000000\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250'
const replies: ReadonlyMap<string, string> = new Map([
  ['MAIL', '250 2.1.0 ok\r\n'],
  ['RCPT', '250 2.1.5 ok\r\n'],
  ['DATA', '354 go on\r\n'],
  ['RSET', '250 2.0.0 ok\r\n'],
  ['NOOP', '250 2.0.0 ok\r\n'],
  ['HELO', '250 mailhost\r\n'],
])

/** One connection; starts anew behind STARTTLS. */
class Conversation {
  readonly #socket: net.Socket
  readonly #isSecure: boolean
  #text = ''
  #isData = false

  constructor(socket: net.Socket, isSecure: boolean) {
    this.#socket = socket
    this.#isSecure = isSecure
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: Buffer) => this.#take(chunk.toString('latin1')))
    socket.on('end', () => socket.end())
  }

  #take(text: string): void {
    this.#text += text
    let answer = ''
    for (let reply = this.#next(); reply !== undefined; reply = this.#next()) answer += reply
    if (answer !== '') this.#socket.write(answer, 'latin1')
  }

  /** The reply to what stands next, '' for none; undefined when it is not whole yet. */
  #next(): string | undefined {
    const mark = this.#isData ? '\r\n.\r\n' : '\r\n'
    const end = this.#text.indexOf(mark)
    if (end === -1) return undefined
    const line = this.#text.slice(0, end)
    this.#text = this.#text.slice(end + mark.length)
    if (this.#isData) {
      this.#isData = false
      counts.messages++
      return '250 2.0.0 taken\r\n'
    }
    return this.#answer(line.slice(0, 4).toUpperCase())
  }

  #answer(verb: string): string {
    if (verb === 'STAR') return this.#startTls()
    if (verb === 'EHLO') {
      return `250-mailhost\r\n250-${keywords}${this.#isSecure ? ' DSN' : ' STARTTLS'}\r\n`
    }
    if (verb === 'QUIT') {
      this.#socket.end('221 2.0.0 bye\r\n')
      return ''
    }
    if (verb === 'DATA') {
      this.#isData = true
      // A message without a line ends, too.
      this.#text = `\r\n${this.#text}`
    }
    return replies.get(verb) ?? '500 5.5.2 unknown\r\n'
  }

  #startTls(): string {
    this.#socket.removeAllListeners('data').removeAllListeners('end')
    this.#socket.write('220 2.0.0 go on\r\n')
    const secure = new tls.TLSSocket(this.#socket, { isServer: true, secureContext })
    secure.on('secure', () => {
      if (secure.isSessionReused()) counts.resumed++
      else counts.full++
    })
    new Conversation(secure, true)
    return ''
  }
}

const server = net.createServer({ noDelay: true }, (socket) => {
  counts.connections++
  socket.write('220 mailhost ESMTP\r\n')
  new Conversation(socket, false)
})
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  process.stdout.write(`${(server.address() as net.AddressInfo).port}\n`)
})
createInterface({ input: process.stdin }).on('line', () => {
  process.stdout.write(`${JSON.stringify(counts)}\n`)
})
