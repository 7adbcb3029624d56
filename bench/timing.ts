/**
 * Timing through the `benchmark` harness, contenders interleaved: A B C A B C …, in many short
 * rounds, so that a machine that changes its pace changes it for all. One operation of a contender
 * is a whole pass over prepared addresses whose result is kept; the harness misreads loops that do
 * nothing.
 */
import Benchmark from 'benchmark'
import { median, type Spread, spreadOf } from './statistics.ts'

/** Something to be timed. */
export interface Contender {
  readonly name: string
  /** Lookups of one pass. */
  readonly count: number
  /** One pass; the answer depends on every lookup. */
  readonly pass: () => number
}

/** Nanoseconds a lookup of one contender. */
export interface Timing {
  /** The fastest pass of each round, since other work on the machine can only add to it. */
  readonly rounds: readonly number[]
  /** Over all passes of all rounds. */
  readonly spread: Spread
}

/** Where results go, so that no pass can be left out. */
export let sink = 0

/** Times by name, over `rounds` rounds of `seconds` for each contender. */
export function timeInterleaved(
  contenders: readonly Contender[],
  rounds: number,
  seconds: number,
): ReadonlyMap<string, Timing> {
  const passes = new Map<string, number[][]>(contenders.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) {
      passes.get(contender.name)?.push(timeOnce(contender, seconds))
    }
  }
  const timingOf = (all: readonly number[][]): Timing => ({
    rounds: all.map((round) => Math.min(...round)),
    spread: spreadOf(all.flat()),
  })
  return new Map([...passes].map(([name, all]) => [name, timingOf(all)]))
}

/**
 * How many times the other's time one takes: the middle of the ratios round by round, of which each
 * is of one moment of the machine. NaN without rounds.
 */
export function ratioOf(one: readonly number[], other: readonly number[]): number {
  return median(one.map((time, round) => time / (other[round] ?? Number.NaN)))
}

function timeOnce({ name, count, pass }: Contender, seconds: number): number[] {
  // One pass a sample: short samples are the more likely to be left alone.
  const limits = { maxTime: seconds, minSamples: 3, minTime: 0.001 }
  const once = () => {
    sink = (sink + pass()) | 0
  }
  const trial = new Benchmark(name, once, limits)
  trial.run({ async: false })
  return trial.stats.sample.map((time) => (time * 1e9) / count)
}
