/**
 * The system log of an instance: the main thread's own records, the serving threads' batches, the
 * sink, what was dropped, and who traces.
 *
 * Owned by the main thread. The buffers are bounded (limits.ts); what finds them full is counted
 * and told by a `log_dropped` record as soon as there is room, and by `dropped()` for `status`.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { OperatingError } from '../base/errors.ts'
import { logThreadsOctetsMax, logTracesMax } from '../base/limits.ts'
import type { Config } from '../config/schema.ts'
import { type LineSettings, lineOf } from './format.ts'
import { Networks } from './networks.ts'
import {
  hasRoom,
  type LogSink,
  type OpenTlsSyslog,
  openStreamSink,
  type SinkEvents,
} from './sink.ts'
import { openLocalSyslog, openUdpSyslog, priorityOf } from './syslog-sink.ts'
import {
  countersOctets,
  type LogMessage,
  octetsUnderWay,
  recordsDropped,
  recordsWaiting,
  ThreadLog,
  type ThreadLogInit,
  type ThreadLogSettings,
} from './thread-log.ts'

interface Thread {
  readonly port: MessagePort
  readonly counters: Int32Array
}

interface Trace {
  readonly network: string
  readonly networks: Networks
  readonly onLine: (line: string) => void
}

/** A configuration of the log that is ready to be taken; exactly one of the two is called. */
export interface LogChange {
  take(): Promise<void>
  discard(): Promise<void>
}

/** The log of the whole instance. */
export class SystemLog {
  /** The main thread's own log. */
  readonly log: ThreadLog
  #config: Config
  #sink: LogSink
  readonly #openTls: OpenTlsSyslog | undefined
  readonly #threads = new Set<Thread>()
  readonly #traces = new Set<Trace>()
  #dropped = 0
  #droppedTold = 0

  constructor(config: Config, sink: LogSink, openTls?: OpenTlsSyslog) {
    this.#config = config
    this.#openTls = openTls
    this.#sink = sink
    this.log = new ThreadLog(
      {
        take: () => true,
        send: (message) => this.#receive(message),
        dropped: (records) => this.#drop(records),
        waiting: () => {},
      },
      this.#settings(),
    )
  }

  /** What a new serving thread logs through; `port` must be in its transfer list. */
  newThread(threads: number): ThreadLogInit {
    const { port1, port2 } = new MessageChannel()
    const counters = new SharedArrayBuffer(countersOctets)
    const thread = { port: port1, counters: new Int32Array(counters) }
    this.#threads.add(thread)
    port1.on('message', (message: LogMessage) => this.#receiveFrom(thread, message))
    port1.on('close', () => {
      for (const lost of [recordsDropped, recordsWaiting]) {
        this.#drop(Atomics.exchange(thread.counters, lost, 0))
      }
      this.#threads.delete(thread)
    })
    port1.unref()
    const octetsMax = Math.floor(logThreadsOctetsMax / Math.max(1, threads))
    return { settings: this.#settings(), port: port2, counters, octetsMax }
  }

  /** Records that found the log full since start. */
  dropped(): number {
    return this.#dropped
  }

  /** Opens a file again under its name, for rotation. */
  reopen(): void {
    this.log.flush()
    this.#sink.reopen()
  }

  /**
   * Makes ready for [log] of a new configuration: another destination is opened, nothing else has
   * changed. Rejects like openSystemLog.
   */
  async prepare(config: Config): Promise<LogChange> {
    const isMoved = sinkSettingsOf(config) !== sinkSettingsOf(this.#config)
    const sink = isMoved ? await openSink(config, () => this, this.#openTls) : undefined
    return {
      take: async () => {
        this.#config = config
        this.#spread()
        if (sink === undefined) return
        const old = this.#sink
        this.#sink = sink
        await old.close()
      },
      discard: async () => sink?.close(),
    }
  }

  /**
   * Watches the clients of a network: every record and dialogue line of theirs as json.
   * @returns ends it. Throws OperatingError TRACES_FULL.
   */
  trace(network: string, onLine: (line: string) => void): () => void {
    if (this.#traces.size >= logTracesMax) {
      throw new OperatingError('TRACES_FULL', `${logTracesMax} traces run already; end one first`)
    }
    const trace = { network, networks: new Networks([network]), onLine }
    this.#traces.add(trace)
    this.#spread()
    return () => {
      if (this.#traces.delete(trace)) this.#spread()
    }
  }

  /** Writes what waits and closes; the threads have ended before. */
  async close(): Promise<void> {
    this.log.flush()
    this.#tellDropped()
    for (const { port } of this.#threads) port.close()
    await this.#sink.close()
  }

  /** How the sink tells back. */
  get events(): SinkEvents {
    return {
      onDrain: () => this.#tellDropped(),
      onLost: (records) => this.#drop(records),
      onFault: (fault) =>
        this.log.record({ event: 'service', time: Date.now(), what: 'fault', detail: fault }),
    }
  }

  #receiveFrom(thread: Thread, message: LogMessage): void {
    const octets = message.kind === 'lines' ? message.lines.length : message.line.length
    Atomics.sub(thread.counters, octetsUnderWay, octets)
    this.#drop(Atomics.exchange(thread.counters, recordsDropped, 0))
    this.#receive(message)
  }

  #receive(message: LogMessage): void {
    if (message.kind === 'traced') {
      for (const trace of this.#traces) {
        if (trace.networks.holds(message.client)) trace.onLine(message.line)
      }
      return
    }
    this.#tellDropped()
    if (hasRoom(this.#sink, message.lines.length)) this.#sink.write(message.lines)
    else this.#drop(message.records)
  }

  #drop(records: number): void {
    this.#dropped += records
  }

  /** One `log_dropped` record for all that were dropped since the last, as soon as it fits. */
  #tellDropped(): void {
    const count = this.#dropped - this.#droppedTold
    if (count === 0) return
    const line = lineOf({ event: 'log_dropped', time: Date.now(), count }, this.#settings().line)
    if (!hasRoom(this.#sink, line.length + 1)) return
    this.#droppedTold = this.#dropped
    this.#sink.write(`${line}\n`)
  }

  #spread(): void {
    const settings = this.#settings()
    this.log.configure(settings)
    for (const { port } of this.#threads) port.postMessage(settings)
  }

  #settings(): ThreadLogSettings {
    const { log, name } = this.#config
    const line: LineSettings = {
      format: log.format,
      host: name,
      tag: log.tag,
      isSyslog: log.to.startsWith('syslog'),
    }
    return { line, level: log.level, traced: [...this.#traces].map(({ network }) => network) }
  }
}

/**
 * Opens the log that `config.log` names. Rejects with OperatingError LOG_OPEN.
 * @param openTls for `syslog+tls://`.
 */
export async function openSystemLog(config: Config, openTls?: OpenTlsSyslog): Promise<SystemLog> {
  let log: SystemLog | undefined
  const sink = await openSink(config, () => log, openTls)
  log = new SystemLog(config, sink, openTls)
  return log
}

/** What the sink of a configuration is opened with: where two differ, another is opened. */
function sinkSettingsOf({ log, name }: Config): string {
  const { to, facility, tag, ca, servername } = log
  return to.startsWith('syslog') ? [to, name, facility, tag, ca, servername].join('\n') : to
}

async function openSink(
  config: Config,
  owner: () => SystemLog | undefined,
  openTls: OpenTlsSyslog | undefined,
): Promise<LogSink> {
  const { to, facility, tag } = config.log
  const events: SinkEvents = {
    onDrain: () => owner()?.events.onDrain(),
    onLost: (records) => owner()?.events.onLost(records),
    onFault: (fault) => owner()?.events.onFault(fault),
  }
  if (!to.startsWith('syslog')) return openStreamSink(to, events)
  const settings = { facility, tag, host: config.name }
  if (to === 'syslog') return openLocalSyslog(settings, events)
  const [, tls, address = '', digits] = /^syslog(\+tls)?:\/\/\[?([^\]]*?)\]?:(\d+)$/.exec(to) ?? []
  const port = Number(digits)
  if (tls === undefined) return openUdpSyslog(settings, events, address, port)
  if (openTls !== undefined) return openTls(config, { address, port }, priorityOf(facility), events)
  throw new OperatingError('LOG_OPEN', `log.to = ${to}: no TLS here; name another destination`)
}
