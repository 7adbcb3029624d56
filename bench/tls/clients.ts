/**
 * Clients of the TLS bench that speak STARTTLS, a process of their own. Ends with 1 at the first
 * reply that is not the expected one.
 *
 * clients deliver PORT CA COUNT full|resumed: COUNT messages of 1 KiB, each on a connection of its
 * own,
 *   eight at once; prints how many handshakes were resumed.
 * clients hold PORT CA COUNT: opens COUNT connections, up to the EHLO behind STARTTLS, prints
 * `held`
 *   and keeps them until its input ends.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import tls from 'node:tls'

const [mode = '', port = '', caFile = '', count = '', kind = ''] = process.argv.slice(2)
const secureContext = tls.createSecureContext({ ca: readFileSync(caFile) })
const parallel = 8
const body = `Subject: bench\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(14)}.\r\n`
let ticket: Buffer | undefined
let resumed = 0

/** The SMTP side of a socket: a command, and the whole reply to it. */
class Dialogue {
  readonly socket: net.Socket
  #text = ''
  #onReply: (reply: string) => void = () => undefined

  constructor(socket: net.Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('error', (error) => fail(error.message))
  }

  #take(chunk: Buffer): void {
    this.#text += chunk.toString('latin1')
    // RFC 5321 §4.2.1: the last line of a reply has a space behind its code.
    if (!/(^|\n)\d{3} [^\n]*\n$/.test(this.#text)) return
    const reply = this.#text
    this.#text = ''
    this.#onReply(reply)
  }

  async says(octets: string, expected: string): Promise<void> {
    const reply = await new Promise<string>((resolve) => {
      this.#onReply = resolve
      if (octets !== '') this.socket.write(octets, 'latin1')
    })
    if (!reply.startsWith(expected)) fail(`${octets.slice(0, 20)}: ${reply}`)
  }
}

function fail(text: string): never {
  console.error(`clients: ${text}`)
  process.exit(1)
}

/** A connection behind STARTTLS and the second EHLO. */
async function open(): Promise<Dialogue> {
  const plain = new Dialogue(net.connect({ host: '127.0.0.1', port: Number(port), noDelay: true }))
  await plain.says('', '220')
  await plain.says('EHLO client.example\r\n', '250')
  await plain.says('STARTTLS\r\n', '220')
  plain.socket.removeAllListeners('data')
  const socket = tls.connect({
    socket: plain.socket,
    secureContext,
    servername: 'mx.example.org',
    ...(kind === 'resumed' && ticket !== undefined ? { session: ticket } : {}),
  })
  socket.on('session', (given: Buffer) => {
    ticket = given
  })
  await once(socket, 'secureConnect')
  if (socket.isSessionReused()) resumed++
  const secure = new Dialogue(socket)
  await secure.says('EHLO client.example\r\n', '250')
  return secure
}

async function deliver(): Promise<void> {
  const dialogue = await open()
  await dialogue.says('MAIL FROM:<a@x.org>\r\n', '250')
  await dialogue.says('RCPT TO:<b@example.org>\r\n', '250')
  await dialogue.says('DATA\r\n', '354')
  await dialogue.says(body, '250')
  await dialogue.says('QUIT\r\n', '221')
  dialogue.socket.end()
  await once(dialogue.socket, 'close')
}

/** Does something `times` over, some at once. */
async function repeat(times: number, once: () => Promise<unknown>): Promise<void> {
  let left = times
  const row = async (): Promise<void> => {
    while (left > 0) {
      left--
      await once()
    }
  }
  await Promise.all(Array.from({ length: parallel }, row))
}

if (mode === 'deliver') {
  await deliver()
  resumed = 0
  await repeat(Number(count), deliver)
  process.stdout.write(`${resumed}\n`)
} else {
  const held: Dialogue[] = []
  await repeat(Number(count), async () => held.push(await open()))
  process.stdout.write('held\n')
  await once(process.stdin.resume(), 'end')
}
process.exit(0)
