/**
 * Coverage: the address space that a list covers, as merged intervals, and how two of them differ.
 *
 * IPv4 is exact. IPv6 is counted in blocks of /46 of its first 46 bits (longer prefixes count as
 * one block): whole networks are what matters for a share of the address space, and 46 bits of
 * start with 6 bits of length sort as one double. Exclusions are not subtracted, so a coverage is
 * never too small.
 */
import type { FamilyColumns, PrefixColumns } from '../base/prefix-columns.ts'

/**
 * Merged, sorted, disjoint intervals of one family: start and end (exclusive) in turn, in units.
 */
export type Intervals = Float64Array

/** What a list covers. */
export interface Coverage {
  readonly v4: Intervals
  readonly v6: Intervals
}

const bits4 = 32
const bits6 = 46
const lengthSlots = 64
/** IPv6 unicast is 2000::/3 so far; the share is of that. */
const unicast6 = 2 ** (bits6 - 3)

/** The coverage of all entries that are no exclusions. O(n log n). */
export function coverageOf(columns: PrefixColumns): Coverage {
  return { v4: merged(4, columns.v4), v6: merged(6, columns.v6) }
}

/** The larger of the shares of IPv4's 2^32 addresses and of IPv6's unicast space, 0 – 1. */
export function shareOf(coverage: Coverage): number {
  return Math.max(unitsOf(coverage.v4) / 2 ** bits4, unitsOf(coverage.v6) / unicast6)
}

/** How far two coverages differ. */
export interface CoverageChange {
  /** Units in one but not in both. */
  readonly units: number
  /** The same against what was covered before; Infinity where that was nothing. */
  readonly share: number
}

/** The change of one family. */
export function changeBetween(before: Intervals, after: Intervals): CoverageChange {
  const common = unitsInBoth(before, after)
  const units = unitsOf(before) + unitsOf(after) - 2 * common
  return { units, share: units === 0 ? 0 : units / unitsOf(before) }
}

/** Addresses (IPv4) or /46 blocks (IPv6) in the intervals. */
function unitsOf(intervals: Intervals): number {
  let units = 0
  for (let i = 0; i < intervals.length; i += 2) {
    units += (intervals[i + 1] ?? 0) - (intervals[i] ?? 0)
  }
  return units
}

function unitsInBoth(one: Intervals, other: Intervals): number {
  let units = 0
  let i = 0
  let j = 0
  while (i < one.length && j < other.length) {
    const start = Math.max(one[i] ?? 0, other[j] ?? 0)
    const oneEnd = one[i + 1] ?? 0
    const otherEnd = other[j + 1] ?? 0
    units += Math.max(0, Math.min(oneEnd, otherEnd) - start)
    if (oneEnd < otherEnd) i += 2
    else j += 2
  }
  return units
}

/** Sorts by start, then shorter first, then joins what touches. */
function merged(family: 4 | 6, entries: FamilyColumns): Intervals {
  const bits = family === 4 ? bits4 : bits6
  const keys = sortKeys(family, entries)
  const sizes = Float64Array.from({ length: bits + 1 }, (_, length) => 2 ** (bits - length))
  const intervals = new Float64Array(keys.length * 2)
  let count = 0
  let end = -1
  for (let at = 0; at < keys.length; at++) {
    const key = keys[at] ?? 0
    const start = Math.floor(key / lengthSlots)
    const entryEnd = start + (sizes[key - start * lengthSlots] ?? 0)
    if (start > end) {
      intervals[count++] = start
      intervals[count++] = entryEnd
      end = entryEnd
    } else if (entryEnd > end) {
      intervals[count - 1] = entryEnd
      end = entryEnd
    }
  }
  return intervals.slice(0, count)
}

function sortKeys(family: 4 | 6, entries: FamilyColumns): Float64Array {
  const keys = new Float64Array(entries.count)
  let count = 0
  for (let at = 0; at < entries.count; at++) {
    if (entries.excluded[at] === 1) continue
    const length = entries.lengths[at] ?? 0
    if (family === 4) keys[count++] = (entries.words[at] ?? 0) * lengthSlots + length
    else {
      const high = (entries.words[at * 4] ?? 0) * 2 ** (bits6 - 32)
      const low = (entries.words[at * 4 + 1] ?? 0) >>> (64 - bits6)
      keys[count++] = (high + low) * lengthSlots + Math.min(length, bits6)
    }
  }
  return keys.subarray(0, count).sort()
}
