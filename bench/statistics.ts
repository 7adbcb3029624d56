/** What benches make of their samples. */

/** The middle of some values; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** Where the middle and the tail of some values lie. */
export interface Spread {
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly most: number
}

/** The spread of some values; NaN of none. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
  return { p50: median(sorted), p99: at(0.99), p999: at(0.999), most: at(1) }
}
