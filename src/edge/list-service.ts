/**
 * ListService: what the lists are to gate and threads. The face; src/lists/ does the work.
 */
import type { ListPort } from '../journey/ports.ts'
import type { GateTables } from './policies.ts'

/** The lists of an instance, owned by the main thread. */
export interface ListService extends ListPort {
  /** For GatePolicy; changes only with `onChange`. */
  readonly gate: GateTables
  /** Are there trusted domain names to ask DNS for? */
  readonly hasTrustedNames: boolean
  /** For a gate without native tables: the class of an address in the table with this handle. */
  tableOf(handle: number): ((address: string) => number) | undefined
}

/** An instance without lists. */
export const noLists: ListService = {
  gate: { blacklist: 0, trusted: 0, proxyProtocolFrom: 0, classRules: [] },
  hasTrustedNames: false,
  tableOf: () => undefined,
  isWhitelisted: () => false,
  listsOf: () => [],
}
