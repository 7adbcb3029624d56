/**
 * A mailhost that records every octet it gets and can be told to misbehave.
 *
 * It finds commands and the end of data in its own plain way, so that it can judge what the proxy
 * sends: a message ends at CRLF.CRLF and nowhere else.
 */
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

/** One message as it came over the wire. */
export interface RecordedMessage {
  /** `MAIL FROM:…` without CRLF. */
  readonly mail: string
  /** `RCPT TO:…` lines that were accepted. */
  readonly recipients: readonly string[]
  /** Octets behind the 354 up to, but not including, the final dot line. Dot-stuffed. */
  readonly wire: Buffer
}

/** What a test may change. */
export interface RecordingOptions {
  readonly keywords?: readonly string[]
  /**
   * A reply (CRLF added) instead of the usual one; `close` ends the connection, '' says nothing.
   */
  answer?(command: string, session: RecordingSession): string | 'close' | undefined
  /** The same for the end of a message. */
  onMessage?(message: RecordedMessage, session: RecordingSession): string | 'close' | undefined
  readonly greeting?: string
  readonly port?: number
  /** PEM: STARTTLS is offered and taken; what comes behind it is a session of its own. */
  readonly tls?: { readonly certificate: string; readonly key: string }
}

/** One connection to the mailhost. */
export interface RecordingSession {
  readonly socket: Socket
  /** Every octet that came. */
  octets: Buffer
  readonly commands: string[]
}

/** A running mailhost. */
export interface RecordingMailhost {
  readonly port: number
  readonly sessions: readonly RecordingSession[]
  readonly messages: readonly RecordedMessage[]
  /** Commands of all sessions, without XFORWARD, in order of arrival. */
  readonly commands: readonly string[]
  /** Forgets messages and commands, and the octets of every session. */
  forget(): void
  stop(): Promise<void>
}

/** Keywords of a usual mailhost. */
export const usualKeywords = ['PIPELINING', 'SIZE 60000000', '8BITMIME', 'SMTPUTF8', 'DSN']

/** Starts a mailhost on a free loopback port. */
export async function startRecordingMailhost(
  options: RecordingOptions = {},
): Promise<RecordingMailhost> {
  const sessions: RecordingSession[] = []
  const messages: RecordedMessage[] = []
  const commands: string[] = []
  const server = createServer({ noDelay: true }, (socket) => {
    serve(socket)
  })
  const serve = (socket: Socket): void => {
    const session: RecordingSession = { socket, octets: Buffer.alloc(0), commands: [] }
    sessions.push(session)
    socket.on('error', () => socket.destroy())
    serveRecorded(session, options, messages, commands, serve)
  }
  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    sessions,
    messages,
    commands,
    forget: () => {
      messages.length = 0
      commands.length = 0
      for (const session of sessions) session.octets = Buffer.alloc(0)
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const { socket } of sessions) socket.destroy()
      }),
  }
}

function serveRecorded(
  session: RecordingSession,
  options: RecordingOptions,
  messages: RecordedMessage[],
  commands: string[],
  serveSecured: (socket: Socket) => void,
): void {
  const { socket } = session
  const isSecured = socket instanceof TLSSocket
  const offered = isSecured ? undefined : options.tls
  let pending = Buffer.alloc(0)
  let mail = ''
  let recipients: string[] = []
  let isInData = false
  const say = (reply: string | 'close') => {
    if (reply === 'close') socket.destroy()
    else if (reply !== '') socket.write(`${reply}\r\n`, 'latin1')
  }
  const takeCommand = (line: string) => {
    session.commands.push(line)
    if (!line.startsWith('XFORWARD')) commands.push(line)
    const usual = offered ? ['STARTTLS', ...(options.keywords ?? usualKeywords)] : options.keywords
    const reply = options.answer?.(line, session) ?? usualReply(line, usual, recipients.length)
    if (/^(MAIL|RSET|EHLO|HELO)/i.test(line)) recipients = []
    if (/^MAIL/i.test(line)) mail = line
    if (/^RCPT/i.test(line) && reply.startsWith('2')) recipients.push(line)
    isInData = /^DATA/i.test(line) && reply.startsWith('354')
    say(reply)
    if (/^QUIT/i.test(line)) socket.end()
    if (offered && line === 'STARTTLS' && reply.startsWith('2')) {
      socket.removeAllListeners('data')
      const { certificate: cert, key } = offered
      serveSecured(new TLSSocket(socket, { isServer: true, cert, key }))
    }
  }
  const takeMessage = (): boolean => {
    const isEmpty = pending.indexOf('.\r\n') === 0
    const end = isEmpty ? -2 : pending.indexOf('\r\n.\r\n')
    if (end === -1) return false
    const message = { mail, recipients, wire: Buffer.from(pending.subarray(0, end + 2)) }
    pending = pending.subarray(end + 5)
    isInData = false
    recipients = []
    messages.push(message)
    say(options.onMessage?.(message, session) ?? '250 2.0.0 Recorded')
    return true
  }
  socket.on('data', (chunk: Buffer) => {
    session.octets = Buffer.concat([session.octets, chunk])
    pending = Buffer.concat([pending, chunk])
    for (;;) {
      if (isInData) {
        if (!takeMessage()) return
        continue
      }
      const end = pending.indexOf('\r\n')
      if (end < 0) return
      const line = pending.toString('latin1', 0, end)
      pending = pending.subarray(end + 2)
      takeCommand(line)
    }
  })
  if (!isSecured) say(options.greeting ?? '220 recording.example ESMTP')
}

function usualReply(
  line: string,
  offered: readonly string[] = usualKeywords,
  recipients = 0,
): string {
  const verb = line.slice(0, 4).toUpperCase()
  const keywords = ['recording.example', ...offered]
  if (verb === 'EHLO') {
    return keywords
      .map((word, at) => `250${at < keywords.length - 1 ? '-' : ' '}${word}`)
      .join('\r\n')
  }
  if (verb === 'DATA') return recipients > 0 ? '354 Go on' : '503 5.5.1 No recipient'
  if (verb === 'QUIT') return '221 2.0.0 Bye'
  if (line === 'STARTTLS' && offered.includes(line)) return '220 2.0.0 Go ahead'
  return '250 2.0.0 Ok'
}
