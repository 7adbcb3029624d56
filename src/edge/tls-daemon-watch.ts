/**
 * TlsDaemonWatch: how the TLS daemon stands, told once for all threads of an instance.
 *
 * Where the daemon is away, refuses or speaks another version, mail goes on over connections of
 * each thread's own: nothing is lost, and nobody would notice that no session is shared. Each
 * thread tells how each of its attempts ended; the log gets one line for each change, `status` the
 * present state.
 */
import type { Outcome } from '../tls/api.ts'

/** How the daemon stands. */
export interface TlsDaemonState {
  /** Path of its socket; '' = none is configured. */
  readonly socket: string
  /** `none`: it serves, or nobody has asked yet. */
  readonly code: Outcome['code']
  /** Why it does not serve, and what to do. */
  readonly message: string
  /** How often it ceased to serve; 0 for one that never did. */
  readonly lost: number
}

/** The watch of one instance. */
export class TlsDaemonWatch {
  readonly #socket: string
  readonly #tell: (what: string, detail: string) => void
  #code: Outcome['code'] = 'none'
  #message = ''
  #hasServed = false
  #lost = 0

  /** @param tell writes one line of the system log. */
  constructor(socket: string, tell: (what: string, detail: string) => void) {
    this.#socket = socket
    this.#tell = tell
  }

  get state(): TlsDaemonState {
    return { socket: this.#socket, code: this.#code, message: this.#message, lost: this.#lost }
  }

  /** What a thread sees; the same again is nothing new. */
  take({ code, message }: Outcome): void {
    this.#hasServed ||= code === 'none'
    const isNew = code !== this.#code || (code === 'refused' && message !== this.#message)
    this.#message = message
    if (!isNew) return
    if (this.#code === 'none' && this.#hasServed) this.#lost++
    this.#code = code
    if (code === 'none') {
      this.#tell('tls', `the TLS daemon at ${this.#socket} serves: sessions are shared`)
      return
    }
    const until = 'until it serves, each thread connects directly'
    this.#tell('tls', `the TLS daemon at ${this.#socket} does not serve: ${message}; ${until}`)
  }
}
