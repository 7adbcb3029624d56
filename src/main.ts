/**
 * The composition root of the main thread: builds gate, serving threads, log and lists, joins them,
 * and keeps them running until it is told to stop.
 *
 * Order at start: files and mailhost slots are read, threads are made, the gate listens, privileges
 * are dropped, and only then are clients taken. A reload builds the new policies whole before it
 * gives them to anybody; if that fails the old ones stay. Signals are the caller's
 * (src/cli/serve.ts).
 */
import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { endpointText } from './base/endpoint.ts'
import { messageOf, type OperatingError } from './base/errors.ts'
import { Turns } from './base/turns.ts'
import { inForce } from './config/differences.ts'
import { isStressedAt, loadOf } from './config/effective.ts'
import { warningsOf } from './config/rules.ts'
import type { Config } from './config/schema.ts'
import { Counters } from './edge/counters.ts'
import { DynamicEntries } from './edge/dynamic-entries.ts'
import type { ListService } from './edge/list-service.ts'
import { Lists } from './edge/lists.ts'
import { type LookupSources, lookUp } from './edge/look-up.ts'
import { recordOfList } from './edge/main-records.ts'
import { placesOf } from './edge/places.ts'
import {
  gatePolicyOf,
  journeyPolicyOf,
  MailhostSlots,
  type PolicyFiles,
  readPolicyFiles,
  tlsPolicyOf,
  transferPolicyOf,
} from './edge/policies.ts'
import { dropPrivileges } from './edge/privileges.ts'
import { learntSettingsOf, probeSettingsOf } from './edge/probe-settings.ts'
import { Probing } from './edge/probing.ts'
import { type ProbingCommand, probingCommands } from './edge/probing-commands.ts'
import { RefusalLog } from './edge/refusal-log.ts'
import type { ProxyStatus, RunningProxy, ServeParts } from './edge/running-proxy.ts'
import {
  LocalThread,
  type ServingThreads,
  type SharedMemory,
  type ThreadPolicies,
} from './edge/thread.ts'
import { TlsDaemonWatch } from './edge/tls-daemon-watch.ts'
import { within } from './edge/within.ts'
import { WorkerThreads } from './edge/worker-threads.ts'
import type { Gate, GatePolicy } from './io/gate.ts'
import { newNativeGate } from './io/native-gate.ts'
import { newServerGate } from './io/server-gate.ts'
import type { ListPort } from './journey/ports.ts'
import type { ListReport } from './lists/list-report.ts'
import type { SystemLog } from './log/system-log.ts'
import { ProbeSwitch } from './probes/probe-switch.ts'
import { Learnt } from './store/learnt.ts'
import type { Outcome } from './tls/api.ts'
import { mailhostsOf } from './transfer/mailhost.ts'
import { SessionCap } from './transfer/session-cap.ts'

const drainEveryMs = 100

/** Serves. Rejects with OperatingError when a port is taken or a file cannot be read. */
export async function serve(
  config: Config,
  log: SystemLog,
  parts: ServeParts = {},
): Promise<RunningProxy> {
  let instance: Instance | undefined
  let lists: ListService | undefined
  const listener = {
    onReport: (report: ListReport) => log.log.record(recordOfList(report)),
    onFault: (detail: string) =>
      log.log.record({ event: 'service', time: Date.now(), what: 'lists', detail }),
    onRules: () => instance?.onGateRules(),
    onChange: () => instance?.onListsChange(),
  }
  // Before the lists, which may lie in it.
  const learnt = openLearnt(config, log)
  try {
    lists = parts.lists ?? (await Lists.open(config, listener))
    const hasOwnLists = parts.lists !== undefined
    instance = new Instance(config, { ...parts, log, lists, learnt, hasOwnLists })
    await instance.start()
    return instance
  } catch (fault) {
    if (instance === undefined) {
      await lists?.close()
      await learnt?.close()
    } else await instance.close()
    throw fault
  }
}

/**
 * What was learnt before. Without a store mail goes on, and what is learnt goes with the process.
 */
function openLearnt(config: Config, { log }: SystemLog): Learnt | undefined {
  const report = (what: string, detail: string): void =>
    log.record({ event: 'store', time: Date.now(), what, detail })
  try {
    return new Learnt(config.store.path, learntSettingsOf(config), report)
  } catch (error) {
    report('fault', messageOf(error))
    return undefined
  }
}

/** What an instance is made of. */
interface InstanceParts extends Omit<ServeParts, 'lists'> {
  readonly log: SystemLog
  readonly lists: ListService
  readonly learnt: Learnt | undefined
  /** The caller gave the lists. */
  readonly hasOwnLists: boolean
}

class Instance implements RunningProxy {
  addresses: readonly string[] = []
  readonly #log: SystemLog
  readonly #lists: ListService
  readonly #probing: Probing
  readonly #tlsDaemon: TlsDaemonWatch
  readonly dynamic: DynamicEntries
  readonly learnt: Learnt | undefined
  readonly #onFatal: (fault: OperatingError) => void
  readonly #configFile: string
  readonly #gate: Gate
  readonly #refusals: RefusalLog
  /** Threads on native gate and engine; 0: the twins on this thread. */
  readonly #threadCount: number
  readonly #slots = new MailhostSlots()
  readonly #memory: SharedMemory
  readonly #startedAtMs = performance.now()
  readonly #ticketSecret = randomBytes(32)
  #threads: ServingThreads | undefined
  readonly #turns = new Turns()
  #config: Config
  /** What the configuration's files said when it was taken. */
  #files: PolicyFiles
  /** As the threads were told. */
  #hasTrustedNames: boolean
  #gatePolicy: GatePolicy
  /** The gate has its policy: clients are let in. */
  #isOpen = false
  #isStressed = false
  #timer: NodeJS.Timeout | undefined

  constructor(config: Config, parts: InstanceParts) {
    const { log, lists, learnt } = parts
    this.#config = config
    this.#log = log
    this.#lists = lists
    this.learnt = learnt
    this.#files = readPolicyFiles(config)
    this.#hasTrustedNames = lists.hasTrustedNames
    const { recipientDomains } = journeyPolicyOf(config, this.#files, false)
    this.dynamic = new DynamicEntries(lists, {
      onRemoved: (prefix) => this.#probing.onRemoved(prefix),
      onBarred: (detail) => this.#tell('lists', detail),
      onFault: (detail) => this.#tell('lists', detail),
    })
    const probeSwitch = ProbeSwitch.allocate()
    this.#probing = new Probing({
      config,
      recipientDomains,
      lists,
      log: log.log,
      learnt,
      onListing: (listing) => this.dynamic.learn(listing, Date.now()),
      probeSwitch: new ProbeSwitch(probeSwitch),
    })
    this.#tlsDaemon = new TlsDaemonWatch(config.tlsDaemon.socket, (what, detail) =>
      this.#tell(what, detail),
    )
    this.#configFile = parts.configFile ?? ''
    this.#onFatal = (fault) => {
      this.#tell('fault', fault.message)
      parts.onFatal?.(fault)
    }
    // Lists that only this thread can read need the gate and engine that run on it.
    const isNative = parts.isNative !== false && !parts.hasOwnLists && lists.gate.blacklist >= 0
    const nativeGate = isNative ? newNativeGate() : undefined
    this.#gate = nativeGate ?? newServerGate({ tableOf: (handle) => this.#lists.tableOf(handle) })
    this.#refusals = new RefusalLog({
      gate: this.#gate,
      log: log.log,
      listsOf: (verdictClass) => this.#lists.listsOf(verdictClass),
    })
    this.#threadCount = nativeGate === undefined ? 0 : threadsOf(config)
    this.#gatePolicy = gatePolicyOf(config, this.#lists.gate, false)
    const rows = Math.max(1, this.#threadCount)
    this.#memory = {
      sessionCap: SessionCap.allocate(rows),
      counters: Counters.allocate(rows),
      probeSwitch,
    }
  }

  async start(): Promise<void> {
    this.addresses = await this.#gate.listen(this.#config.listen.smtp)
    const places = placesOf(this.#config, this.#configFile)
    for (const warning of dropPrivileges(this.#config.process.user, places)) {
      this.#tell('warning', warning)
    }
    this.#enterKnown(Date.now())
    // The policies of this moment: lists may have been loaded behind a snapshot meanwhile.
    this.#hasTrustedNames = this.#lists.hasTrustedNames
    this.#threads = this.#newThreads(this.#policiesOf(this.#config, this.#files))
    await this.#threads.ready()
    // Only now: a gate without a policy lets clients wait, one without threads turns them away.
    this.#isOpen = true
    this.#gate.configure(this.#gatePolicy)
    this.#timer = setInterval(() => this.#tick(), drainEveryMs)
    this.#tell('ready', `listening on ${this.addresses.join(', ')}`)
  }

  reload(config: Config): Promise<void> {
    return this.#turns.take(() => this.#takeConfig(inForce(this.#config, config)))
  }

  /**
   * First all that can fail, the lists last: until they are in place nothing has changed. Lists
   * come before policies, so that no client is judged by a new policy and an old list.
   */
  async #takeConfig(config: Config): Promise<void> {
    const files = readPolicyFiles(config)
    const { recipientDomains } = this.#policiesOf(config, files).journey
    const takeProbing = this.#probing.prepare(config, recipientDomains)
    await this.#lists.reload(config)
    takeProbing()
    this.learnt?.configure(learntSettingsOf(config))
    this.#config = config
    this.#files = files
    this.#configureThreads()
    this.#configureGate()
  }

  /** Rules for lists that are about to be in force: the gate has them before. */
  onGateRules(): void {
    this.#configureGate()
  }

  /** New lists are in force: the gate takes their rules, the threads hear of trusted names. */
  onListsChange(): void {
    void this.dynamic.onLoaded()
    this.#configureGate()
    if (this.#lists.hasTrustedNames !== this.#hasTrustedNames) this.#configureThreads()
  }

  #configureThreads(): void {
    this.#hasTrustedNames = this.#lists.hasTrustedNames
    this.#threads?.configure(this.#policiesOf(this.#config, this.#files))
  }

  /** Gives the gate what it judges by now; what it refused before is told as it was said. */
  #configureGate(): void {
    this.#drainRefusals()
    this.#gatePolicy = gatePolicyOf(this.#config, this.#lists.gate, this.#isStressed)
    if (this.#isOpen) this.#gate.configure(this.#gatePolicy)
  }

  get commands(): Readonly<Record<string, ProbingCommand>> {
    return {
      ...probingCommands(this.#probing),
      lookup: ({ subject }) => lookUp(String(subject), this.#lookupSources()),
    }
  }

  #lookupSources(): LookupSources {
    const { recipientDomains } = journeyPolicyOf(this.#config, this.#files, false)
    const whitelist = this.learnt?.whitelist
    return { config: this.#config, lists: this.#lists, recipientDomains, whitelist }
  }

  status(): ProxyStatus {
    const cap = new SessionCap(this.#memory.sessionCap, 0)
    const policy = transferPolicyOf(this.#config, this.#files, this.#slots)
    return {
      addresses: this.addresses,
      uptimeMs: Math.round(performance.now() - this.#startedAtMs),
      isStressed: this.#isStressed,
      threads: this.#threads?.count ?? 0,
      gate: this.#gate.counters(),
      counters: Counters.sum(this.#memory.counters),
      lists: this.#lists.reports,
      loading: this.#lists.loading,
      warnings: warningsOf(this.#config),
      mailhosts: mailhostsOf(policy).map(({ address, port, slot }) => ({
        address: endpointText(address, port),
        sessions: cap.held(slot),
        awayIn: cap.awayIn(slot),
      })),
      probes: this.#probing.state,
      tlsDaemon: this.#tlsDaemon.state,
      logDropped: this.#log.dropped(),
    }
  }

  async endThread(thread: number): Promise<void> {
    await this.#threads?.endThread(thread)
  }

  async stop(): Promise<void> {
    this.#tell('stop', 'finishing running transactions')
    this.#gate.drain()
    const stopped = this.#threads?.stop() ?? Promise.resolve()
    await within(stopped, this.#config.listen.stopWaitMs)
    await this.close()
  }

  /** Ends at once, whatever runs. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#threads?.close()
    await this.#gate.close()
    this.#drainRefusals()
    this.#probing.close()
    this.dynamic.close()
    await this.#lists.close()
    await this.learnt?.close()
  }

  /** Listings of before work again from the first client on, as far as they can be read. */
  #enterKnown(wallMs: number): void {
    if (this.learnt === undefined) return
    const { dynamic, store } = this.learnt
    try {
      for (const { source, evidence, prefix, expiresAtMs } of dynamic.entries(wallMs)) {
        const isFound = source === 'feedback' || evidence.length > 0
        if (isFound) this.#probing.onKnown(prefix, expiresAtMs)
      }
      this.dynamic.keepIn(dynamic, wallMs)
    } catch (error) {
      store.onReadFault(error)
    }
  }

  #policiesOf(config: Config, files: PolicyFiles): ThreadPolicies {
    const journey = journeyPolicyOf(config, files, this.#lists.hasTrustedNames)
    return {
      journey,
      transfer: transferPolicyOf(config, files, this.#slots),
      tls: tlsPolicyOf(config, files, this.#ticketSecret),
      probes: probeSettingsOf(config, journey.recipientDomains),
    }
  }

  #newThreads(policies: ThreadPolicies): ServingThreads {
    const log = this.#log
    const memory = this.#memory
    const { gate, exempt } = this.#lists
    const { path: store } = this.#config.store
    const hasVerdicts = this.learnt !== undefined
    const lists = { blacklist: gate.blacklist, ...exempt, store, hasVerdicts }
    const onTlsDaemon = (standing: Outcome): void => this.#tlsDaemon.take(standing)
    if (this.#threadCount === 0) {
      const setup = { thread: 0, policies, memory, lists }
      const surroundings = {
        log: log.log,
        asks: this.#probing,
        onTlsDaemon,
        lists: this.#listPort(),
      }
      return new LocalThread(this.#gate, setup, surroundings)
    }
    return new WorkerThreads({
      threads: this.#threadCount,
      gate: this.#gate,
      memory,
      log,
      asks: this.#probing,
      onTlsDaemon,
      policies,
      lists,
      onFatal: this.#onFatal,
    })
  }

  /** The lists as a thread without native tables asks them. */
  #listPort(): ListPort {
    return {
      isWhitelisted: (sender) =>
        this.#lists.isWhitelisted(sender) || this.learnt?.whitelist.has(sender) === true,
      listsOf: (verdictClass) => this.#lists.listsOf(verdictClass),
    }
  }

  #tick(): void {
    this.#drainRefusals()
    const load = loadOf(this.#config, this.#gate.counters(), this.#threads?.count ?? 1)
    const isStressed = isStressedAt(this.#config, load, this.#isStressed)
    if (isStressed === this.#isStressed) return
    this.#isStressed = isStressed
    this.#threads?.stress(isStressed)
    this.#probing.stress(isStressed)
    this.#configureGate()
    this.#tell('stress', isStressed ? 'began: waits are shorter' : 'ended')
  }

  #drainRefusals(): void {
    this.#refusals.drain(this.#gatePolicy)
  }

  #tell(what: string, detail: string): void {
    this.#log.log.record({ event: 'service', time: Date.now(), what, detail })
  }
}

/** `listen.workers`, or one thread a core. */
function threadsOf({ listen }: Config): number {
  return listen.workers > 0 ? listen.workers : availableParallelism()
}
