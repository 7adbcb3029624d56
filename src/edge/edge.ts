/**
 * Edge: joins engine, journeys, transfer, questions and log for one serving thread.
 *
 * The engine's events go to the connection or link that carries the id; after each event the
 * answers that were put off are given. Sweeps of the pool are driven by one timer. Everything here
 * runs on the thread's event loop; two edges share nothing but the counters and the session cap.
 */
import { endpointText } from '../base/endpoint.ts'
import { messageOf } from '../base/errors.ts'
import { poolSweepMs } from '../base/limits.ts'
import type { Finding } from '../checks/finding.ts'
import type { CloseReason, ConnectionId, Engine, EngineHandler, Peer } from '../io/engine.ts'
import { type CompiledPolicy, timeoutsNow } from '../journey/policy.ts'
import type { ListPort, VerdictRecord } from '../journey/ports.ts'
import { isDelivered } from '../journey/record.ts'
import { stashBlocksHeld } from '../journey/stash.ts'
import type { Log } from '../log/records.ts'
import type { PoolPlace } from '../transfer/host.ts'
import type { Identity } from '../transfer/identity.ts'
import { Link } from '../transfer/link.ts'
import type { Mailhost, TransferPolicy } from '../transfer/mailhost.ts'
import { Pool } from '../transfer/pool.ts'
import type { SessionCap } from '../transfer/session-cap.ts'
import type { Transfer, TransferPlace } from '../transfer/transfer.ts'
import { ClientConnection } from './client-connection.ts'
import type { Counters } from './counters.ts'
import { tellLines } from './dialogue.ts'
import type { QuestionDesk } from './questions.ts'
import type { ThreadTls, TlsPolicy } from './thread-tls.ts'
import { within } from './within.ts'

/** How long the start waits for the mailhosts' EHLO: one that is mute keeps no client waiting. */
const offersWaitMs = 1_000
/** How long an end at once waits for the last events. */
const closeWaitMs = 1_000

/** What an edge is made of. */
export interface EdgeParts {
  readonly newEngine: (handler: EngineHandler) => Engine
  readonly compiled: CompiledPolicy
  readonly transfer: TransferPolicy
  readonly cap: SessionCap
  readonly counters: Counters
  readonly lists: ListPort
  readonly questions: QuestionDesk
  readonly log: Log
  readonly newId: (wallMs: number) => string
  /** Takes a client to TLS; absent where no certificate is. */
  readonly startTls?: (connection: ClientConnection, isStressed: boolean) => void
  /** What does it, to be told of new policies. */
  readonly tls?: ThreadTls
  /** A finding that may be fed back into the blacklist: it was not merely observed. */
  readonly onFinding?: (finding: Finding, peer: Peer) => void
  /** The mailhost took a message of this client. */
  readonly onDelivered?: (address: string) => void
  /** Senders of ours have written to these addresses of partners. */
  readonly onWritten?: (addresses: readonly string[]) => void
}

type Carrier = ClientConnection | Link

/** One serving thread's glue. */
export class Edge implements EngineHandler, PoolPlace, TransferPlace {
  readonly engine: Engine
  readonly pool: Pool
  readonly cap: SessionCap
  readonly counters: Counters
  readonly questions: QuestionDesk
  readonly log: Log
  readonly lists: ListPort
  /** The policy of connections that open from now on. */
  compiled: CompiledPolicy
  readonly #parts: EdgeParts
  readonly #carriers = new Map<ConnectionId, Carrier>()
  readonly #deferred: Transfer[] = []
  readonly #timer: NodeJS.Timeout
  #clients = 0
  #isStopping = false
  #stopped: Promise<void> | undefined
  #hasEnded = false
  #nowMs = monotonicMs()

  constructor(parts: EdgeParts) {
    this.#parts = parts
    this.cap = parts.cap
    this.counters = parts.counters
    this.questions = parts.questions
    this.log = parts.log
    this.lists = parts.lists
    this.compiled = parts.compiled
    this.engine = parts.newEngine(this)
    this.pool = new Pool(this, parts.transfer, this.#nowMs)
    if (parts.tls !== undefined) parts.tls.onWanted = () => this.#sweep()
    // Behind what has come: where the thread or the machine slept, an answer lies there unread.
    this.#timer = setInterval(() => setImmediate(() => this.#sweep()), poolSweepMs)
  }

  /**
   * Resolves when the mailhosts have said what they offer, or could not be asked, or are silent:
   * until they speak less is offered.
   */
  ready(): Promise<void> {
    return within(new Promise<void>((resolve) => this.pool.whenAsked(resolve)), offersWaitMs)
  }

  /** Clients carried now. */
  get clients(): number {
    return this.#clients
  }

  /** New policies; connections that are open keep the journey's policy that they began with. */
  configure(compiled: CompiledPolicy, transfer: TransferPolicy): void {
    compiled.isStressed = this.compiled.isStressed
    this.compiled = compiled
    this.pool.configure(transfer)
    this.engine.clientDeadline(firstCommandMs(compiled))
  }

  /** New certificates and rules of TLS, for handshakes from now on. */
  configureTls(policy: TlsPolicy): void {
    this.#parts.tls?.configure(policy)
  }

  /** Stress mode began or ended: waits are counted anew. */
  stress(isStressed: boolean): void {
    if (this.compiled.isStressed === isStressed) return
    this.compiled.isStressed = isStressed
    this.pool.isStressed = isStressed
    this.engine.clientDeadline(firstCommandMs(this.compiled))
    this.tick()
    for (const connection of this.#connections()) connection.onStress(isStressed)
    this.settle()
  }

  /** Finishes running transactions, refuses new ones; resolves when the last client is gone. */
  async stop(): Promise<void> {
    this.tick()
    this.#isStopping = true
    this.#stopped ??= this.engine.stop()
    for (const connection of this.#connections()) connection.onShutdown()
    this.settle()
    if (this.#clients === 0) this.pool.retire()
    await this.#stopped
    this.#end()
  }

  /** Ends at once, whatever runs: clients first, so that nobody asks for another session. */
  async close(): Promise<void> {
    this.#isStopping = true
    this.#stopped ??= this.engine.stop()
    const links = [...this.#carriers].filter(([, carrier]) => carrier instanceof Link)
    for (const { id } of this.#connections()) this.engine.reset(id)
    for (const [id] of links) this.engine.reset(id)
    await within(this.#stopped, closeWaitMs)
    this.#end()
  }

  // What connections and transfer ask of the thread.

  isWanted({ address, port }: Mailhost, id: ConnectionId): boolean {
    return this.#parts.tls?.isWanted(address, port, id) === true
  }

  /**
   * The moment of the running event, on the clock that nobody sets, whole milliseconds: every wait,
   * age and rate of the thread goes by it.
   */
  now(): number {
    return this.#nowMs
  }

  /** An event begins, from the engine or from outside. @returns its moment, as `now`. */
  tick(): number {
    this.#nowMs = monotonicMs()
    return this.#nowMs
  }

  /** For what is written down. */
  wallMs(): number {
    return Date.now()
  }

  newId(): string {
    return this.#parts.newId(this.wallMs())
  }

  defer(transfer: Transfer): void {
    this.#deferred.push(transfer)
  }

  isTraced(client: string): boolean {
    return this.log.isTraced(client)
  }

  /** A line of the dialogue with the mailhost, of a client that is traced. */
  watch(client: Identity, from: 'proxy' | 'mailhost', text: string): void {
    const to = from === 'proxy' ? 'mailhost' : 'proxy'
    tellLines(this.log, client, 'transfer', from, to, text)
  }

  tellOf({ address, port }: Mailhost, what: string): void {
    const detail = `${endpointText(address, port)} ${what}`
    this.log.record({ event: 'service', time: this.wallMs(), what: 'mailhost', detail })
  }

  adopt(id: ConnectionId, link: Link): void {
    this.#carriers.set(id, link)
  }

  onLinkFault(link: Link, error: unknown): void {
    this.#fail(link, error)
  }

  startTls(connection: ClientConnection): void {
    this.#parts.startTls?.(connection, this.compiled.isStressed)
  }

  onFinding(finding: Finding, peer: Peer, isObserved: boolean): void {
    this.log.record({
      event: 'finding',
      time: this.wallMs(),
      client: peer.address,
      layer: finding.layer,
      finding: finding.name,
      outcome: finding.outcome,
      evidence: finding.evidence,
    })
    if (!isObserved) this.#parts.onFinding?.(finding, peer)
  }

  onVerdict(record: VerdictRecord): void {
    this.counters.verdict(record)
    this.log.verdict(record)
    if (!isDelivered(record)) return
    this.#parts.onDelivered?.(record.client)
    if (!this.compiled.policy.learnsPartners) return
    const addresses = writtenTo(record, this.compiled)
    if (addresses.length > 0) this.#parts.onWritten?.(addresses)
  }

  // Engine events. A bug of ours that one meets ends its connection and no other.

  onOpen(id: ConnectionId, peer: Peer): void {
    this.tick()
    const connection = new ClientConnection(this, id, peer)
    this.#carriers.set(id, connection)
    this.#clients++
    this.counters.add('connections', 1)
    try {
      connection.onOpen()
      // Greeted before the stop and silent until now, or given its deadline by it.
      if (this.#isStopping) connection.onShutdown()
      this.settle()
    } catch (error) {
      this.#fail(connection, error)
    }
  }

  onData(id: ConnectionId, chunk: Uint8Array, start: number, end: number): void {
    this.tick()
    const carrier = this.#carriers.get(id)
    try {
      carrier?.onData(chunk, start, end)
      this.settle()
    } catch (error) {
      this.#fail(carrier, error)
    }
  }

  onPassed(id: ConnectionId, octets: number, scanState: number, silentMs: number): void {
    this.tick()
    const carrier = this.#carriers.get(id)
    try {
      if (carrier instanceof ClientConnection) carrier.onPassed(octets, scanState, silentMs)
    } catch (error) {
      this.#fail(carrier, error)
    }
  }

  onConnected(id: ConnectionId): void {
    this.#tell(id, 'onConnected')
  }

  onDrain(id: ConnectionId): void {
    this.#tell(id, 'onDrain')
  }

  onEnd(id: ConnectionId): void {
    this.#tell(id, 'onEnd')
  }

  onDeadline(id: ConnectionId): void {
    this.#tell(id, 'onDeadline')
  }

  onClose(id: ConnectionId, reason: CloseReason): void {
    this.tick()
    const carrier = this.#carriers.get(id)
    this.#carriers.delete(id)
    if (carrier instanceof ClientConnection) this.#clients--
    try {
      carrier?.onClose(reason)
      this.settle()
    } catch (error) {
      this.#fail(carrier, error)
    }
    if (this.#isStopping && this.#clients === 0) this.pool.retire()
  }

  #tell(id: ConnectionId, event: 'onConnected' | 'onDrain' | 'onEnd' | 'onDeadline'): void {
    this.tick()
    const carrier = this.#carriers.get(id)
    try {
      carrier?.[event]()
      this.settle()
    } catch (error) {
      this.#fail(carrier, error)
    }
  }

  #end(): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    clearInterval(this.#timer)
    this.#parts.tls?.close()
  }

  #fail(carrier: Carrier | undefined, error: unknown): void {
    this.#tellFault('a connection ends', error)
    carrier?.onFault(error)
    this.settle()
  }

  #tellFault(what: string, error: unknown): void {
    const detail = `${what}: ${messageOf(error)}`
    this.log.record({ event: 'service', time: this.wallMs(), what: 'fault', detail })
  }

  /** Links are guarded each for itself; what else meets a bug of ours waits for the next sweep. */
  #sweep(): void {
    if (this.#hasEnded) return
    try {
      this.pool.sweep(this.tick())
      this.counters.set('clients', this.#clients)
      this.#countHeld()
    } catch (error) {
      this.#tellFault('a sweep of the mailhost sessions ends', error)
    }
    this.settle()
  }

  /** What is held now; all but unused sessions come back to nothing when the clients are gone. */
  #countHeld(): void {
    const { leased, waiting } = this.pool.demand
    this.counters.set('sessions', this.pool.sessions)
    this.counters.set('sockets', this.engine.connections)
    this.counters.set('backlog', this.engine.backlogOctets)
    this.counters.set('stashes', stashBlocksHeld())
    this.counters.set('leased', leased)
    this.counters.set('waiting', waiting)
  }

  /** Gives the answers that were put off; after every event from outside the engine too. */
  settle(): void {
    for (let next = this.#deferred.pop(); next !== undefined; next = this.#deferred.pop()) {
      next.onDeferred()
    }
  }

  *#connections(): Iterable<ClientConnection> {
    for (const carrier of [...this.#carriers.values()]) {
      if (carrier instanceof ClientConnection) yield carrier
    }
  }
}

/**
 * Recipients at partners whom a sender of ours wrote to. Only trusted clients get so far; `<>` is
 * nobody of ours.
 */
function writtenTo(
  { sender, recipients }: VerdictRecord,
  { domains, partners }: CompiledPolicy,
): readonly string[] {
  const domainOf = (address: string) => address.slice(address.lastIndexOf('@') + 1).toLowerCase()
  if (sender === '' || !domains.has(domainOf(sender))) return []
  return recipients.filter((address) => partners.has(domainOf(address)))
}

/** Whole: the journeys of many clients keep these numbers. */
function monotonicMs(): number {
  return Math.floor(performance.now())
}

function firstCommandMs(compiled: CompiledPolicy): number {
  return timeoutsNow(compiled).firstCommandMs
}
