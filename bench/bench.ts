/**
 * What a bench question is: the one shape that run.ts knows.
 */
import type { Spread } from './statistics.ts'

/** How thoroughly to measure. */
export interface BenchOptions {
  /** Less than a minute, for a look; results are not kept. */
  readonly isQuick: boolean
  /** Full sizes that take minutes to build. */
  readonly isFull: boolean
}

/** One figure. */
export interface Measurement {
  /** Groups rows of the table and panels of the plot: `1M prefixes, random`. */
  readonly group: string
  readonly name: string
  readonly value: number
  /** `ns`, `ms`, `MB`: the unit of value. */
  readonly unit: string
  /** Of the samples behind the value, in its unit. */
  readonly spread?: Spread
  /** The value of each round, where contenders were interleaved. */
  readonly rounds?: readonly number[]
}

/** A claim about ratios and whether it held. */
export interface Bar {
  readonly claim: string
  readonly reached: number
  readonly limit: number
  readonly holds: boolean
  /** Why, where it does not hold. */
  readonly note?: string
}

/** The answer to a question. */
export interface BenchResult {
  readonly measurements: readonly Measurement[]
  readonly bars: readonly Bar[]
  /** Seeds, sources of data, what was left out and why. */
  readonly notes: readonly string[]
}

/** One file of bench/ answers one question. */
export interface BenchQuestion {
  readonly name: string
  readonly title: string
  run(options: BenchOptions): BenchResult | Promise<BenchResult>
}

/** A bar that holds when `reached` is at most `limit`. */
export function atMost(claim: string, reached: number, limit: number, note?: string): Bar {
  const holds = reached <= limit
  return { claim, reached, limit, holds, ...(note === undefined || holds ? {} : { note }) }
}

/** A bar that holds when `reached` is at least `limit`. */
export function atLeast(claim: string, reached: number, limit: number, note?: string): Bar {
  const holds = reached >= limit
  return { claim, reached, limit, holds, ...(note === undefined || holds ? {} : { note }) }
}
