/**
 * The counts of the twin gate at their edges; what both gates do with them is in the contract.
 */
import { expect, test } from 'vitest'
import { countedAddressesMax } from '../../src/base/limits.ts'
import { ClientCounts } from '../../src/io/client-counts.ts'

const limits = { perAddressMax: 1, rateMax: 0, rateWindowMs: 60_000 }

/** As many hosts as are counted at once, each with one connection. */
function fullCounts(): ClientCounts {
  const counts = new ClientCounts()
  for (let host = 0; host < countedAddressesMax; host++) {
    counts.admit(`10.${host >> 16}.${(host >> 8) & 255}.${host & 255}`, limits, 0)
  }
  return counts
}

test('beyond the bound a host is admitted uncounted; one that is over makes room', () => {
  const counts = fullCounts()
  expect(counts.admit('192.0.2.1', limits, 1)).toBe('uncounted')
  expect(counts.admit('192.0.2.1', limits, 2)).toBe('uncounted')
  counts.release('10.0.0.1')
  expect(counts.admit('192.0.2.1', limits, 60_000)).toBe('counted')
  expect(counts.admit('192.0.2.1', limits, 60_001)).toBe('per-address')
})

test('full of hosts that stay, it does not look through all of them for each newcomer', () => {
  const counts = fullCounts()
  // Each look at 262,144 hosts takes milliseconds: 20,000 of them would take minutes.
  for (let host = 0; host < 20_000; host++) counts.admit(`192.0.${host >> 8}.1`, limits, 1)
  expect(counts.admit('10.0.0.1', limits, 2)).toBe('per-address')
})

test('without limits nobody is counted', () => {
  const counts = new ClientCounts()
  const open = { perAddressMax: 0, rateMax: 0, rateWindowMs: 0 }
  expect(counts.admit('192.0.2.1', open, 0)).toBe('uncounted')
  expect(counts.admit('192.0.2.1', limits, 0)).toBe('counted')
})
