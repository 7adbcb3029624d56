/**
 * Worker threads: the serving threads of an instance with native gate and engine.
 *
 * piscina owns the threads. Each runs one task that never ends by itself (src/worker.ts), so its
 * event loop is its own; `atomics` is off, since piscina's default stops the loop of a thread
 * without a task. A thread that dies takes its own connections with it: its engine's cleanup closes
 * their descriptors, its session places are given back, the log tells it, and another takes its
 * row.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { Piscina } from 'piscina'
import { packageRoot } from '../addon/package-root.ts'
import { messageOf, OperatingError } from '../base/errors.ts'
import { threadDeathsMax, threadDeathsWindowMs } from '../base/limits.ts'
import type { EngineToken, Gate } from '../io/gate.ts'
import type { SystemLog } from '../log/system-log.ts'
import type { OnDaemon } from '../tls/daemon-access.ts'
import { SessionCap } from '../transfer/session-cap.ts'
import { AskServer } from './remote-asks.ts'
import type {
  ServingThreads,
  SharedMemory,
  ThreadAsks,
  ThreadLists,
  ThreadPolicies,
} from './thread.ts'
import type { ThreadBirth, ThreadOrder, ThreadReport } from './thread-messages.ts'

/** What the threads of an instance share. */
export interface WorkerThreadsParts {
  readonly threads: number
  readonly gate: Gate
  readonly memory: SharedMemory
  readonly log: SystemLog
  readonly asks: ThreadAsks
  /** Told how the TLS daemon stands, by each thread for itself. */
  readonly onTlsDaemon: OnDaemon
  readonly policies: ThreadPolicies
  readonly lists: ThreadLists
  /** A thread could not be kept alive: the instance cannot serve. */
  readonly onFatal: (fault: OperatingError) => void
}

/** All serving threads of an instance, seen as one. */
export class WorkerThreads implements ServingThreads {
  readonly #parts: WorkerThreadsParts
  readonly #piscina: Piscina
  readonly #threads: WorkerThread[] = []
  #policies: ThreadPolicies
  #isStressed = false
  #isStopping = false
  #deathsMs: number[] = []

  constructor(parts: WorkerThreadsParts) {
    this.#parts = parts
    this.#policies = parts.policies
    this.#piscina = new Piscina({
      filename: `${packageRoot()}/dist/src/worker.js`,
      minThreads: parts.threads,
      maxThreads: parts.threads,
      concurrentTasksPerWorker: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      atomics: 'disabled',
    })
    // The task's own rejection tells of a dead thread; without a listener the pool would throw.
    this.#piscina.on('error', () => {})
    for (let row = 0; row < parts.threads; row++) this.#begin(row)
  }

  get count(): number {
    return this.#threads.length
  }

  async ready(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.ready))
  }

  configure(policies: ThreadPolicies): void {
    this.#policies = policies
    for (const thread of this.#threads) thread.order({ kind: 'configure', policies })
  }

  stress(isStressed: boolean): void {
    this.#isStressed = isStressed
    for (const thread of this.#threads) thread.order({ kind: 'stress', isStressed })
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    for (const thread of this.#threads) thread.order({ kind: 'stop' })
    // Who died was told of then.
    await Promise.allSettled(this.#threads.map((thread) => thread.ended))
  }

  async endThread(row: number): Promise<void> {
    const threadId = this.#threads[row]?.threadId
    await this.#piscina.threads.find((worker) => worker.threadId === threadId)?.terminate()
  }

  /** Ends the threads that have not ended by themselves. */
  async close(): Promise<void> {
    this.#isStopping = true
    await this.#piscina.destroy()
  }

  #begin(row: number): void {
    const { memory, lists, log, gate, threads } = this.#parts
    const setup = { thread: row, policies: this.#policies, memory, lists }
    const thread = new WorkerThread(this.#piscina, setup, log.newThread(threads), this.#parts)
    this.#threads[row] = thread
    thread.ready.then((token) => {
      if (this.#isStressed) thread.order({ kind: 'stress', isStressed: true })
      gate.addWorker(token)
    }, ignoreHere)
    thread.ended.catch((fault: unknown) => this.#onDeath(row, thread, fault))
  }

  #onDeath(row: number, thread: WorkerThread, fault: unknown): void {
    if (thread.token !== undefined) this.#parts.gate.removeWorker(thread.token)
    new SessionCap(this.#parts.memory.sessionCap, row).forget(row)
    if (this.#isStopping) return
    const detail = `thread ${row} died: ${messageOf(fault)}; its connections are lost`
    this.#parts.log.log.record({ event: 'service', time: Date.now(), what: 'worker', detail })
    const nowMs = performance.now()
    const oldestMs = nowMs - threadDeathsWindowMs
    this.#deathsMs = [...this.#deathsMs.filter((timeMs) => timeMs > oldestMs), nowMs]
    if (this.#deathsMs.length <= threadDeathsMax) this.#begin(row)
    else this.#parts.onFatal(new OperatingError('THREADS_DIE', `serving threads die: ${detail}`))
  }
}

/** One thread. */
class WorkerThread {
  token: EngineToken | undefined
  /** As node:worker_threads numbers it. */
  threadId: number | undefined
  /** Resolves with the engine's token once it serves. */
  readonly ready: Promise<EngineToken>
  /** Resolves when the thread was told to stop and did; rejects when it died. */
  readonly ended: Promise<void>
  readonly #port: MessagePort

  constructor(
    piscina: Piscina,
    setup: ThreadBirth['setup'],
    log: ThreadBirth['log'],
    { asks, onTlsDaemon, log: system }: Pick<WorkerThreadsParts, 'asks' | 'onTlsDaemon' | 'log'>,
  ) {
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    const onFault = (error: unknown): void => {
      const detail = `a report of thread ${setup.thread}: ${messageOf(error)}`
      system.log.record({ event: 'service', time: Date.now(), what: 'fault', detail })
    }
    const desk = new AskServer(asks, (order) => port1.postMessage(order), onFault)
    const birth: ThreadBirth = { setup, log, port: port2 }
    this.ended = piscina.run(birth, { transferList: [port2, log.port] }).finally(() => {
      desk.close()
      port1.close()
    })
    this.ready = new Promise((resolve, reject) => {
      port1.on('message', (report: ThreadReport) => {
        if (report.kind === 'ready') {
          this.token = report.token
          this.threadId = report.threadId
          resolve(report.token)
        } else if (report.kind === 'tls-daemon') onTlsDaemon(report.standing)
        else desk.onReport(report)
      })
      this.ended.then(() => reject(new Error('ended before it was ready')), reject)
    })
    this.ready.catch(ignoreHere)
  }

  order(order: ThreadOrder): void {
    this.#port.postMessage(order)
  }
}

/** The fault is met where `ended` is. */
function ignoreHere(): void {}
