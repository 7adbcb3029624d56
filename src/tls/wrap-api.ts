/**
 * ApiWrap: the wrapper as a process of its own, for programs in any language.
 *
 * Takes the daemon's own frames on a Unix socket (0600, peers checked) and routes each call by its
 * first parameter: unshared calls to sessions of this process, shared ones to the daemon, through
 * one channel for each client, so that what a client holds there ends with the client. `new` has no
 * handle yet: its `shared` routes. Data pass unchanged. Unshared sessions work without a daemon.
 */
import type net from 'node:net'
import { tlsCreditCalls, tlsCreditOctets, tlsHandlesPerClientMax } from '../base/limits.ts'
import { type Outcome, tlsCodes } from './api.ts'
import { type Answer, DaemonChannel, faultAnswer, hasWord, noOctets } from './channel.ts'
import { ClientConnection } from './client-connection.ts'
import { type ChannelCall, Lane, weightOf } from './credit.ts'
import { DaemonAccess } from './daemon-access.ts'
import { routeOf, tokenOf } from './handle.ts'
import { parseNewOptions } from './options.ts'
import { OwnSessions } from './own-sessions.ts'
import { listenForClients } from './unix-server.ts'
import { answerBit, callKinds, type Frame, frameFlags, handleOctets, readU32 } from './wire.ts'

/** A running wrapper process; ends by `stop`. */
export class ApiWrap {
  readonly #daemon: string
  readonly #clients = new Set<WrapClient>()
  #server: net.Server | undefined
  #timer: NodeJS.Timeout | undefined

  private constructor(daemon: string) {
    this.#daemon = daemon
  }

  /** Starts to take clients at `path`. @throws OperatingError */
  static async start(path: string, daemon: string): Promise<ApiWrap> {
    const wrap = new ApiWrap(daemon)
    wrap.#server = await listenForClients(path, (socket, _peer, onGone) => {
      const client = new WrapClient(socket, wrap.#daemon, () => {
        wrap.#clients.delete(client)
        onGone()
      })
      wrap.#clients.add(client)
    })
    wrap.#timer = setInterval(() => {
      for (const client of wrap.#clients) client.connection.checkTime(performance.now())
    }, 1000)
    return wrap
  }

  /** Closes the clients and their unshared sessions, and removes the socket. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    const closed = new Promise((resolve) => this.#server?.close(resolve))
    for (const client of this.#clients) client.connection.close()
    await closed
  }
}

const noDaemonId = '0000000000000000'

/** One client: its own sessions here, its channel to the daemon. */
class WrapClient {
  readonly connection: ClientConnection
  readonly #access: DaemonAccess
  readonly #lanes = new Map<string, Lane>()
  #unansweredCalls = 0
  #unansweredOctets = 0

  constructor(socket: net.Socket, daemon: string, onGone: () => void) {
    this.#access = new DaemonAccess(daemon)
    const own = new OwnSessions({ kind: 'fifo' }, tlsHandlesPerClientMax)
    this.connection = new ClientConnection(socket, own, {
      daemonId: noDaemonId,
      extra: () => undefined,
      forward: (frame) => this.#forward(frame),
      onGone: () => {
        onGone()
        void own.close()
        this.#access.close()
      },
    })
  }

  #forward(frame: Frame): boolean {
    if (!isShared(frame)) return false
    const { kind, flags, request, priority, lease } = frame
    const isQuiet = (flags & frameFlags.quiet) !== 0
    const passed = { kind, flags, priority, lease, ...bodyOf(frame), lane: this.#laneOf(frame) }
    if (isQuiet && (kind === callKinds.lease || kind === callKinds.release)) {
      void this.#tell(passed)
      return true
    }
    const call = { ...passed, flags: flags & ~frameFlags.quiet }
    const freed = kind === callKinds.free ? tokenOf(frame) : undefined
    const charge = weightOf(call)
    this.#unansweredCalls++
    this.#unansweredOctets += charge
    if (this.#unansweredCalls > tlsCreditCalls || this.#unansweredOctets > tlsCreditOctets) {
      this.connection.close()
      return true
    }
    void this.#call(call).then((answer) => {
      this.#unansweredCalls--
      this.#unansweredOctets -= charge
      if (freed !== undefined) this.#forgetLane(freed)
      if (!isQuiet || answer.outcome.code !== 'none') this.#answer(kind, request, answer)
    })
    return true
  }

  /** The session's, so that one that is stuck stops no other of its client. */
  #laneOf(frame: Frame): Lane | undefined {
    const isNone = frame.kind === callKinds.new || frame.bodyOctets < handleOctets
    if (isNone) return undefined
    const token = tokenOf(frame)
    const known = this.#lanes.get(token)
    if (known !== undefined) return known
    // Tokens that nobody gave out share one: the map does not grow with what a client says.
    if (this.#lanes.size >= tlsHandlesPerClientMax) return undefined
    const lane = new Lane()
    this.#lanes.set(token, lane)
    return lane
  }

  /** Unless calls are on their way in it: the client may have had two handles of one token. */
  #forgetLane(token: string): void {
    const lane = this.#lanes.get(token)
    if (lane?.isEmpty === true && lane.calls === 0) this.#lanes.delete(token)
  }

  /** A lease or its end, which is never answered. In step with `#call`. */
  async #tell(call: ChannelCall): Promise<void> {
    const channel = await this.#reach(call.kind)
    if (channel instanceof DaemonChannel) channel.tell(call)
  }

  async #call(call: ChannelCall): Promise<Answer> {
    const channel = await this.#reach(call.kind)
    if (channel instanceof DaemonChannel) return channel.call(call)
    return faultAnswer(channel)
  }

  /** The channel; `new` and statistics make another where the last one ended. */
  #reach(kind: number): Promise<DaemonChannel | Outcome> {
    const { current } = this.#access
    const mayOpen = kind === callKinds.new || kind === callKinds.stats || current === undefined
    return mayOpen ? this.#access.open() : Promise.resolve(current)
  }

  #answer(kind: number, request: number, { outcome, word, body }: Answer): void {
    const code = tlsCodes.indexOf(outcome.code)
    const payload = outcome.code === 'none' ? body : Buffer.from(outcome.message)
    const header = { kind: kind | answerBit, flags: 0, priority: 0, code, request, lease: 0 }
    this.connection.put(header, payload, hasWord(kind, outcome.code) ? word : -1)
  }
}

/**
 * The parts of a call's body as a channel sends them. What may wait for long keeps its handle
 * alone, not the octets that it came with.
 */
function bodyOf(frame: Frame): Pick<ChannelCall, 'head' | 'readOctets' | 'data'> {
  const { kind } = frame
  const isRead = kind === callKinds.read && frame.bodyOctets === handleOctets + 4
  const isOfLease = kind === callKinds.lease || kind === callKinds.release
  if (!isRead && !isOfLease) return { head: frame.body(), readOctets: -1, data: noOctets }
  const head = new Uint8Array(frame.body().subarray(0, handleOctets))
  const readOctets = isRead ? readU32(frame.octets, frame.start + handleOctets) : -1
  return { head, readOctets, data: noOctets }
}

/**
 * The first parameter says where a call goes; for `new`, its `shared`; figures are the daemon's.
 */
function isShared(frame: Frame): boolean {
  if (frame.kind === callKinds.stats) return true
  if (frame.kind !== callKinds.new) return routeOf(frame) === 'shared'
  const options = parseNewOptions(frame.body())
  return 'shared' in options && options.shared !== false
}
