/**
 * MemoryEngine: an engine without sockets. A test plays the peers: it sees what was sent and feeds
 * octets; nothing happens by itself.
 */
import type { Socket } from 'node:net'
import type { CloseReason, ConnectionId, Engine, EngineHandler } from '../../src/io/engine.ts'

/** One connection as the test sees it. */
export interface MemoryConnection {
  readonly id: ConnectionId
  readonly address: string
  readonly port: number
  /** Octets sent and not taken by `take` yet, latin1. */
  sent: string
  state: 'open' | 'closed' | 'reset'
  isPaused: boolean
}

/** Carries nothing but what the test moves. */
export class MemoryEngine implements Engine {
  readonly token = 0
  readonly backlogOctets = 0
  /** Connections in the order in which they were opened. */
  readonly opened: MemoryConnection[] = []
  handler: EngineHandler | undefined
  /** What `send` answers. */
  isOpenForMore = true
  /** Set by a test whose engine knows TLS. */
  startTls?: (id: ConnectionId, done: (fault: string) => void) => void
  #chunk: Uint8Array = new Uint8Array()

  get connections(): number {
    return this.opened.filter((connection) => connection.state === 'open').length
  }

  connect(address: string, port: number): ConnectionId {
    const id = this.opened.length + 1
    this.opened.push({ id, address, port, sent: '', state: 'open', isPaused: false })
    return id
  }

  send(id: ConnectionId, octets: Uint8Array): boolean {
    return this.sendText(id, Buffer.from(octets).toString('latin1'))
  }

  sendText(id: ConnectionId, text: string): boolean {
    const connection = this.of(id)
    if (connection.state === 'open') connection.sent += text
    return this.isOpenForMore
  }

  forward(id: ConnectionId, start: number, end: number): boolean {
    return this.send(id, this.#chunk.subarray(start, end))
  }

  pause(id: ConnectionId): void {
    this.of(id).isPaused = true
  }

  resume(id: ConnectionId): void {
    this.of(id).isPaused = false
  }

  deadline(): void {}

  clientDeadline(): void {}

  close(id: ConnectionId): void {
    if (this.of(id).state === 'open') this.of(id).state = 'closed'
  }

  reset(id: ConnectionId): void {
    if (this.of(id).state === 'open') this.of(id).state = 'reset'
  }

  untaken(id: ConnectionId): number {
    return this.of(id).sent.length
  }

  detach(): Socket | undefined {
    return undefined
  }

  async stop(): Promise<void> {}

  /** The connection with this id. */
  of(id: ConnectionId): MemoryConnection {
    const connection = this.opened[id - 1]
    if (connection === undefined) throw new Error(`no connection ${id}`)
    return connection
  }

  /** What was sent since the last `take`. */
  take(id: ConnectionId): string {
    const { sent } = this.of(id)
    this.of(id).sent = ''
    return sent
  }

  /** The peer sends text. */
  feed(id: ConnectionId, text: string): void {
    this.#chunk = Buffer.from(text, 'latin1')
    this.handler?.onData(id, this.#chunk, 0, this.#chunk.length)
  }

  /** The peer accepts the connection. */
  accept(id: ConnectionId): void {
    this.handler?.onConnected(id)
  }

  /** The connection ends. */
  end(id: ConnectionId, reason: CloseReason): void {
    this.handler?.onClose(id, reason)
  }
}
