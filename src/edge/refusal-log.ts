/**
 * RefusalLog: what the gate refused, into the log. Where nobody traces, and the gate can, the lines
 * are written natively from forms: a flood costs no object and no formatting for each refusal.
 */
import {
  type Gate,
  type GatePolicy,
  type Refusal,
  type RefusalForm,
  type RefusalWriter,
  refusalPlace,
} from '../io/gate.ts'
import type { LineSettings } from '../log/format.ts'
import { formOfLine, sample, secondOf } from '../log/refusal-form.ts'
import type { ThreadLog } from '../log/thread-log.ts'
import { recordOfRefusal } from './main-records.ts'

/** What it joins. */
export interface RefusalLogParts {
  readonly gate: Gate
  readonly log: ThreadLog
  /** The lists of a verdict class of the table that the policy in force names. */
  readonly listsOf: (verdictClass: number) => readonly string[]
}

/** Belongs to the main thread. */
export class RefusalLog {
  readonly #parts: RefusalLogParts
  #writer: RefusalWriter | undefined
  #policy: GatePolicy | undefined
  #settings: LineSettings | undefined

  constructor(parts: RefusalLogParts) {
    this.#parts = parts
  }

  /** Takes what the gate has refused; the lines say what the policy says. */
  drain(policy: GatePolicy): void {
    const { gate, log, listsOf } = this.#parts
    if (gate.writeRefusals === undefined || log.isTracing) {
      for (const refusal of gate.refusals()) log.verdict(recordOfRefusal(refusal, policy, listsOf))
      return
    }
    const settings = log.lineSettings
    const isSame = policy === this.#policy && settings === this.#settings
    if (this.#writer === undefined || !isSame) this.#writer = this.#newWriter(policy, settings)
    this.#policy = policy
    this.#settings = settings
    gate.writeRefusals(this.#writer)
  }

  #newWriter(policy: GatePolicy, settings: LineSettings): RefusalWriter {
    const { log, listsOf } = this.#parts
    return {
      second: (timeMs) => secondOf(timeMs, settings),
      formOf: (refusal) => formOf(refusal, policy, listsOf, settings),
      lines: (lines, count) => log.lines(lines, count),
      refusal: (refusal) => log.verdict(recordOfRefusal(refusal, policy, listsOf)),
    }
  }
}

/** The form of refusals like this one. */
export function formOf(
  refusal: Refusal,
  policy: GatePolicy,
  listsOf: (verdictClass: number) => readonly string[],
  settings: LineSettings,
): RefusalForm | undefined {
  const { timeMs: time, ...values } = sample
  const record = recordOfRefusal({ ...refusal, ...values, time, octets: 0 }, policy, listsOf)
  return formOfLine(record, settings)?.map((piece) =>
    typeof piece === 'string' ? piece : refusalPlace[piece.place],
  )
}
