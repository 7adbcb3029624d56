/**
 * Letter: a client of the loopback internet that sends one message from an address of its own.
 */
import { connect, type Socket } from 'node:net'

/** One message as a client sends it. */
export interface Letter {
  /** The client's address on 127.0.0.0/8. */
  readonly from: string
  readonly helo?: string
  readonly sender: string
  readonly recipients: readonly string[]
  /** Header and body with CRLF, without the final dot. */
  readonly message?: string
}

/** What the client was told. */
export interface Sending {
  /** The last line of every reply, in order. */
  readonly replies: readonly string[]
  /** The first refusal, or the reply to the final dot; '' when the connection died before. */
  readonly last: string
  readonly isTaken: boolean
}

/** Sends a letter to `address:port`, command by command, up to the first refusal. */
export function sendLetter(address: string, port: number, letter: Letter): Promise<Sending> {
  const message = letter.message ?? `From: <a@a.example>\r\nSubject: hello\r\n\r\nhello\r\n`
  const commands = [
    `EHLO ${letter.helo ?? 'client.example'}`,
    `MAIL FROM:<${letter.sender}>`,
    ...letter.recipients.map((recipient) => `RCPT TO:<${recipient}>`),
    'DATA',
    `${message}.`,
  ]
  return new Promise((resolve) => {
    const replies: string[] = []
    const socket = connect({ host: address, port, localAddress: letter.from })
    socket.on('close', () => resolve(sendingOf(replies, commands.length)))
    socket.on('error', () => socket.destroy())
    onReplies(socket, (line) => {
      replies.push(line)
      const next = commands[replies.length - 1]
      if (/^[45]/.test(line) || next === undefined) socket.end('QUIT\r\n')
      else socket.write(`${next}\r\n`, 'latin1')
    })
  })
}

function sendingOf(replies: readonly string[], commands: number): Sending {
  const refusal = replies.find((reply) => /^[45]/.test(reply))
  const answer = replies[commands] ?? ''
  const isTaken = refusal === undefined && answer.startsWith('2')
  return { replies, last: refusal ?? answer, isTaken }
}

/** Calls with the last line of each reply. */
function onReplies(socket: Socket, onReply: (line: string) => void): void {
  let pending = ''
  socket.setEncoding('latin1')
  socket.on('data', (text: string) => {
    pending += text
    for (let end = pending.indexOf('\n'); end >= 0; end = pending.indexOf('\n')) {
      const line = pending.slice(0, end).trimEnd()
      pending = pending.slice(end + 1)
      if (line.charAt(3) !== '-') onReply(line)
    }
  })
}
