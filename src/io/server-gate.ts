/**
 * The slow twin of the accept gate: the same face over net.Server on the calling thread.
 *
 * It proves the native gate (both pass test/contract/gate.ts) and serves where the addon is
 * missing. It hands over to twin engines of the same thread only (adopters.ts). Three things it
 * cannot do: go on while JavaScript is blocked, drop below accept (`drop` resets instead), and keep
 * descriptors back for others than clients.
 *
 * A connection is held here from accept until it is refused, given up or handed over; its place in
 * the counts is given back when its socket closes, whoever carries it then.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { listenBacklogMax, proxyHeaderWaitMs, tarpitOctetMs } from '../base/limits.ts'
import { type Adopter, findAdopter } from './adopters.ts'
import { ClientCounts } from './client-counts.ts'
import type { Peer } from './engine.ts'
import {
  type ClassRule,
  type EngineToken,
  filledReply,
  type Gate,
  type GateAction,
  type GateCounters,
  type GatePolicy,
  type Refusal,
  type RefusalCause,
  ruleOf,
} from './gate.ts'
import { listenAddressText, listenFault, parseListenAddress } from './listen-address.ts'
import { parseProxyHeader, plainAddress } from './proxy-header.ts'
import { RefusalList } from './refusal-list.ts'

/** Verdict class of an address, 0 = not listed. */
export type TableLookup = (address: string) => number

/** What the twin needs beside the policy. */
export interface ServerGateOptions {
  /** The table behind a handle of the policy; undefined for 0 or an unknown one. */
  readonly tableOf: (handle: number) => TableLookup | undefined
}

/** A gate over net.Server for the calling thread. */
export function newServerGate(options: ServerGateOptions): Gate {
  return new ServerGate(options)
}

type Tally = { -readonly [Name in keyof GateCounters]: number }

/** A connection that the gate holds. */
interface Guest {
  readonly socket: Socket
  peer: Peer
  isCounted: boolean
  timer: NodeJS.Timeout | undefined
  /** Since when it waits for the greeting, on the clock of `performance.now()`. */
  waitsSinceMs: number | undefined
  onLeave: (() => void) | undefined
}

class ServerGate implements Gate {
  readonly #options: ServerGateOptions
  readonly #servers: Server[] = []
  readonly #workers: EngineToken[] = []
  readonly #guests = new Set<Guest>()
  readonly #counts = new ClientCounts()
  readonly #refusals = new RefusalList()
  readonly #tally: Tally = newTally()
  readonly #beforePolicy: Socket[] = []
  #policy: GatePolicy | undefined
  #isDraining = false

  constructor(options: ServerGateOptions) {
    this.#options = options
  }

  async listen(addresses: readonly string[]): Promise<readonly string[]> {
    const bound: string[] = []
    for (const text of addresses) {
      const { host, port } = parseListenAddress(text)
      const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true })
      server.on('connection', (socket) => this.#onConnection(socket))
      await new Promise<void>((resolve, reject) => {
        // Not once: an accept that fails later costs that client alone.
        server.on('error', (error: NodeJS.ErrnoException) => {
          reject(listenFault(text, error.code ?? error.message))
        })
        server.listen({ host, port, backlog: listenBacklogMax, ipv6Only: true }, resolve)
      })
      this.#servers.push(server)
      const address = server.address()
      const boundPort = typeof address === 'object' && address !== null ? address.port : port
      bound.push(listenAddressText({ host, port: boundPort }))
    }
    return bound
  }

  configure(policy: GatePolicy): void {
    this.#policy = policy
    for (const guest of this.#guests) this.#greetLater(guest, policy)
    for (const socket of this.#beforePolicy.splice(0)) this.#onConnection(socket)
  }

  addWorker(token: EngineToken): void {
    if (findAdopter(token) !== undefined) this.#workers.push(token)
  }

  removeWorker(token: EngineToken): void {
    const at = this.#workers.indexOf(token)
    if (at >= 0) this.#workers.splice(at, 1)
  }

  refusals(): readonly Refusal[] {
    return this.#refusals.take()
  }

  counters(): GateCounters {
    return { ...this.#tally, refusalsLost: this.#refusals.lost, workers: this.#workers.length }
  }

  drain(): void {
    this.#isDraining = true
  }

  async close(): Promise<void> {
    const closed = this.#servers
      .splice(0)
      .map((server) => new Promise<void>((resolve) => server.close(() => resolve())))
    for (const guest of this.#guests) guest.socket.destroy()
    for (const socket of this.#beforePolicy.splice(0)) socket.destroy()
    // A server waits for its connections; those handed over belong to the engines and are not
    // awaited.
    if (this.#tally.connections === this.#guests.size) await Promise.all(closed)
  }

  #onConnection(socket: Socket): void {
    const policy = this.#policy
    if (policy === undefined) {
      this.#beforePolicy.push(socket)
      return
    }
    const { remoteAddress } = socket
    if (remoteAddress === undefined) {
      // It has gone again: who it was cannot be known any more.
      socket.destroy()
      return
    }
    this.#tally.accepted += 1
    this.#tally.connections += 1
    const peer: Peer = {
      address: plainAddress(remoteAddress),
      port: socket.remotePort ?? 0,
      localAddress: plainAddress(socket.localAddress ?? ''),
      localPort: socket.localPort ?? 0,
      isTrusted: false,
      verdictClass: 0,
      isEarlyTalker: false,
      acceptedAtMs: Math.floor(performance.now()),
    }
    const guest: Guest = {
      socket,
      peer,
      isCounted: false,
      timer: undefined,
      waitsSinceMs: undefined,
      onLeave: undefined,
    }
    this.#guests.add(guest)
    socket.on('error', ignore)
    socket.once('close', () => this.#forget(guest))
    const isBalancer = this.#classOf(policy.proxyProtocolFrom, peer.address) !== 0
    if (isBalancer) this.#readHeader(guest, policy)
    else this.#judge(guest, policy)
  }

  /** The balancer must send a whole header in time; what follows it stays unread. */
  #readHeader(guest: Guest, policy: GatePolicy): void {
    const { socket } = guest
    let received = Buffer.alloc(0)
    const giveUp = (): void => this.#drop(guest, 'proxy-header', 'reset')
    guest.timer = setTimeout(giveUp, proxyHeaderWaitMs)
    socket.on('end', giveUp)
    socket.on('readable', () => {
      const octets: Buffer | null = socket.read()
      if (octets === null) return
      received = Buffer.concat([received, octets])
      const header = parseProxyHeader(received)
      if (header.kind === 'incomplete') return
      this.#stopListening(guest)
      if (header.kind === 'invalid') {
        giveUp()
        return
      }
      if (received.length > header.headerOctets) {
        socket.unshift(received.subarray(header.headerOctets))
      }
      if (header.kind === 'proxied') {
        const { address, port, localAddress, localPort } = header
        guest.peer = { ...guest.peer, address, port, localAddress, localPort }
      }
      this.#judge(guest, this.#policy ?? policy)
    })
  }

  /** Trusted > blacklist > stopping > total > per address and rate. */
  #judge(guest: Guest, policy: GatePolicy): void {
    const { address } = guest.peer
    const isTrusted = this.#classOf(policy.trusted, address) !== 0
    const verdictClass = isTrusted ? 0 : this.#classOf(policy.blacklist, address)
    guest.peer = { ...guest.peer, isTrusted, verdictClass }
    const rule = verdictClass === 0 ? undefined : ruleOf(policy.classRules, verdictClass)
    if (rule !== undefined && rule.action !== 'observe') this.#apply(guest, rule, policy)
    else if (this.#isDraining) this.#refuseStopping(guest, policy)
    else if (this.#isFull(policy)) this.#overload(guest, policy)
    else if (isTrusted || this.#admit(guest, policy)) this.#awaitGreeting(guest, policy)
  }

  #isFull({ connectionsMax }: GatePolicy): boolean {
    return connectionsMax > 0 && this.#tally.connections > connectionsMax
  }

  /** False: one too many from this address, refused. */
  #admit(guest: Guest, policy: GatePolicy): boolean {
    const admission = this.#counts.admit(guest.peer.address, policy, guest.peer.acceptedAtMs)
    guest.isCounted = admission === 'counted'
    if (admission === 'counted' || admission === 'uncounted') return true
    this.#tally.limited += 1
    this.#refuse(guest, policy.limitReply, admission, 'tempfail')
    return false
  }

  #apply(guest: Guest, rule: ClassRule, policy: GatePolicy): void {
    if (rule.action === 'reset' || rule.action === 'drop') {
      this.#tally[rule.action === 'reset' ? 'reset' : 'dropped'] += 1
      this.#drop(guest, 'blacklist', rule.action)
    } else if (rule.action === 'tarpit' && this.#tally.tarpits < policy.tarpitMax) {
      this.#tarpit(guest, rule)
    } else {
      this.#tally.refused += 1
      this.#refuse(guest, rule.reply, 'blacklist', 'refuse')
    }
  }

  /** The reply one octet at a time, then close. */
  #tarpit(guest: Guest, rule: ClassRule): void {
    const { socket } = guest
    const id = this.#refusals.add(guest.peer, 'blacklist', 'tarpit', 0)
    const reply = filledReply(rule.reply, guest.peer.address, id)
    let sent = 0
    this.#tally.tarpitted += 1
    this.#tally.tarpits += 1
    guest.onLeave = () => {
      this.#tally.tarpits -= 1
    }
    socket.on('end', () => socket.destroy())
    socket.resume()
    guest.timer = setInterval(() => {
      socket.write(reply.charAt(sent), 'latin1')
      sent += 1
      if (sent === reply.length) {
        clearInterval(guest.timer)
        socket.destroySoon()
      }
    }, tarpitOctetMs)
  }

  /** Who talks before the greeting is an early talker; a trusted host does not wait. */
  #awaitGreeting(guest: Guest, policy: GatePolicy): void {
    const isTestOff = policy.earlyTalker === 'off' && policy.greetDelayMs === 0
    if (guest.peer.isTrusted || isTestOff) {
      this.#pass(guest, policy)
      return
    }
    const { socket } = guest
    this.#tally.waiting += 1
    guest.onLeave = () => {
      this.#tally.waiting -= 1
    }
    socket.on('end', () => socket.destroy())
    socket.on('readable', () => this.#onEarlyOctets(guest, this.#policy ?? policy))
    guest.waitsSinceMs = performance.now()
    this.#greetLater(guest, policy)
    if (socket.readableLength > 0) this.#onEarlyOctets(guest, policy)
  }

  /** Who waits for the greeting waits by the delay of this policy, whatever it was before. */
  #greetLater(guest: Guest, policy: GatePolicy): void {
    if (guest.waitsSinceMs === undefined) return
    clearTimeout(guest.timer)
    const leftMs = guest.waitsSinceMs + policy.greetDelayMs - performance.now()
    guest.timer = setTimeout(() => this.#leaveWait(guest, policy), Math.max(0, leftMs))
  }

  #onEarlyOctets(guest: Guest, policy: GatePolicy): void {
    const { socket } = guest
    const octets = socket.readableLength
    if (octets === 0) {
      socket.read() // lets 'end' come
      return
    }
    if (policy.earlyTalker === 'off' || guest.peer.isEarlyTalker) return
    this.#tally.earlyTalkers += 1
    guest.peer = { ...guest.peer, isEarlyTalker: true }
    if (policy.earlyTalker === 'observe') return
    const action = policy.earlyTalker === 'tempfail' ? 'tempfail' : 'refuse'
    this.#stopListening(guest)
    this.#refuse(guest, policy.earlyTalkerReply, 'early-talker', action, octets)
  }

  #leaveWait(guest: Guest, policy: GatePolicy): void {
    // What came when it did not count.
    if (guest.socket.readableLength > 0) this.#onEarlyOctets(guest, policy)
    if (guest.waitsSinceMs === undefined) return
    this.#stopListening(guest)
    this.#pass(guest, policy)
  }

  /** Greets and hands over to the worker with the fewest clients. */
  #pass(guest: Guest, policy: GatePolicy): void {
    if (this.#isDraining) {
      this.#refuseStopping(guest, policy)
      return
    }
    const { socket, peer } = guest
    const worker = this.#leastBusy(policy.sessionsPerWorkerMax)
    if (worker === undefined) {
      this.#overload(guest, policy)
      return
    }
    guest.onLeave?.()
    guest.onLeave = undefined
    this.#guests.delete(guest)
    this.#tally.passed += 1
    socket.write(policy.greeting, 'latin1')
    worker.adopt({ socket, peer })
  }

  #leastBusy(sessionsMax: number): Adopter | undefined {
    let best: Adopter | undefined
    for (const token of this.#workers) {
      const adopter = findAdopter(token)
      if (adopter === undefined || adopter.clients >= sessionsMax) continue
      if (best === undefined || adopter.clients < best.clients) best = adopter
    }
    return best
  }

  #overload(guest: Guest, policy: GatePolicy): void {
    this.#tally.overloaded += 1
    this.#refuse(guest, policy.overloadReply, 'overload', 'tempfail')
  }

  #refuseStopping(guest: Guest, policy: GatePolicy): void {
    this.#tally.stopping += 1
    this.#refuse(guest, policy.stoppingReply, 'stopping', 'tempfail')
  }

  #refuse(
    guest: Guest,
    reply: string,
    cause: RefusalCause,
    action: Refusal['action'],
    octets = 0,
  ): void {
    const { socket } = guest
    const id = this.#refusals.add(guest.peer, cause, action, octets)
    socket.write(filledReply(reply, guest.peer.address, id), 'latin1')
    socket.resume()
    socket.destroySoon()
  }

  /** Ends a connection without a word. */
  #drop(guest: Guest, cause: RefusalCause, action: GateAction): void {
    this.#refusals.add(guest.peer, cause, action, 0)
    if (cause === 'proxy-header') guest.socket.destroy()
    else guest.socket.resetAndDestroy()
  }

  #classOf(handle: number, address: string): number {
    return this.#options.tableOf(handle)?.(address) ?? 0
  }

  #stopListening(guest: Guest): void {
    guest.waitsSinceMs = undefined
    clearTimeout(guest.timer)
    guest.socket.removeAllListeners('readable')
    guest.socket.removeAllListeners('end')
  }

  /** The connection is gone, from here or from the engine that carried it. */
  #forget(guest: Guest): void {
    clearTimeout(guest.timer)
    guest.onLeave?.()
    guest.onLeave = undefined
    this.#guests.delete(guest)
    this.#tally.connections -= 1
    if (guest.isCounted) this.#counts.release(guest.peer.address)
  }
}

function ignore(): void {
  // A reset by a client that is not served yet changes nothing: 'close' follows.
}

function newTally(): Tally {
  return {
    accepted: 0,
    passed: 0,
    refused: 0,
    reset: 0,
    dropped: 0,
    tarpitted: 0,
    earlyTalkers: 0,
    limited: 0,
    overloaded: 0,
    stopping: 0,
    refusalsLost: 0,
    tarpits: 0,
    waiting: 0,
    connections: 0,
    workers: 0,
    filteredBlocks: 0,
  }
}
