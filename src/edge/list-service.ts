/**
 * ListService: what the lists are to gate and threads. The face; src/lists/ does the work.
 */
import type { Config } from '../config/schema.ts'
import type { ListPort } from '../journey/ports.ts'
import type { ListReport, LoadProgress } from '../lists/list-report.ts'
import type { DynamicTable } from './dynamic-entries.ts'
import type { Holding } from './look-up.ts'
import type { GateTables } from './policies.ts'

/** Handles of the native tables of exempt hosts, for the serving threads; 0 = none. */
export interface ExemptTables {
  readonly relay: number
  readonly dialup: number
}

/** The lists of an instance, owned by the main thread. */
export interface ListService extends ListPort, DynamicTable {
  /** For GatePolicy. */
  readonly gate: GateTables
  readonly exempt: ExemptTables
  /** Are there trusted domain names to ask DNS for? */
  readonly hasTrustedNames: boolean
  /** For a gate without native tables: the class of an address in the table with this handle. */
  tableOf(handle: number): ((address: string) => number) | undefined
  /** Is the name of a client one of the trusted names, or below one? */
  isTrustedName(name: string): boolean
  /** The relay and dialup databases: hosts that the tests leave alone. */
  isRelayExempt(address: string): boolean
  isDialupExempt(address: string): boolean
  /** Does a trusted, never-block, relay or dialup network touch the prefix? Feedback asks. */
  isFeedbackExempt(prefix: string): boolean
  /** Every entry of every list that holds the address, with file and line. */
  holdingsOf(address: string): readonly Holding[]
  /** The same of a client's name. */
  nameHoldingsOf(name: string): readonly Holding[]
  /** What became of each list at the last load. */
  readonly reports: readonly ListReport[]
  /** How far a load that runs is. */
  readonly loading: LoadProgress | undefined
  /** Loads all lists anew; the old ones serve until then. Rejects with OperatingError. */
  reload(config: Config): Promise<void>
  close(): Promise<void>
}
