/**
 * The records of the system log: a closed set, one type an event, stable keys.
 *
 * `verdict` stands once per transaction and per connection refused before its first; the others
 * tell what led to it or what the service did. Peer octets stand here as received: the formats
 * escape and cut them. The fields of each event, their order and names are `fields.ts`.
 */
import type { Layer, Outcome } from '../checks/finding.ts'
import type { VerdictRecord } from '../journey/record.ts'

/** A verdict, as the journey or the gate's refusals make it. */
export interface VerdictLogRecord extends VerdictRecord {
  readonly event: 'verdict'
}

/** A client was handed to a worker. */
export interface ConnectLogRecord {
  readonly event: 'connect'
  readonly time: number
  readonly client: string
  readonly port: number
  /** Our own address and port. */
  readonly local: string
  readonly isTrusted: boolean
}

/** A client talked before the greeting. */
export interface PregreetLogRecord {
  readonly event: 'pregreet'
  readonly time: number
  readonly client: string
  readonly port: number
  readonly octets: number
  readonly action: string
}

/** A probe came to an end. */
export interface ProbeLogRecord {
  readonly event: 'probe'
  readonly time: number
  readonly client: string
  /** `dialup`, `relay`, `user`, `recipient` (call-ahead). */
  readonly test: string
  /** What was asked about: an address or mailbox. */
  readonly key: string
  /** Host that was asked, '' for none. */
  readonly target: string
  readonly outcome: Outcome
  readonly finding: string
  readonly ms: number
  readonly evidence: readonly string[]
}

/** A check or test learnt something that is worth a record beside the verdict. */
export interface FindingLogRecord {
  readonly event: 'finding'
  readonly time: number
  readonly client: string
  readonly layer: Layer
  readonly finding: string
  readonly outcome: Outcome
  readonly evidence: readonly string[]
}

/** A message went to the mailhost, or did not get there. */
export interface TransferLogRecord {
  readonly event: 'transfer'
  readonly time: number
  readonly id: string
  readonly client: string
  /** Address and port of the mailhost. */
  readonly mailhost: string
  readonly reply: string
  readonly octets: number
  readonly ms: number
}

/** A connection that was handed to a worker is gone. */
export interface DisconnectLogRecord {
  readonly event: 'disconnect'
  readonly time: number
  readonly client: string
  readonly port: number
  /** As the engine says: `closed`, `ended`, `reset`, `timeout`. */
  readonly reason: string
  readonly transactions: number
  readonly octets: number
  readonly ms: number
}

/** Configuration or lists were loaded again. */
export interface ReloadLogRecord {
  readonly event: 'reload'
  readonly time: number
  readonly ok: boolean
  /** What took effect; what is wrong where it did not. */
  readonly changes: readonly string[]
  readonly faults: readonly string[]
  /** Settings that changed and need a restart. */
  readonly restart: readonly string[]
}

/** A list or feed was looked at. */
export interface FeedLogRecord {
  readonly event: 'feed'
  readonly time: number
  readonly list: string
  /** `loaded`, `unchanged`, `refused`, `failed`, `expired`. */
  readonly result: string
  readonly prefixes: number
  readonly setAside: number
  readonly detail: readonly string[]
}

/** Something happened to the store. */
export interface StoreLogRecord {
  readonly event: 'store'
  readonly time: number
  /** `opened`, `rebuilt`, `full`, `fault`, `recovered`. */
  readonly what: string
  readonly detail: string
}

/** Records that found the buffer full. */
export interface LogDroppedLogRecord {
  readonly event: 'log_dropped'
  readonly time: number
  readonly count: number
}

/** The service itself: start, ready, stress, stop, a warning, a fault. */
export interface ServiceLogRecord {
  readonly event: 'service'
  readonly time: number
  /** `ready`, `warning`, `fault`, `stress`, `worker`, `lists`, `mailhost`, `tls`, `stop`. */
  readonly what: string
  readonly detail: string
}

/** One line of a traced connection's dialogue; written to the one who traces, never to the log. */
export interface DialogueLogRecord {
  readonly event: 'dialogue'
  readonly time: number
  readonly client: string
  readonly port: number
  /** Where the connection is in its journey. */
  readonly stage: string
  /** Who says it to whom. */
  readonly from: 'client' | 'proxy' | 'mailhost'
  readonly to: DialogueLogRecord['from']
  readonly text: string
}

/** Any record. */
export type LogRecord =
  | VerdictLogRecord
  | ConnectLogRecord
  | PregreetLogRecord
  | ProbeLogRecord
  | FindingLogRecord
  | TransferLogRecord
  | DisconnectLogRecord
  | ReloadLogRecord
  | FeedLogRecord
  | StoreLogRecord
  | LogDroppedLogRecord
  | ServiceLogRecord
  | DialogueLogRecord

/** The word that begins a record. */
export type LogEvent = LogRecord['event']

/** What every part may do with the log of its thread. Nothing here blocks, waits or throws. */
export interface Log {
  /** The one record of a transaction or refused connection. */
  verdict(record: VerdictRecord): void
  /** Any other record. */
  record(record: Exclude<LogRecord, VerdictLogRecord>): void
  /** Whether records of this kind are kept, or this client is watched: else none need be made. */
  takes(event: LogEvent, client: string): boolean
  /** Whether somebody watches this client: only then is it worth making `dialogue` records. */
  isTraced(client: string): boolean
}
