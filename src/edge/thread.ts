/**
 * Serving threads as the main thread sees them, and what each is set up with.
 */

import type { Finding } from '../checks/finding.ts'
import type { Engine, EngineHandler, EngineOptions } from '../io/engine.ts'
import type { Gate } from '../io/gate.ts'
import { bodyScanner } from '../io/native-body-scanner.ts'
import { newSocketEngine } from '../io/socket-engine.ts'
import { type CompiledPolicy, compilePolicy, type JourneyPolicy } from '../journey/policy.ts'
import type { ListPort } from '../journey/ports.ts'
import type { Log } from '../log/records.ts'
import type { ProbeSettings } from '../probes/settings.ts'
import type { OnDaemon } from '../tls/daemon-access.ts'
import type { TransferPolicy } from '../transfer/mailhost.ts'
import { SessionCap } from '../transfer/session-cap.ts'
import { Counters } from './counters.ts'
import { Edge } from './edge.ts'
import type { QuestionDesk } from './questions.ts'
import { newRecordIds } from './record-ids.ts'
import { ThreadTls, type TlsPolicy } from './thread-tls.ts'

/** Where a thread finds the lists that it asks itself. */
export interface ThreadLists {
  /** Handle of the native blacklist table, 0 = none. */
  readonly blacklist: number
  /** The same of the relay and dialup databases. */
  readonly relay: number
  readonly dialup: number
  /** Folder of the store with whitelist and verdicts. */
  readonly store: string
  /** The main thread keeps the verdicts there, not in a memory of its own. */
  readonly hasVerdicts: boolean
}

/** What a reload replaces; travels by message. */
export interface ThreadPolicies {
  readonly journey: JourneyPolicy
  readonly transfer: TransferPolicy
  readonly tls: TlsPolicy
  /** What a thread needs to answer from the store what is known already. */
  readonly probes: ProbeSettings
}

/** Memory that all threads share. */
export interface SharedMemory {
  readonly sessionCap: SharedArrayBuffer
  readonly counters: SharedArrayBuffer
  readonly probeSwitch: SharedArrayBuffer
}

/** The serving threads of an instance, as the main thread sees them. */
export interface ServingThreads {
  readonly count: number
  /**
   * Resolves when all serve: the mailhosts are asked what they offer, the gate knows the engines.
   */
  ready(): Promise<void>
  configure(policies: ThreadPolicies): void
  stress(isStressed: boolean): void
  /** Finishes what runs; resolves when the last client is gone. */
  stop(): Promise<void>
  /** Ends one as if it had died. */
  endThread(thread: number): Promise<void>
  /** Ends at once what has not ended by itself. */
  close(): Promise<void>
}

/** What an edge is set up with on its thread. */
export interface EdgeSetup {
  /** From 0. */
  readonly thread: number
  readonly lists: ThreadLists
  readonly policies: ThreadPolicies
  readonly memory: SharedMemory
}

/** Whom a thread asks, and tells what it learnt (Probing, or in a worker what stands for it). */
export interface ThreadAsks {
  readonly desk: QuestionDesk
  onFinding(address: string, finding: Finding): void
  onDelivered(address: string): void
  /** Senders of ours have written to these addresses of partners. */
  onWritten(addresses: readonly string[]): void
}

/** What an edge is given on its thread. */
export interface EdgeSurroundings {
  readonly log: Log
  readonly asks: ThreadAsks
  /** Told how each attempt to reach the TLS daemon ended. */
  readonly onTlsDaemon: OnDaemon
  readonly lists: ListPort
  readonly newEngine: (handler: EngineHandler, options: EngineOptions) => Engine
}

/** Builds the edge of the calling thread. */
export function newEdge(setup: EdgeSetup, surroundings: EdgeSurroundings): Edge {
  const { log, asks, lists, newEngine } = surroundings
  const compiled = compileThreadPolicy(setup.policies)
  const clientDeadlineMs = setup.policies.journey.timeouts.firstCommandMs
  const counters = new Counters(setup.memory.counters, setup.thread)
  const threadTls = new ThreadTls(setup.policies.tls)
  threadTls.onDaemon = surroundings.onTlsDaemon
  threadTls.onDirect = () => counters.add('direct', 1)
  return new Edge({
    newEngine: (handler: EngineHandler) =>
      threadTls.around(handler, (inner) => newEngine(inner, { clientDeadlineMs })),
    startTls: (connection, isStressed) => threadTls.startTls(connection, isStressed),
    tls: threadTls,
    compiled,
    transfer: setup.policies.transfer,
    cap: new SessionCap(setup.memory.sessionCap, setup.thread),
    counters,
    lists,
    questions: asks.desk,
    onFinding: (finding, peer) => asks.onFinding(peer.address, finding),
    onDelivered: (address) => asks.onDelivered(address),
    onWritten: (addresses) => asks.onWritten(addresses),
    log,
    newId: newRecordIds(setup.thread),
  })
}

/** Gives an edge new policies. */
export function configureEdge(edge: Edge, policies: ThreadPolicies): void {
  edge.configureTls(policies.tls)
  edge.configure(compileThreadPolicy(policies), policies.transfer)
}

/** What the stages read, made of a policy that came by message. */
function compileThreadPolicy({ journey }: ThreadPolicies): CompiledPolicy {
  return compilePolicy(journey, bodyScanner())
}

/** The calling thread as its own serving thread, on the twins: where the addon is missing. */
export class LocalThread implements ServingThreads {
  readonly count = 1
  readonly #edge: Edge
  readonly #gate: Gate

  constructor(gate: Gate, setup: EdgeSetup, surroundings: Omit<EdgeSurroundings, 'newEngine'>) {
    this.#gate = gate
    this.#edge = newEdge(setup, { ...surroundings, newEngine: newSocketEngine })
  }

  async ready(): Promise<void> {
    await this.#edge.ready()
    this.#gate.addWorker(this.#edge.engine.token)
  }

  configure(policies: ThreadPolicies): void {
    configureEdge(this.#edge, policies)
  }

  stress(isStressed: boolean): void {
    this.#edge.stress(isStressed)
  }

  stop(): Promise<void> {
    return this.#edge.stop()
  }

  /** The thread of the whole process: it is not ended. */
  async endThread(): Promise<void> {}

  close(): Promise<void> {
    return this.#edge.close()
  }
}
