/**
 * A serving thread as the main thread sees it, and what it is set up with.
 */
import type { Finding } from '../checks/finding.ts'
import type { EngineHandler } from '../io/engine.ts'
import type { EngineToken } from '../io/gate.ts'
import { bodyScanner } from '../io/native-body-scanner.ts'
import { newSocketEngine } from '../io/socket-engine.ts'
import { compilePolicy } from '../journey/journey.ts'
import type { JourneyPolicy } from '../journey/policy.ts'
import type { ListPort } from '../journey/ports.ts'
import type { Log } from '../log/records.ts'
import type { TransferPolicy } from '../transfer/mailhost.ts'
import { SessionCap } from '../transfer/session-cap.ts'
import { Counters } from './counters.ts'
import { Edge } from './edge.ts'
import type { QuestionDesk } from './questions.ts'
import { newRecordIds } from './record-ids.ts'
import { ThreadTls, type TlsPolicy } from './thread-tls.ts'

/** What a reload replaces; travels by message. */
export interface ThreadPolicies {
  readonly journey: JourneyPolicy
  readonly transfer: TransferPolicy
  readonly tls: TlsPolicy
}

/** Memory that all threads share. */
export interface SharedMemory {
  readonly sessionCap: SharedArrayBuffer
  readonly counters: SharedArrayBuffer
}

/** A serving thread. */
export interface ServingThread {
  /** How the gate knows its engine. */
  readonly token: EngineToken
  /** Resolves when it has asked the mailhosts what they offer. */
  ready(): Promise<void>
  configure(policies: ThreadPolicies): void
  stress(isStressed: boolean): void
  /** Finishes what runs; resolves when its last client is gone. */
  stop(): Promise<void>
}

/** Whom a thread asks, and tells what it learnt (Probing, or what stands for it in a worker). */
export interface ThreadAsks {
  readonly desk: QuestionDesk
  onFinding(address: string, finding: Finding): void
  onDelivered(address: string): void
}

/** What an edge is set up with on its thread. */
export interface EdgeSetup {
  /** From 0. */
  readonly thread: number
  readonly policies: ThreadPolicies
  readonly memory: SharedMemory
}

/** Builds the edge of the calling thread. */
export function newEdge(setup: EdgeSetup, log: Log, lists: ListPort, asks: ThreadAsks): Edge {
  const compiled = compilePolicy(setup.policies.journey, bodyScanner())
  const { timeouts } = setup.policies.journey
  const clientDeadlineMs = timeouts.commandMs
  const threadTls = new ThreadTls(setup.policies.tls)
  return new Edge({
    newEngine: (handler: EngineHandler) =>
      threadTls.around(handler, (inner) => newSocketEngine(inner, { clientDeadlineMs })),
    startTls: (connection) => threadTls.startTls(connection),
    tls: threadTls,
    compiled,
    transfer: setup.policies.transfer,
    cap: new SessionCap(setup.memory.sessionCap, setup.thread),
    counters: new Counters(setup.memory.counters, setup.thread),
    lists,
    questions: asks.desk,
    onFinding: (finding, peer) => asks.onFinding(peer.address, finding),
    onDelivered: (address) => asks.onDelivered(address),
    log,
    newId: newRecordIds(setup.thread),
  })
}

/** The calling thread as its own serving thread: where the native gate cannot hand over to others. */
export class LocalThread implements ServingThread {
  readonly #edge: Edge
  readonly #lists: ListPort

  constructor(setup: EdgeSetup, log: Log, lists: ListPort, asks: ThreadAsks) {
    this.#edge = newEdge(setup, log, lists, asks)
    this.#lists = lists
  }

  get token(): EngineToken {
    return this.#edge.engine.token
  }

  ready(): Promise<void> {
    return this.#edge.ready()
  }

  configure({ journey, transfer, tls }: ThreadPolicies): void {
    this.#edge.configureTls(tls)
    this.#edge.configure(compilePolicy(journey, bodyScanner()), transfer, this.#lists)
  }

  stress(isStressed: boolean): void {
    this.#edge.stress(isStressed)
  }

  stop(): Promise<void> {
    return this.#edge.stop()
  }
}
