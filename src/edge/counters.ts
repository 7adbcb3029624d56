/**
 * Counters: what a serving thread has done, in memory that the main thread reads.
 *
 * One row of 64-bit floats a thread in one SharedArrayBuffer. A row has a single writer, so a count
 * is a plain addition; a reader may see a count a moment old, never a wrong one (aligned eight
 * octets). A thread that takes over the row of a dead one counts on.
 */
import type { Layer } from '../checks/finding.ts'
import type { Action, VerdictRecord } from '../journey/record.ts'

const layers: readonly Layer[] = [
  'connect',
  'protocol',
  'whitelist',
  'dialup',
  'relay',
  'user',
  'recipient',
  'headers',
  'transfer',
]
const actions: readonly Action[] = [
  'pass',
  'refuse',
  'tempfail',
  'observe',
  'reset',
  'drop',
  'tarpit',
]

/** The plain counts, before the verdicts by layer and action. */
const plainNames = [
  'connections',
  'clients',
  'sessions',
  'octets',
  'faults',
  'sent',
  'direct',
  'sockets',
  'backlog',
  'stashes',
  'leased',
  'waiting',
] as const

/**
 * A plain count: clients seen, clients now, mailhost sessions now, message octets, our bugs,
 * verdicts, mailhost sessions of our own where the TLS daemon should have had one. Then what is
 * held now and must come back to nothing: sockets of both sides, octets that they have not taken,
 * blocks of messages kept back, sessions that a transaction holds, and transactions that wait for
 * one.
 */
export type CounterName = (typeof plainNames)[number]

const rowLength = plainNames.length + layers.length * actions.length

/** Where each stands, found without a search: every message is counted. */
const plainAt = indexOf(plainNames)
const layerAt = indexOf(layers)
const actionAt = indexOf(actions)

/** Everything counted, summed over the threads. */
export interface CounterSums {
  readonly plain: Readonly<Record<CounterName, number>>
  /** Verdicts that occurred at all. */
  readonly verdicts: readonly {
    readonly layer: Layer
    readonly action: Action
    readonly count: number
  }[]
}

/** The row of one thread. */
export class Counters {
  readonly #row: Float64Array

  /** Memory for so many threads. */
  static allocate(threads: number): SharedArrayBuffer {
    return new SharedArrayBuffer(threads * rowLength * Float64Array.BYTES_PER_ELEMENT)
  }

  /** Everything that all threads have counted. */
  static sum(memory: SharedArrayBuffer): CounterSums {
    const cells = new Float64Array(memory)
    const total = (at: number) => {
      let sum = 0
      for (let cell = at; cell < cells.length; cell += rowLength) sum += cells[cell] ?? 0
      return sum
    }
    const plain = Object.fromEntries(plainNames.map((name, at) => [name, total(at)]))
    const verdicts = layers.flatMap((layer) =>
      actions.map((action) => ({ layer, action, count: total(verdictAt(layer, action)) })),
    )
    return {
      plain: plain as Record<CounterName, number>,
      verdicts: verdicts.filter(({ count }) => count > 0),
    }
  }

  constructor(memory: SharedArrayBuffer, thread: number) {
    const offset = thread * rowLength * Float64Array.BYTES_PER_ELEMENT
    this.#row = new Float64Array(memory, offset, rowLength)
  }

  /** Adds to a plain count. */
  add(name: CounterName, amount: number): void {
    const at = plainAt[name]
    this.#row[at] = (this.#row[at] ?? 0) + amount
  }

  /** Sets a plain count that goes up and down. */
  set(name: CounterName, value: number): void {
    this.#row[plainAt[name]] = value
  }

  /** Counts a verdict. */
  verdict(record: VerdictRecord): void {
    const at = verdictAt(record.layer, record.action)
    this.#row[at] = (this.#row[at] ?? 0) + 1
    this.add('sent', 1)
    this.add('octets', record.octets)
    if (record.finding === 'internal-error') this.add('faults', 1)
  }
}

function verdictAt(layer: Layer, action: Action): number {
  return plainNames.length + layerAt[layer] * actions.length + actionAt[action]
}

function indexOf<Name extends string>(names: readonly Name[]): Readonly<Record<Name, number>> {
  return Object.fromEntries(names.map((name, at) => [name, at])) as Record<Name, number>
}
