/**
 * Units as operators write them: times `5s 10m 24h`, sizes `64KiB 25MB`, rates `60/min`.
 *
 * The one place that knows the suffixes; configuration, command line and documentation share it.
 * A text that is not understood is a value (undefined), never an exception: the caller knows the
 * name of the thing and words the fault.
 */

/** So many events in so long a window; a count of 0 means no limit. */
export interface Rate {
  readonly count: number
  readonly windowMs: number
}

const timeUnitsMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

const sizeUnitsOctets: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
}

const windowsMs: Readonly<Record<string, number>> = {
  s: 1000,
  sec: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
}

/** `90s`, `1.5h`, `0` → milliseconds; undefined for anything else. */
export function parseDurationMs(text: string): number | undefined {
  return parseQuantity(text, timeUnitsMs)
}

/** `64KiB`, `25MB`, `0` → octets; undefined for anything else. */
export function parseOctets(text: string): number | undefined {
  return parseQuantity(text, sizeUnitsOctets)
}

/** `60/min`, `10/h` → a rate; `0` and the empty text → no limit; undefined for anything else. */
export function parseRate(text: string): Rate | undefined {
  if (text === '' || text === '0') return { count: 0, windowMs: 0 }
  const [count = '', window = '', ...rest] = text.split('/')
  const windowMs = Object.hasOwn(windowsMs, window) ? windowsMs[window] : undefined
  if (!/^\d{1,9}$/.test(count) || windowMs === undefined || rest.length > 0) return undefined
  return { count: Number(count), windowMs }
}

/** A rate as it is written: `60/min`; no limit is ''. */
export function formatRate({ count, windowMs }: Rate): string {
  const unit = ['s', 'min', 'h', 'd'].find((name) => windowsMs[name] === windowMs)
  return count === 0 || unit === undefined ? '' : `${count}/${unit}`
}

/** Milliseconds as the largest unit that leaves a whole number: 90000 → `90s`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s'
  for (const unit of ['d', 'h', 'm', 's']) {
    const size = timeUnitsMs[unit] ?? 1
    if (ms % size === 0) return `${ms / size}${unit}`
  }
  return `${ms}ms`
}

/** Octets as the largest unit that leaves a whole number: 65536 → `64KiB`. */
export function formatOctets(octets: number): string {
  if (octets === 0) return '0B'
  for (const unit of ['GiB', 'GB', 'MiB', 'MB', 'KiB', 'KB']) {
    const size = sizeUnitsOctets[unit] ?? 1
    if (octets % size === 0) return `${octets / size}${unit}`
  }
  return `${octets}B`
}

function parseQuantity(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d{1,12}(?:\.\d{1,6})?)([A-Za-z]*)$/.exec(text)
  if (match === null) return undefined
  const [, digits = '', unit = ''] = match
  if (unit === '') return Number(digits) === 0 ? 0 : undefined
  const size = Object.hasOwn(units, unit) ? units[unit] : undefined
  const value = size === undefined ? undefined : Math.round(Number(digits) * size)
  return value === undefined || !Number.isSafeInteger(value) ? undefined : value
}
