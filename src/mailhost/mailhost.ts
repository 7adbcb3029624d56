/**
 * The embedded mailhost: a small SMTP receiver that files mail in a Maildir. For try-out only.
 *
 * It stands behind the proxy on a loopback address, trusts it, and knows no user: every recipient
 * is taken. It speaks enough of RFC 5321 for the transfer (PIPELINING, SIZE, 8BITMIME, XFORWARD)
 * and ends a message only at CRLF.CRLF. 250 after the final dot means: synced to disk.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { messageOf } from '../base/errors.ts'
import { mailhostSessionsMax } from '../base/limits.ts'
import { Maildir } from './maildir.ts'
import { MailhostSession } from './session.ts'

/** A running mailhost. */
export interface Mailhost {
  readonly address: string
  readonly port: number
  /** Messages filed so far. */
  readonly delivered: () => number
  /** Ends sessions and listening. */
  stop(): Promise<void>
}

/** Where the mailhost listens and files. */
export interface MailhostOptions {
  /** Loopback address; port 0 takes a free one. */
  readonly address: string
  readonly port: number
  readonly folder: string
  readonly sizeOctetsMax: number
}

/** Starts the mailhost. Rejects when the port is taken or the folder cannot be made. */
export async function startMailhost(options: MailhostOptions): Promise<Mailhost> {
  const maildir = new Maildir(options.folder)
  const sockets = new Set<Socket>()
  let delivered = 0
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    // A session that breaks is the proxy's to notice; there is nothing to do here.
    socket.on('error', () => socket.destroy())
    if (sockets.size > mailhostSessionsMax) socket.end('421 4.3.2 Too many sessions\r\n')
    else void serveSession(socket, maildir, options.sizeOctetsMax, () => delivered++)
  })
  const port = await listen(server, options)
  return {
    address: options.address,
    port,
    delivered: () => delivered,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}

async function serveSession(
  socket: Socket,
  maildir: Maildir,
  sizeOctetsMax: number,
  onDelivered: () => void,
): Promise<void> {
  const session = new MailhostSession(maildir, sizeOctetsMax, onDelivered)
  socket.write('220 mailhost ESMTP\r\n')
  try {
    for await (const chunk of socket) {
      const replies = await session.take(chunk as Uint8Array)
      if (replies !== '') socket.write(replies, 'latin1')
      if (session.isOver) socket.end()
    }
  } catch (error) {
    socket.end(`451 4.3.0 ${messageOf(error).replace(/[^ -~]/g, '?')}\r\n`)
  } finally {
    await session.end()
  }
}

function listen(server: Server, { address, port }: MailhostOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    // Not once: an accept that fails later costs that client alone.
    server.on('error', reject)
    server.listen(port, address, () => {
      const bound = server.address()
      resolve(typeof bound === 'object' && bound !== null ? bound.port : port)
    })
  })
}
