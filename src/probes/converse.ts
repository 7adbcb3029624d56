/**
 * Converse: drives one SmtpProbe over a socket of its own, within bounded time.
 *
 * The address has passed the guard; the connection goes to that address, no name is looked up here.
 * A connection that is not made is an outcome, told apart: refused, unreachable (nothing answers),
 * or a fault of ours (no descriptor, no such source address), which proves nothing about the other.
 * The promise never rejects, and settles within connect wait + total wait.
 */
import net from 'node:net'
import tls from 'node:tls'
import type { ProbeStep } from '../checks/reply-meaning.ts'
import { type ProbeEffects, type ProbePlan, type ProbeReport, SmtpProbe } from './smtp-probe.ts'

/** Where to, from where, and how long. */
export interface Target {
  readonly address: string
  readonly port: number
  /** The name that led here, for TLS; '' = none. */
  readonly serverName: string
  /** Local address, '' = the system's choice. */
  readonly source: string
  /** Wait for the connection, and for its greeting. */
  readonly connectWaitMs: number
  readonly replyWaitMs: number
  /** The whole conversation. */
  readonly totalWaitMs: number
}

/** A connection that was not made, or a conversation. */
export type Conversation =
  | { readonly kind: 'refused' | 'unreachable' | 'our-fault'; readonly reason: string }
  | { readonly kind: 'made'; readonly report: ProbeReport }

/** How the tests reach the outside: `converse`, or a stand-in of a test. */
export type Converse = (target: Target, plan: ProbePlan) => Promise<Conversation>

/** Errors of connect() that speak of us, not of the other side, whenever they come. */
const ourFaults: ReadonlySet<string> = new Set([
  'EMFILE',
  'ENFILE',
  'EADDRNOTAVAIL',
  'EADDRINUSE',
  'EACCES',
  'EPERM',
  'ENOBUFS',
  'ENOMEM',
  'EAFNOSUPPORT',
  'ENETDOWN',
  'EINVAL',
])

/**
 * Errors that speak of our routes where connect() itself says so; later they are what a router or
 * the host's own firewall has answered (ICMP), which the host may choose: no fault of ours then.
 */
const routeFaults: ReadonlySet<string> = new Set(['ENETUNREACH', 'EHOSTUNREACH', 'EHOSTDOWN'])

/** At depth `message` a server that has not refused within this time has not refused. */
const messageWaitMs = 2000

/** Connects and holds the conversation. */
export function converse(target: Target, plan: ProbePlan): Promise<Conversation> {
  return new Promise((settle) => {
    new Line(target, plan, settle).open()
  })
}

/** The socket side of one conversation. */
class Line implements ProbeEffects {
  readonly #target: Target
  readonly #probe: SmtpProbe
  readonly #settle: (conversation: Conversation) => void
  /** The connection itself, and what is spoken over: the same until TLS is up. */
  #raw: net.Socket = new net.Socket()
  #socket: net.Socket = this.#raw
  #isMade = false
  /** Nothing has been read from the network since connect(). */
  #isAtOnce = true
  #stepTimer: NodeJS.Timeout | undefined
  #totalTimer: NodeJS.Timeout | undefined

  constructor(target: Target, plan: ProbePlan, settle: (conversation: Conversation) => void) {
    this.#target = target
    this.#probe = new SmtpProbe(plan, this)
    this.#settle = settle
  }

  open(): void {
    const { address, port, source, connectWaitMs, totalWaitMs } = this.#target
    const local = source === '' ? {} : { localAddress: source }
    this.#stepTimer = setTimeout(() => this.#fail('ETIMEDOUT'), connectWaitMs)
    this.#totalTimer = setTimeout(() => this.#probe.onTimeout(), connectWaitMs + totalWaitMs)
    const socket = net.connect({ host: address, port, noDelay: true, ...local })
    this.#raw = socket
    this.#socket = socket
    setImmediate(() => {
      this.#isAtOnce = false
    })
    socket.on('connect', () => {
      this.#isMade = true
      this.#listen(socket)
      this.#probe.onConnected()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => this.#fail(error.code ?? 'unknown'))
  }

  send(text: string): void {
    this.#socket.write(text, 'latin1')
  }

  awaitReply(step: ProbeStep): void {
    clearTimeout(this.#stepTimer)
    const { connectWaitMs, replyWaitMs } = this.#target
    const waitMs = step === 'greeting' ? connectWaitMs : replyWaitMs
    const stepMs = step === 'message' ? Math.min(messageWaitMs, replyWaitMs) : waitMs
    this.#stepTimer = setTimeout(() => this.#probe.onTimeout(), stepMs)
  }

  startTls(): void {
    const raw = this.#raw
    raw.removeAllListeners('data')
    raw.removeAllListeners('end')
    raw.removeAllListeners('error')
    // What befalls the connection comes through TLS; after its end nobody need know.
    raw.on('error', () => undefined)
    const servername = this.#target.serverName
    const options = servername === '' ? {} : { servername }
    // Opportunistic: it keeps the question from casual ears; nobody's certificate is checked.
    const secured = tls.connect({ socket: raw, rejectUnauthorized: false, ...options })
    let isUp = false
    secured.on('secureConnect', () => {
      isUp = true
      this.#socket = secured
      this.#listen(secured)
      this.#probe.onTlsEstablished()
    })
    secured.on('error', (error: NodeJS.ErrnoException) => {
      if (isUp) this.#fail(error.code ?? 'unknown')
      else this.#probe.onTlsFailed(error.code ?? error.message)
    })
    secured.on('close', () => {
      if (!isUp) this.#probe.onTlsFailed('closed')
    })
  }

  close(how: 'quit' | 'reset'): void {
    clearTimeout(this.#stepTimer)
    clearTimeout(this.#totalTimer)
    if (how === 'quit') {
      this.#leave()
      return
    }
    // Before TLS can send its own farewell: nothing that is said here ends a message in order.
    this.#raw.resetAndDestroy()
    this.#socket.destroy()
  }

  onEnded(report: ProbeReport): void {
    this.#settle({ kind: 'made', report })
  }

  #listen(socket: net.Socket): void {
    socket.on('data', (octets) => this.#probe.onOctets(octets))
    socket.on('end', () => this.#probe.onEnd())
    socket.on('close', () => this.#probe.onEnd())
  }

  /** Sends what is queued, reads nothing more, and is gone soon whatever the peer does. */
  #leave(): void {
    const socket = this.#socket
    socket.removeAllListeners('data')
    socket.resume()
    socket.end()
    const timer = setTimeout(() => socket.destroy(), 2000)
    timer.unref()
    socket.once('close', () => clearTimeout(timer))
  }

  #fail(code: string): void {
    if (this.#isMade) {
      this.#probe.onEnd()
      return
    }
    clearTimeout(this.#stepTimer)
    clearTimeout(this.#totalTimer)
    this.#socket.destroy()
    this.#settle({ kind: faultKind(code, this.#isAtOnce), reason: code })
  }
}

/**
 * What an error of connect() says. @param isAtOnce it came before anything could come back from the
 * network
 */
export function faultKind(
  code: string,
  isAtOnce: boolean,
): 'refused' | 'unreachable' | 'our-fault' {
  if (code === 'ECONNREFUSED' || code === 'ECONNRESET') return 'refused'
  const isOurs = ourFaults.has(code) || (isAtOnce && routeFaults.has(code))
  return isOurs ? 'our-fault' : 'unreachable'
}
