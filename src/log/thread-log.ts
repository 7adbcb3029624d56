/**
 * The log of one thread: records become lines here, lines become batches, batches go to the writer.
 *
 * A serving thread sends its batches by message; the main thread hands them over directly. The
 * octets that are under way stand in shared memory, so a thread whose writer lags counts its
 * records instead of piling them up. Nothing here blocks or throws; mail never waits for the log.
 */
import type { MessagePort } from 'node:worker_threads'
import { logBatchMs, logBatchOctetsMax } from '../base/limits.ts'
import type { VerdictRecord } from '../journey/record.ts'
import { type LineSettings, lineOf, verdictLineOf } from './format.ts'
import { Networks } from './networks.ts'
import type { Log, LogEvent, LogRecord, VerdictLogRecord } from './records.ts'

/** How much is logged; the words of `log.level`. */
export type LogLevel = 'verdicts' | 'findings' | 'connections'

/** What a thread's log is made by; replaced as a whole at reload. */
export interface ThreadLogSettings {
  readonly line: LineSettings
  readonly level: LogLevel
  /** Networks whose clients are watched by `trace`. */
  readonly traced: readonly string[]
}

/** What a serving thread needs to log; the port is transferred. */
export interface ThreadLogInit {
  readonly settings: ThreadLogSettings
  readonly port: MessagePort
  /** Three words: octets under way, records dropped, records that wait in the thread. */
  readonly counters: SharedArrayBuffer
  readonly octetsMax: number
}

/** A batch of whole lines, or a record for those who trace. */
export type LogMessage =
  | { readonly kind: 'lines'; readonly lines: string; readonly records: number }
  | { readonly kind: 'traced'; readonly line: string; readonly client: string }

/** Where the batches of a thread go. */
export interface LogOutlet {
  /** Whether so many more octets fit; no: the records are counted as dropped. */
  take(octets: number): boolean
  send(message: LogMessage): void
  dropped(records: number): void
  /** So many records wait here: who dies with them has lost them. */
  waiting(records: number): void
}

/** Words of the counters that a thread shares with the writer. */
export const octetsUnderWay = 0
/** See `octetsUnderWay`. */
export const recordsDropped = 1
/** See `octetsUnderWay`. */
export const recordsWaiting = 2
/** Octets of the counters. */
export const countersOctets = 12

const eventsBelow: Readonly<Record<LogLevel, ReadonlySet<LogEvent>>> = {
  verdicts: new Set(['finding', 'probe', 'pregreet', 'connect', 'transfer', 'disconnect']),
  findings: new Set(['connect', 'transfer', 'disconnect']),
  connections: new Set(),
}

/** Records in, batches out. */
export class ThreadLog implements Log {
  readonly #outlet: LogOutlet
  #settings: ThreadLogSettings
  #traced: Networks
  #left: ReadonlySet<LogEvent>
  /**
   * The lines that wait, as octets: as strings they would be thousands of joined pieces that live
   * until the batch is sent, which the collector copies and the sender puts together in the cold.
   */
  readonly #batch = Buffer.allocUnsafeSlow(2 * logBatchOctetsMax)
  #octets = 0
  #records = 0
  #timer: NodeJS.Timeout | undefined
  readonly #flush = (): void => this.flush()

  constructor(outlet: LogOutlet, settings: ThreadLogSettings) {
    this.#outlet = outlet
    this.#settings = settings
    this.#traced = new Networks(settings.traced)
    this.#left = eventsBelow[settings.level]
  }

  verdict(record: VerdictRecord): void {
    if (this.isTraced(record.client)) {
      this.#trace(verdictLineOf(record, this.#jsonSettings), record.client)
    }
    if (this.#left.has('verdict')) return
    this.#addLine(verdictLineOf(record, this.#settings.line))
  }

  record(record: Exclude<LogRecord, VerdictLogRecord>): void {
    if ('client' in record && this.isTraced(record.client)) {
      this.#trace(lineOf(record, this.#jsonSettings), record.client)
    }
    if (record.event === 'dialogue' || this.#left.has(record.event)) return
    this.#addLine(lineOf(record, this.#settings.line))
  }

  takes(event: LogEvent, client: string): boolean {
    return !this.#left.has(event) || this.isTraced(client)
  }

  /** Whether anybody is traced: every record must be seen then, by `verdict` or `record`. */
  get isTracing(): boolean {
    return this.#settings.traced.length > 0
  }

  /** How lines are made now; another object after each `configure`. */
  get lineSettings(): LineSettings {
    return this.#settings.line
  }

  /** Whole lines of verdicts, made as `lineSettings` says. */
  lines(lines: string, records: number): void {
    // UTF-8 has three octets a code unit at the most.
    const octetsMax = lines.length * 3
    if (this.#octets + octetsMax > this.#batch.length) this.flush()
    if (octetsMax > this.#batch.length) {
      this.#send(lines, records)
      return
    }
    this.#octets += this.#batch.write(lines, this.#octets)
    this.#records += records
    this.#outlet.waiting(this.#records)
    if (this.#octets >= logBatchOctetsMax) this.flush()
    else this.#timer ??= setTimeout(this.#flush, logBatchMs)
  }

  isTraced(client: string): boolean {
    return this.#settings.traced.length > 0 && this.#traced.holds(client)
  }

  /** Other settings hold from the next record on. */
  configure(settings: ThreadLogSettings): void {
    this.flush()
    this.#settings = settings
    this.#traced = new Networks(settings.traced)
    this.#left = eventsBelow[settings.level]
  }

  /** Sends what waits. */
  flush(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#records === 0) return
    const lines = this.#batch.toString('utf8', 0, this.#octets)
    const records = this.#records
    this.#octets = 0
    this.#records = 0
    this.#send(lines, records)
    this.#outlet.waiting(0)
  }

  #send(lines: string, records: number): void {
    if (this.#outlet.take(lines.length)) this.#outlet.send({ kind: 'lines', lines, records })
    else this.#outlet.dropped(records)
  }

  /** Those who trace are shown json, whatever the log's own form is. */
  get #jsonSettings(): LineSettings {
    return { ...this.#settings.line, format: 'json' }
  }

  #addLine(line: string): void {
    this.lines(`${line}\n`, 1)
  }

  #trace(line: string, client: string): void {
    if (this.#outlet.take(line.length)) this.#outlet.send({ kind: 'traced', line, client })
  }
}

/** The log of a serving thread. Its port keeps no thread alive. */
export function openThreadLog(init: ThreadLogInit): ThreadLog {
  const counters = new Int32Array(init.counters)
  const log = new ThreadLog(
    {
      take: (octets) => {
        const before = Atomics.add(counters, octetsUnderWay, octets)
        if (before + octets <= init.octetsMax) return true
        Atomics.sub(counters, octetsUnderWay, octets)
        return false
      },
      send: (message) => init.port.postMessage(message),
      dropped: (records) => Atomics.add(counters, recordsDropped, records),
      // Read when this thread is gone: no need for more than a store.
      waiting: (records) => {
        counters[recordsWaiting] = records
      },
    },
    init.settings,
  )
  init.port.on('message', (settings: ThreadLogSettings) => log.configure(settings))
  init.port.unref()
  // Who dies of a bug of ours still hands on what waits; what waits in one ended from outside
  // counts as dropped.
  process.once('exit', () => log.flush())
  return log
}
