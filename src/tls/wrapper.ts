/**
 * TlsWrapper: what an application calls. It routes each call by its first parameter, and nothing
 * else.
 *
 * A handle made with `shared: NAME` goes to the daemon, one made with `shared: false` to a session
 * of this process; data pass unchanged, and so does the code that comes back. Unshared sessions
 * need no daemon. With `fallback: true` a session is made unshared where the daemon does not answer
 * or refuses; its `route` says which it became.
 */
import type {
  CallOptions,
  Lease,
  LeaseOptions,
  NewOptions,
  Outcome,
  ReadOutcome,
  Route,
  SessionHandle,
  TlsCalls,
  WriteOutcome,
} from './api.ts'
import { emptyRead, failure } from './api.ts'
import type { OnDaemon } from './daemon-access.ts'
import { DaemonStub } from './daemon-stub.ts'
import { OwnSessions } from './own-sessions.ts'

const notShared = failure('refused', 'programs are started for shared sessions only')

/** How a wrapper is set up. */
export interface TlsWrapperOptions {
  /** Path of the daemon's Unix socket; needed for shared sessions only. */
  readonly daemon?: string
  /**
   * Told how each attempt to reach the daemon ended: it serves (`none`), is away, or speaks another
   * version, which the message says. Sessions with `fallback` go on, and would never tell.
   */
  readonly onDaemon?: OnDaemon
}

/** A handle with the calls as methods: `session.write(data)` is `wrapper.write(session, data)`. */
export class TlsSession implements SessionHandle {
  readonly route: Route
  readonly token: string
  readonly fault?: Outcome
  readonly listeningPort?: number
  readonly #wrapper: TlsWrapper

  constructor(wrapper: TlsWrapper, handle: SessionHandle) {
    this.#wrapper = wrapper
    this.route = handle.route
    this.token = handle.token
    if (handle.fault !== undefined) this.fault = handle.fault
    if (handle.listeningPort !== undefined) this.listeningPort = handle.listeningPort
  }

  /** See TlsCalls.connect. */
  connect(): Promise<Outcome> {
    return this.#wrapper.connect(this)
  }

  /** See TlsCalls.accept. */
  accept(): Promise<Outcome> {
    return this.#wrapper.accept(this)
  }

  /** See TlsCalls.write. */
  write(data: Uint8Array | string, options?: CallOptions): Promise<WriteOutcome> {
    return this.#wrapper.write(this, data, options)
  }

  /** See TlsCalls.read. */
  read(octetsMax: number, options?: CallOptions): Promise<ReadOutcome> {
    return this.#wrapper.read(this, octetsMax, options)
  }

  /** See TlsWrapper.exchange. */
  exchange(
    data: Uint8Array | string,
    octetsMax: number,
    options?: CallOptions,
  ): Promise<ReadOutcome> {
    return this.#wrapper.exchange(this, data, octetsMax, options)
  }

  /** See TlsCalls.pending. */
  pending(): number {
    return this.#wrapper.pending(this)
  }

  /** See TlsCalls.shutdown. */
  shutdown(): Promise<Outcome> {
    return this.#wrapper.shutdown(this)
  }

  /** See TlsCalls.free. */
  free(): Promise<Outcome> {
    return this.#wrapper.free(this)
  }

  /** See TlsCalls.getError. */
  getError(): Outcome {
    return this.#wrapper.getError(this)
  }

  /** See TlsCalls.lease. */
  lease(options?: LeaseOptions): Promise<Lease> {
    return this.#wrapper.lease(this, options)
  }

  /** See TlsWrapper.activate. */
  activate(program: string): Promise<Outcome> {
    return this.#wrapper.activate(this, program)
  }
}

/** The calls of an application, shared and unshared mixed. */
export class TlsWrapper implements TlsCalls {
  readonly #own = new OwnSessions()
  readonly #stub: DaemonStub

  constructor(options: TlsWrapperOptions = {}) {
    this.#stub = new DaemonStub(options.daemon ?? '/run/activemx/tls.sock', options.onDaemon)
  }

  async new(options: NewOptions): Promise<TlsSession> {
    const asked = options.shared === false ? this.#own : this.#stub
    const handle = await asked.new(options)
    const mayFallBack = options.fallback === true && options.token === undefined
    const code = handle.fault?.code
    if (mayFallBack && (code === 'daemonGone' || code === 'refused')) {
      return new TlsSession(this, await this.#own.new(options))
    }
    const session = new TlsSession(this, handle)
    this.#stub.alias(handle, session)
    return session
  }

  connect(session: SessionHandle): Promise<Outcome> {
    return this.#of(session).connect(session)
  }

  accept(session: SessionHandle): Promise<Outcome> {
    return this.#of(session).accept(session)
  }

  write(
    session: SessionHandle,
    data: Uint8Array | string,
    options?: CallOptions,
  ): Promise<WriteOutcome> {
    return this.#of(session).write(session, octetsOf(data), options)
  }

  read(session: SessionHandle, octetsMax: number, options?: CallOptions): Promise<ReadOutcome> {
    return this.#of(session).read(session, octetsMax, options)
  }

  /**
   * A write, and the read of what the peer answers: one journey to the daemon in place of two. Of
   * use to one user of a session, or under a lease; else another's read may take the answer. Where
   * the write is refused at once, nothing is read, unless the two had to wait for the daemon's
   * credit.
   */
  exchange(
    session: SessionHandle,
    data: Uint8Array | string,
    octetsMax: number,
    options?: CallOptions,
  ): Promise<ReadOutcome> {
    const octets = octetsOf(data)
    return session.route === 'shared'
      ? this.#stub.exchange(session, octets, octetsMax, options)
      : this.#exchangeOwn(session, octets, octetsMax, options)
  }

  async #exchangeOwn(
    session: SessionHandle,
    data: Uint8Array,
    octetsMax: number,
    options?: CallOptions,
  ): Promise<ReadOutcome> {
    const written = await this.#own.write(session, data, options)
    return written.code === 'none'
      ? this.#own.read(session, octetsMax, options)
      : emptyRead(written)
  }

  pending(session: SessionHandle): number {
    return this.#of(session).pending(session)
  }

  shutdown(session: SessionHandle): Promise<Outcome> {
    return this.#of(session).shutdown(session)
  }

  free(session: SessionHandle): Promise<Outcome> {
    return this.#of(session).free(session)
  }

  getError(session: SessionHandle): Outcome {
    return this.#of(session).getError(session)
  }

  lease(session: SessionHandle, options?: LeaseOptions): Promise<Lease> {
    return this.#of(session).lease(session, options)
  }

  /**
   * Shared sessions: when octets come that nobody reads, the daemon starts the program that its
   * configuration knows by this name, once.
   */
  activate(session: SessionHandle, program: string): Promise<Outcome> {
    return session.route === 'shared'
      ? this.#stub.activate(session, program)
      : Promise.resolve(session.fault ?? notShared)
  }

  /** Frees the unshared sessions and leaves the daemon; shared sessions live on. */
  async close(): Promise<void> {
    this.#stub.close()
    await this.#own.close()
  }

  /** The only routing there is. */
  #of(session: SessionHandle): TlsCalls {
    return session.route === 'shared' ? this.#stub : this.#own
  }
}

function octetsOf(data: Uint8Array | string): Uint8Array {
  return typeof data === 'string' ? Buffer.from(data) : data
}
