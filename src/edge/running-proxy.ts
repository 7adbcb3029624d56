/**
 * RunningProxy: a serving instance as commands, the control socket and programs that embed it see
 * it, and what it may be given. src/main.ts makes it.
 */
import type { OperatingError } from '../base/errors.ts'
import type { Config } from '../config/schema.ts'
import type { GateCounters } from '../io/gate.ts'
import type { ListReport, LoadProgress } from '../lists/list-report.ts'
import type { Learnt } from '../store/learnt.ts'
import type { CounterSums } from './counters.ts'
import type { DynamicEntries } from './dynamic-entries.ts'
import type { ListService } from './list-service.ts'
import type { ProbesState } from './probing.ts'
import type { ProbingCommand } from './probing-commands.ts'
import type { TlsDaemonState } from './tls-daemon-watch.ts'

/** What an instance is doing. */
export interface ProxyStatus {
  readonly addresses: readonly string[]
  readonly uptimeMs: number
  readonly isStressed: boolean
  readonly threads: number
  readonly gate: GateCounters
  readonly counters: CounterSums
  /** What became of each list at the last load. */
  readonly lists: readonly ListReport[]
  /** How far a load that runs is. */
  readonly loading: LoadProgress | undefined
  /** What is allowed but should be looked at. */
  readonly warnings: readonly string[]
  readonly mailhosts: readonly MailhostState[]
  readonly probes: ProbesState
  readonly tlsDaemon: TlsDaemonState
  /** Records that found the log full since start. */
  readonly logDropped: number
}

/** A mailhost as the serving threads find it. */
export interface MailhostState {
  readonly address: string
  /** Of all threads. */
  readonly sessions: number
  /** How many threads could not reach it when they last tried, and have no session to it. */
  readonly awayIn: number
}

/** A serving instance. */
export interface RunningProxy {
  /** `address:port` of every listener, as bound. */
  readonly addresses: readonly string[]
  /** Takes a new configuration; rejects with OperatingError and keeps the old one. */
  reload(config: Config): Promise<void>
  status(): ProxyStatus
  /** The list `dynamic`: table and gate. */
  readonly dynamic: DynamicEntries
  /** What is kept over a restart; undefined: the store could not be opened, the log says why. */
  readonly learnt: Learnt | undefined
  /** Commands of the active tests, for the control socket. */
  readonly commands: Readonly<Record<string, ProbingCommand>>
  /** Ends a serving thread as if it had died: its connections are lost, another takes its place. */
  endThread(thread: number): Promise<void>
  /**
   * Refuses new clients with 421 4.3.2 and finishes running transactions, for `listen.stop_wait` at
   * the most.
   */
  stop(): Promise<void>
}

/** What an instance may be given beside its configuration. */
export interface ServeParts {
  /** Instead of those of the configuration; the instance runs on the calling thread then. */
  readonly lists?: ListService
  /** False: the twins on the calling thread, as where the addon is missing. */
  readonly isNative?: boolean
  /** The file that a reload reads the configuration from. */
  readonly configFile?: string
  /** The instance cannot go on; it is to be stopped. */
  readonly onFatal?: (fault: OperatingError) => void
}

/** A fault that may come. */
export interface Fatal {
  readonly onFatal: (fault: OperatingError) => void
  /** Resolves with the first one; never, where none comes. */
  readonly failed: Promise<OperatingError>
}

/** The two ends of it: one for `serve`, one for who waits. */
export function newFatal(): Fatal {
  let onFatal: Fatal['onFatal'] = () => {}
  const failed = new Promise<OperatingError>((resolve) => {
    onFatal = resolve
  })
  return { onFatal, failed }
}
