/**
 * Timing through the `benchmark` harness, contenders interleaved: A B C A B C …, so that a machine
 * that changes its pace changes it for all. One operation of a contender is a whole pass over
 * prepared addresses whose result is kept; the harness misreads loops that do nothing.
 */
import Benchmark from 'benchmark'

/** Something to be timed. */
export interface Contender {
  readonly name: string
  /** Lookups of one pass. */
  readonly count: number
  /** One pass; the answer depends on every lookup. */
  readonly pass: () => number
}

/** Where results go, so that no pass can be left out. */
export let sink = 0

/**
 * Nanoseconds a lookup by name, over `rounds` rounds of `seconds` each: the fastest sample, since
 * other work on the machine can only add to it.
 */
export function timeInterleaved(
  contenders: readonly Contender[],
  rounds: number,
  seconds: number,
): ReadonlyMap<string, number> {
  const samples = new Map<string, number[]>(contenders.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) {
      samples.get(contender.name)?.push(timeOnce(contender, seconds))
    }
  }
  return new Map([...samples].map(([name, times]) => [name, Math.min(...times)]))
}

function timeOnce({ name, count, pass }: Contender, seconds: number): number {
  // One pass a sample: short samples are the more likely to be left alone.
  const limits = { maxTime: seconds, minSamples: 3, minTime: 0.001 }
  const once = () => {
    sink = (sink + pass()) | 0
  }
  const trial = new Benchmark(name, once, limits)
  trial.run({ async: false })
  return (Math.min(...trial.stats.sample) * 1e9) / count
}
