/**
 * TlsDaemon: the process that holds the shared TLS sessions.
 *
 * Joins the Unix socket, one ClientConnection and one GroupCalls for each client, the shared
 * sessions, activation and the sweeper. A fault of a client ends that client, a fault of a session
 * that session; the daemon ends by `stop` only. It writes no octet of a session to any log.
 */
import type net from 'node:net'
import { loadAddon } from '../addon/addon.ts'
import type { PeerCredentials } from '../addon/peer-credentials.ts'
import { tlsStatisticsSessionsMax } from '../base/limits.ts'
import { Activation, type Programs } from './activation.ts'
import { failure, success } from './api.ts'
import type { Extra } from './call-server.ts'
import { GroupCalls } from './calls.ts'
import { ClientConnection } from './client-connection.ts'
import { routeOf, tokenOf } from './handle.ts'
import { targetOf } from './options.ts'
import type { Discipline } from './queue.ts'
import { type Client, type SharedSession, SharedSessions } from './shared-sessions.ts'
import { listenForClients } from './unix-server.ts'
import { callKinds, type Frame, handleOctets, readU32 } from './wire.ts'

/** How a daemon is set up. */
export interface DaemonOptions {
  /** Path of the Unix socket. */
  readonly socket: string
  /** Order of every queue. */
  readonly discipline: Discipline
  /** Programs that may be activated on receipt. */
  readonly programs?: Programs
  /** Connections to one peer, over all names. Default 40. */
  readonly targetSessionsMax?: number
  /** Receives a line for each operating fault; default: standard error. */
  readonly log?: (text: string) => void
}

/** What `activemx tls sessions` shows of the daemon. */
export interface DaemonStatistics {
  readonly daemon: string
  readonly pid: number
  readonly queue: Discipline
  readonly clients: number
  readonly uptimeMs: number
  readonly sessions: readonly SessionStatistics[]
  /** More follow, from this one on; on the wire only. */
  readonly next?: number
}

/** What it shows of a session; never its token. */
export interface SessionStatistics {
  readonly name: string
  readonly userId: number
  readonly target: string
  readonly connections: number
  readonly open: number
  readonly holders: number
  readonly leased: number
  readonly waiting: number
  readonly leases: number
  readonly handshakes: number
  readonly octetsIn: number
  readonly octetsOut: number
  readonly idleMs: number
  readonly protocol: string
  readonly cipher: string
}

const badToken = failure('badToken', 'no such session of this user')
const noOctets = new Uint8Array(0)
const targetSessionsMaxDefault = 40
const tickMs = 1000

/** A running daemon. */
export class TlsDaemon {
  readonly #options: DaemonOptions
  readonly #sessions: SharedSessions
  readonly #activation: Activation
  readonly #clients = new Set<ClientConnection>()
  readonly #startedAtMs = performance.now()
  #server: net.Server | undefined
  #timer: NodeJS.Timeout | undefined

  private constructor(options: DaemonOptions) {
    this.#options = options
    const { discipline, targetSessionsMax = targetSessionsMaxDefault } = options
    const log = options.log ?? ((text) => console.error(`tls daemon: ${text}`))
    this.#sessions = new SharedSessions(discipline, targetSessionsMax)
    this.#activation = new Activation(options.programs ?? {}, options.socket, log)
    this.#sessions.onUnclaimed = (session) => this.#activation.start(session)
  }

  /** Starts a daemon; when it resolves, the socket takes clients. @throws OperatingError */
  static async start(options: DaemonOptions): Promise<TlsDaemon> {
    const daemon = new TlsDaemon(options)
    const disableCoreDumps = loadAddon()?.['disableCoreDumps'] as (() => void) | undefined
    disableCoreDumps?.()
    daemon.#server = await listenForClients(options.socket, (socket, peer, onGone) =>
      daemon.#onClient(socket, peer, onGone),
    )
    daemon.#timer = setInterval(() => daemon.#tick(), tickMs)
    return daemon
  }

  get daemonId(): string {
    return this.#sessions.daemonId
  }

  /** Ends the sessions with close-notify (and QUIT), closes the clients, removes the socket. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    const closed = new Promise((resolve) => this.#server?.close(resolve))
    await this.#sessions.close()
    for (const client of this.#clients) client.close()
    await closed
  }

  /**
   * Figures of the daemon and of the sessions of a user; root sees all.
   * @param first of the sessions: one answer holds so many, and says where the next begins.
   */
  statistics(userId: number, first = 0): DaemonStatistics {
    const isSeen = (entry: SharedSession): boolean => userId === 0 || entry.userId === userId
    const seen = [...this.#sessions.all].filter(isSeen)
    const next = first + tlsStatisticsSessionsMax
    return {
      daemon: this.daemonId,
      pid: process.pid,
      queue: this.#options.discipline,
      clients: this.#clients.size,
      uptimeMs: Math.round(performance.now() - this.#startedAtMs),
      sessions: seen.slice(first, next).map(statisticsOf),
      ...(next < seen.length ? { next } : {}),
    }
  }

  #onClient(socket: net.Socket, peer: PeerCredentials, onGone: () => void): void {
    const holder: Client = { userId: peer.uid }
    const client = new ClientConnection(socket, new GroupCalls(this.#sessions, holder), {
      daemonId: this.daemonId,
      extra: (frame) => this.#extra(frame, peer, holder),
      onGone: (gone) => {
        this.#clients.delete(gone)
        onGone()
        this.#sessions.forget(holder)
      },
    })
    this.#clients.add(client)
  }

  #extra(frame: Frame, peer: PeerCredentials, holder: Client): ReturnType<Extra> {
    if (frame.kind === callKinds.stats) {
      const first = frame.bodyOctets < 4 ? 0 : readU32(frame.octets, frame.start)
      const text = JSON.stringify(this.statistics(peer.uid, first))
      return { outcome: success, body: Buffer.from(text) }
    }
    if (frame.kind !== callKinds.activate || routeOf(frame) !== 'shared') return undefined
    const handle = { route: 'shared', token: tokenOf(frame) } as const
    const session = this.#sessions.entryHeldBy(handle, holder)
    if (session === undefined) return { outcome: badToken, body: noOctets }
    const program = Buffer.from(frame.body(handleOctets)).toString('utf8')
    return { outcome: this.#activation.register(session, program, peer), body: noOctets }
  }

  #tick(): void {
    const nowMs = performance.now()
    for (const client of this.#clients) client.checkTime(nowMs)
    this.#sessions.sweep(nowMs)
  }
}

function statisticsOf(entry: SharedSession): SessionStatistics {
  const { group, holders } = entry
  const { sessions } = group
  const sum = (value: (at: number) => number): number =>
    sessions.reduce((total, _session, at) => total + value(at), 0)
  const agreement = group.first.link?.agreement
  return {
    name: entry.name,
    userId: entry.userId,
    target: targetOf(group.options),
    connections: sessions.length,
    open: sessions.filter((session) => session.isOpen).length,
    holders: holders.size,
    leased: group.leased,
    waiting: group.waiting,
    leases: group.leasesGranted,
    handshakes: sum((at) => sessions[at]?.handshakes ?? 0),
    octetsIn: sum((at) => sessions[at]?.octetsIn ?? 0),
    octetsOut: sum((at) => sessions[at]?.octetsOut ?? 0),
    idleMs: Math.round(performance.now() - group.usedAtMs),
    protocol: agreement?.protocol ?? '',
    cipher: agreement?.cipher ?? '',
  }
}
