/**
 * The clock of a simulation: timers, wall clock and monotonic clock stand still until it turns
 * them.
 */
import { afterEach, beforeEach, vi } from 'vitest'

const timers = [
  'setTimeout',
  'clearTimeout',
  'setInterval',
  'clearInterval',
  'setImmediate',
] as const

/** For every test of the file. */
export function useSimulatedClock(): void {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: [...timers, 'Date', 'performance'], now: 1_800_000_000_000 })
  })
  afterEach(() => {
    vi.useRealTimers()
  })
}
