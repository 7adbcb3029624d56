/**
 * SmtpHost: one SMTP server of the loopback internet, with the behaviour that its world gives it.
 *
 * It notes every session, so that a test can say what a host was asked, and what never reached it.
 */
import net from 'node:net'
import type { Behaviour, World } from './world.ts'

/** One session as the host saw it. */
export interface SessionNote {
  readonly from: string
  /** Commands in order, without CRLF; lines behind DATA stand in `message`. */
  readonly commands: string[]
  message: string
  /** The final dot came. */
  isMessageEnded: boolean
}

interface Session {
  readonly socket: net.Socket
  readonly note: SessionNote
  isInData: boolean
  sender: string
  recipients: number
}

/** One server. */
export class SmtpHost {
  readonly address: string
  readonly name: string
  readonly sessions: SessionNote[] = []
  readonly #behaviour: Behaviour
  readonly #world: World
  readonly #server = net.createServer((socket) => this.#onConnection(socket))
  readonly #open = new Set<net.Socket>()
  readonly #timers = new Set<NodeJS.Timeout>()

  constructor(address: string, name: string, behaviour: Behaviour, world: World) {
    this.address = address
    this.name = name
    this.#behaviour = behaviour
    this.#world = world
  }

  /** Resolves with the bound port. */
  listen(port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, this.address, () => {
        const bound = this.#server.address()
        resolve(typeof bound === 'object' && bound !== null ? bound.port : port)
      })
    })
  }

  /** Connections open now. */
  get openConnections(): number {
    return this.#open.size
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer)
    for (const socket of this.#open) socket.destroy()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #onConnection(socket: net.Socket): void {
    this.#open.add(socket)
    socket.on('close', () => this.#open.delete(socket))
    socket.on('error', () => socket.destroy())
    const from = socket.remoteAddress ?? ''
    const note: SessionNote = { from, commands: [], message: '', isMessageEnded: false }
    this.sessions.push(note)
    const session: Session = { socket, note, isInData: false, sender: '', recipients: 0 }
    this.#greet(socket)
    let pending = ''
    socket.on('data', (octets) => {
      pending += octets.toString('latin1')
      for (let end = pending.indexOf('\n'); end >= 0; end = pending.indexOf('\n')) {
        const line = pending.slice(0, end).replace(/\r$/, '')
        pending = pending.slice(end + 1)
        if (session.isInData) this.#onMessageLine(session, line)
        else this.#onCommand(session, line)
      }
    })
  }

  #say(socket: net.Socket, line: string): void {
    const end = this.#behaviour === 'lf-only' ? '\n' : '\r\n'
    const write = (): void => {
      if (socket.writable) socket.write(`${line}${end}`, 'latin1')
    }
    if (this.#behaviour === 'tarpit') this.#later(this.#world.tarpitMs ?? 3_600_000, write)
    else write()
  }

  #later(afterMs: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      act()
    }, afterMs)
    this.#timers.add(timer)
  }

  #greet(socket: net.Socket): void {
    const behaviour = this.#behaviour
    if (behaviour === 'silent') return
    if (behaviour === 'closes') socket.destroy()
    else if (behaviour === 'garbage') this.#say(socket, 'SSH-2.0-OpenSSH_9.2p1')
    else if (behaviour === 'refuses-us') this.#say(socket, `554 5.7.1 ${this.name} knows you`)
    else if (behaviour === 'endless-banner') this.#repeat(socket, '220-come in\r\n'.repeat(40), 1)
    else if (behaviour === 'dribble') this.#repeat(socket, '2', 20)
    else this.#say(socket, `220 ${this.name} ESMTP`)
  }

  #repeat(socket: net.Socket, text: string, everyMs: number): void {
    if (!socket.writable) return
    socket.write(text)
    this.#later(everyMs, () => this.#repeat(socket, text, everyMs))
  }

  #onCommand(session: Session, line: string): void {
    const { socket } = session
    session.note.commands.push(line)
    const verb = (line.split(' ')[0] ?? '').toUpperCase()
    if (verb === 'EHLO' || verb === 'HELO') this.#onHello(socket)
    else if (verb === 'MAIL') this.#onMail(session, line)
    else if (verb === 'RCPT') this.#onRecipient(session, line)
    else if (verb === 'DATA') this.#onData(session)
    else if (verb === 'QUIT') {
      this.#say(socket, '221 2.0.0 bye')
      socket.end()
    } else if (verb === 'RSET') {
      session.recipients = 0
      this.#say(socket, '250 2.0.0 ok')
    } else this.#say(socket, '502 5.5.2 what?')
  }

  #onHello(socket: net.Socket): void {
    if (this.#behaviour === 'endless-reply') this.#repeat(socket, '250-x\r\n'.repeat(40), 1)
    else this.#say(socket, `250-${this.name}\r\n250 SIZE 10000000`)
  }

  #onMail(session: Session, line: string): void {
    session.sender = pathOf(line)
    const isNullRefused = this.#behaviour === 'refuses-null' && session.sender === ''
    const isTlsMissing = this.#behaviour === 'tls-required'
    if (isTlsMissing) this.#say(session.socket, '530 5.7.0 Must issue a STARTTLS command')
    else if (isNullRefused) this.#say(session.socket, '550 5.7.1 no null sender here')
    else this.#say(session.socket, '250 2.1.0 ok')
  }

  #onRecipient(session: Session, line: string): void {
    const reply = this.#recipientReply(pathOf(line))
    if (reply.startsWith('2')) session.recipients++
    if (reply === '') session.socket.destroy()
    else this.#say(session.socket, reply)
    if (reply.startsWith('421')) session.socket.end()
  }

  /** '' = the connection is closed instead. */
  #recipientReply(path: string): string {
    switch (this.#behaviour) {
      case 'open-relay':
      case 'honeypot':
        return '250 2.1.5 ok'
      case 'greylisting':
        return '450 4.2.0 try later'
      case 'overloaded':
        return '421 4.3.2 too busy'
      case 'lists-us':
        return '550 5.7.1 your IP is listed'
      case 'closes-at-rcpt':
        return ''
      default:
        return this.#userReply(path)
    }
  }

  #userReply(path: string): string {
    const at = path.lastIndexOf('@')
    const user = path.slice(0, at)
    const domain = this.#world.domains[path.slice(at + 1).toLowerCase()]
    const { mx } = domain ?? { mx: [] }
    const isOurs = domain !== undefined && (mx === undefined || mx.includes(this.name))
    if (at < 0 || !isOurs || /[%!@]/.test(user)) return '550 5.7.1 Relaying denied'
    const isKnown = this.#behaviour === 'accepts-all' || domain.users?.includes(user) === true
    return isKnown ? '250 2.1.5 ok' : `550 5.1.1 <${path}>... User unknown`
  }

  #onData(session: Session): void {
    const { socket } = session
    if (session.recipients === 0) this.#say(socket, '503 5.5.1 RCPT first')
    else if (this.#behaviour === 'honeypot') this.#say(socket, '554 5.7.1 no')
    else if (this.#behaviour === 'refuses-at-data') this.#say(socket, '550 5.1.1 User unknown')
    else {
      session.isInData = true
      this.#say(socket, '354 go on')
    }
  }

  #onMessageLine(session: Session, line: string): void {
    if (line === '.') {
      session.isInData = false
      session.note.isMessageEnded = true
      this.#say(session.socket, '250 2.0.0 taken')
      return
    }
    session.note.message += `${line}\n`
    if (this.#behaviour !== 'refuses-at-header' || line !== '') return
    this.#say(session.socket, '550 5.1.1 User unknown by the header')
    session.socket.end()
  }
}

/** The path between the angle brackets of a command. */
function pathOf(line: string): string {
  return line.slice(line.indexOf('<') + 1, line.lastIndexOf('>'))
}
