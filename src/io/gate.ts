/**
 * The accept gate's face: what stands before every connection.
 *
 * Two parts stand behind it: native-gate.ts (native/gate, a thread of its own with epoll, so it
 * goes on refusing while JavaScript is blocked) and server-gate.ts, its slow twin over net.Server
 * on the calling thread. Both pass test/contract/gate.ts.
 *
 * Order at connect: PROXY header (configured balancers only) > trusted network > blacklist > limits
 * and rates > greeting delay and early talk > hand-over to a worker. A refusal never reaches
 * JavaScript as a connection: it is a fixed-size entry in a bounded ring, drained in batches.
 */

/** What the gate does with a connection that a rule catches; the words of the configuration. */
export type GateAction = 'refuse' | 'tarpit' | 'reset' | 'drop' | 'observe'

/** What a verdict class (a set of lists) leads to. The strictest action of its lists is taken. */
export interface ClassRule {
  readonly verdictClass: number
  readonly action: GateAction
  /**
   * Whole reply with CRLF; `{address}` and `{id}` are filled in by the gate, `{list}` already is.
   */
  readonly reply: string
}

/** What is done with a verdict class: its own rule, else the one of class 0. */
export function ruleOf(rules: readonly ClassRule[], verdictClass: number): ClassRule | undefined {
  const isOwn = (rule: ClassRule) => rule.verdictClass === verdictClass
  return rules.find(isOwn) ?? rules.find((rule) => rule.verdictClass === 0)
}

/** A reply of the gate as its client gets it. */
export function filledReply(reply: string, address: string, id: string): string {
  return reply.replaceAll('{address}', address).replaceAll('{id}', id)
}

/** Everything the gate judges by; replaced as a whole and at once by `configure`. */
export interface GatePolicy {
  /** The greeting with CRLF, composed in TypeScript. */
  readonly greeting: string
  readonly greetDelayMs: number
  readonly earlyTalker: 'off' | 'observe' | 'tempfail' | 'enforce'
  readonly earlyTalkerReply: string
  /** Handle of the native blacklist table (IpTable.handle), 0 = none. */
  readonly blacklist: number
  /** Rule of a class that is not named: the first with verdictClass 0. */
  readonly classRules: readonly ClassRule[]
  /** Handle of the native table of trusted networks, 0 = none. */
  readonly trusted: number
  /** Handle of the native table of balancers that send PROXY headers, 0 = none. */
  readonly proxyProtocolFrom: number
  /** Connections at once, 0 = no limit. */
  readonly connectionsMax: number
  readonly perAddressMax: number
  /** New connections per address and window; 0 = no limit. */
  readonly rateMax: number
  readonly rateWindowMs: number
  /** Tarpitted clients at once; above, and with 0 all, are refused at once. */
  readonly tarpitMax: number
  readonly sessionsPerWorkerMax: number
  /** `421 4.7.0 …` with CRLF: too many from this address, or too often. */
  readonly limitReply: string
  /** `421 4.3.2 …` with CRLF: too many connections, or no room in any worker. */
  readonly overloadReply: string
  /** `421 4.3.2 …` with CRLF: since `drain`. RFC 5321 §3.8 */
  readonly stoppingReply: string
}

/** Why the gate refused. */
export type RefusalCause =
  | 'blacklist'
  | 'early-talker'
  | 'per-address'
  | 'rate'
  | 'overload'
  | 'proxy-header'
  | 'stopping'

/** One refused connection, as the main thread turns it into a verdict record. */
export interface Refusal {
  /** Wall clock, milliseconds. */
  readonly time: number
  /** The id that the reply carried. */
  readonly id: string
  readonly address: string
  readonly port: number
  readonly cause: RefusalCause
  readonly action: GateAction | 'tempfail'
  readonly verdictClass: number
  /** Octets that the client had sent before the greeting (early talker), else 0. */
  readonly octets: number
}

/** What is filled in for each refusal; the numbers are those of native/gate/refusal_lines.hpp. */
export const refusalPlace = { second: 1, millisecond: 2, id: 3, address: 4, port: 5 } as const

/** A line, `\n` included, in pieces: text, or a place that is filled in. Latin1. */
export type RefusalForm = readonly (string | number)[]

/** Takes refusals as lines of the log; replaced as a whole when what its lines say changes. */
export interface RefusalWriter {
  /** A time as the forms' `second` shows it; asked once a second. At most 64 characters. */
  second(timeMs: number): string
  /**
   * The form of all refusals with this one's cause, action and verdict class, and no octets of the
   * client; undefined: they come to `refusal`. Asked once for each.
   */
  formOf(refusal: Refusal): RefusalForm | undefined
  /** Whole lines. */
  lines(lines: string, count: number): void
  /** One that no form fits. */
  refusal(refusal: Refusal): void
}

/** Counters since start; each only grows but for the last five. */
export interface GateCounters {
  readonly accepted: number
  readonly passed: number
  readonly refused: number
  readonly reset: number
  readonly dropped: number
  readonly tarpitted: number
  readonly earlyTalkers: number
  readonly limited: number
  readonly overloaded: number
  /** Came when the service was stopping. */
  readonly stopping: number
  /** Refusals that found the ring full: counted, not recorded. */
  readonly refusalsLost: number
  readonly tarpits: number
  readonly waiting: number
  readonly connections: number
  readonly workers: number
  /** Blocks of a flood that are dropped below accept now (native gate only). */
  readonly filteredBlocks: number
}

/** A worker as the gate knows it: the token of its engine (Engine implementations make it). */
export type EngineToken = number

/** The gate. Owned and called by the main thread alone. */
export interface Gate {
  /**
   * Binds and listens; resolves with the bound `address:port` texts, rejects with OperatingError.
   */
  listen(addresses: readonly string[]): Promise<readonly string[]>
  configure(policy: GatePolicy): void
  addWorker(token: EngineToken): void
  removeWorker(token: EngineToken): void
  /**
   * A session given up by a client address (per-address count) is told by the engines themselves.
   */
  refusals(): readonly Refusal[]
  /**
   * The same as lines, in order, without an object for each. Absent where a refusal is an object
   * anyway (the twin).
   */
  writeRefusals?(writer: RefusalWriter): void
  counters(): GateCounters
  /** Refuses every new client with the stopping reply; those handed over are not touched. */
  drain(): void
  /** Stops listening and closes what the gate itself holds. */
  close(): Promise<void>
}
