/**
 * The composition root of the main thread: builds gate, serving threads, log and lists, joins them,
 * and keeps them running until it is told to stop.
 *
 * Order at start: files and mailhost slots are read, threads are made, the gate listens, privileges
 * are dropped, and only then are clients taken. A reload builds the new policies whole before it
 * gives them to anybody; if that fails the old ones stay. Signals are the caller's (src/cli/serve.ts).
 */
import { randomBytes } from 'node:crypto'
import { isStressedAt } from './config/effective.ts'
import type { Config } from './config/schema.ts'
import { type CounterSums, Counters } from './edge/counters.ts'
import { type ListService, noLists } from './edge/list-service.ts'
import {
  gatePolicyOf,
  journeyPolicyOf,
  MailhostSlots,
  readPolicyFiles,
  tlsPolicyOf,
  transferPolicyOf,
} from './edge/policies.ts'
import { dropPrivileges } from './edge/privileges.ts'
import { Probing } from './edge/probing.ts'
import { type ProbingCommand, probingCommands } from './edge/probing-commands.ts'
import { recordOfRefusal } from './edge/refusals.ts'
import { LocalThread, type ServingThread, type ThreadPolicies } from './edge/thread.ts'
import type { Gate, GateCounters, GatePolicy } from './io/gate.ts'
import { newServerGate } from './io/server-gate.ts'
import type { SystemLog } from './log/system-log.ts'
import { SessionCap } from './transfer/session-cap.ts'

/** What an instance is doing. */
export interface ProxyStatus {
  readonly addresses: readonly string[]
  readonly startedAtMs: number
  readonly isStressed: boolean
  readonly threads: number
  readonly gate: GateCounters
  readonly counters: CounterSums
  readonly mailhosts: readonly { readonly address: string; readonly sessions: number }[]
}

/** A serving instance. */
export interface RunningProxy {
  /** `address:port` of every listener, as bound. */
  readonly addresses: readonly string[]
  /** Takes a new configuration; throws OperatingError and keeps the old one. */
  reload(config: Config): void
  status(): ProxyStatus
  /** Commands of the active tests, for the control socket. */
  readonly commands: Readonly<Record<string, ProbingCommand>>
  /**
   * Refuses new clients with 421 4.3.2 and finishes running transactions, for `listen.stop_wait` at
   * the most.
   */
  stop(): Promise<void>
}

/** What an instance may be given beside its configuration. */
export interface ServeParts {
  readonly lists?: ListService
}

const drainEveryMs = 100

/** How long the start waits for the mailhosts' EHLO; without it less is offered for a while. */
const readyWaitMs = 2_000

/** Serves. Rejects with OperatingError when a port is taken or a file cannot be read. */
export async function serve(
  config: Config,
  log: SystemLog,
  parts: ServeParts = {},
): Promise<RunningProxy> {
  const instance = new Instance(config, log, parts.lists ?? noLists)
  await instance.start()
  return instance
}

class Instance implements RunningProxy {
  addresses: readonly string[] = []
  readonly #log: SystemLog
  readonly #lists: ListService
  readonly #gate: Gate
  readonly #probing: Probing
  readonly #slots = new MailhostSlots()
  readonly #memory: { readonly sessionCap: SharedArrayBuffer; readonly counters: SharedArrayBuffer }
  readonly #startedAtMs = Date.now()
  readonly #ticketSecret = randomBytes(32)
  #threads: ServingThread[] = []
  #config: Config
  #gatePolicy: GatePolicy
  #isStressed = false
  #timer: NodeJS.Timeout | undefined

  constructor(config: Config, log: SystemLog, lists: ListService) {
    this.#config = config
    this.#log = log
    this.#lists = lists
    this.#gate = newServerGate({ tableOf: (handle) => lists.tableOf(handle) })
    this.#gatePolicy = gatePolicyOf(config, lists.gate, false)
    const recipientDomains = this.#recipientDomains(config)
    this.#probing = new Probing({ config, recipientDomains, lists, log: log.log })
    const threads = 1
    this.#memory = {
      sessionCap: SessionCap.allocate(threads),
      counters: Counters.allocate(threads),
    }
  }

  async start(): Promise<void> {
    const policies = this.#policiesOf(this.#config)
    this.addresses = await this.#gate.listen(this.#config.listen.smtp)
    for (const warning of dropPrivileges(this.#config.process.user)) this.#tell('warning', warning)
    const setup = { thread: 0, policies, memory: this.#memory }
    this.#threads = [new LocalThread(setup, this.#log.log, this.#lists, this.#probing)]
    await within(Promise.all(this.#threads.map((thread) => thread.ready())), readyWaitMs)
    for (const thread of this.#threads) this.#gate.addWorker(thread.token)
    this.#gate.configure(this.#gatePolicy)
    this.#timer = setInterval(() => this.#tick(), drainEveryMs)
    this.#tell('ready', `listening on ${this.addresses.join(', ')}`)
  }

  reload(config: Config): void {
    const policies = this.#policiesOf(config)
    this.#probing.configure(config, this.#recipientDomains(config))
    this.#config = config
    for (const thread of this.#threads) thread.configure(policies)
    this.#configureGate()
  }

  get commands(): Readonly<Record<string, ProbingCommand>> {
    return probingCommands(this.#probing)
  }

  status(): ProxyStatus {
    const cap = new SessionCap(this.#memory.sessionCap, 0)
    const policy = transferPolicyOf(this.#config, this.#slots)
    return {
      addresses: this.addresses,
      startedAtMs: this.#startedAtMs,
      isStressed: this.#isStressed,
      threads: this.#threads.length,
      gate: this.#gate.counters(),
      counters: Counters.sum(this.#memory.counters),
      mailhosts: policy.route.mailhosts.map(({ address, port, slot }) => ({
        address: `${address}:${port}`,
        sessions: cap.held(slot),
      })),
    }
  }

  async stop(): Promise<void> {
    this.#tell('stop', 'finishing running transactions')
    this.#gate.drain()
    const stopped = Promise.all(this.#threads.map((thread) => thread.stop()))
    await within(stopped, this.#config.listen.stopWaitMs)
    clearInterval(this.#timer)
    await this.#gate.close()
    this.#drainRefusals()
    await this.#probing.close()
  }

  #policiesOf(config: Config): ThreadPolicies {
    const files = readPolicyFiles(config)
    return {
      journey: journeyPolicyOf(config, files, this.#lists.hasTrustedNames),
      transfer: transferPolicyOf(config, this.#slots),
      tls: tlsPolicyOf(config, files, this.#ticketSecret),
    }
  }

  #recipientDomains(config: Config): readonly string[] {
    return journeyPolicyOf(config, readPolicyFiles(config), false).recipientDomains
  }

  #configureGate(): void {
    this.#gatePolicy = gatePolicyOf(this.#config, this.#lists.gate, this.#isStressed)
    this.#gate.configure(this.#gatePolicy)
  }

  #tick(): void {
    this.#drainRefusals()
    const { connectionsMax } = this.#config.listen
    const load = connectionsMax === 0 ? 0 : this.#gate.counters().connections / connectionsMax
    const isStressed = isStressedAt(this.#config, load, this.#isStressed)
    if (isStressed === this.#isStressed) return
    this.#isStressed = isStressed
    for (const thread of this.#threads) thread.stress(isStressed)
    this.#configureGate()
    this.#tell('stress', isStressed ? 'began: waits are shorter' : 'ended')
  }

  #drainRefusals(): void {
    for (const refusal of this.#gate.refusals()) {
      const listsOf = (verdictClass: number) => this.#lists.listsOf(verdictClass)
      this.#log.log.verdict(recordOfRefusal(refusal, this.#gatePolicy, listsOf))
    }
  }

  #tell(what: string, detail: string): void {
    this.#log.log.record({ event: 'service', time: Date.now(), what, detail })
  }
}

/** Resolves with the promise or after the time, whichever comes first. */
async function within(promise: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const waited = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([promise, waited])
  clearTimeout(timer)
}
