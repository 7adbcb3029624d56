/**
 * A result as text: one line a name, one column a group.
 */
import type { Bar, BenchResult, Measurement } from './bench.ts'

/** Prints tables (one a unit), bars and notes. */
export function printResult({ measurements, bars, notes }: BenchResult): void {
  for (const unit of new Set(measurements.map((one) => one.unit))) {
    printUnit(
      unit,
      measurements.filter((one) => one.unit === unit),
    )
  }
  for (const bar of bars) console.log(barText(bar))
  for (const note of notes) console.log(`note: ${note}`)
}

function printUnit(unit: string, measurements: readonly Measurement[]): void {
  const groups = [...new Set(measurements.map((one) => one.group))]
  const names = [...new Set(measurements.map((one) => one.name))]
  const nameColumns = Math.max(...names.map((name) => name.length)) + 2
  // As many groups side by side as a line of 160 columns takes.
  const width = Math.max(...groups.map((group) => group.length)) + 2
  const together = Math.max(1, Math.floor((160 - nameColumns) / width))
  for (let from = 0; from < groups.length; from += together) {
    const part = groups.slice(from, from + together)
    console.log(
      `\n${unit.padEnd(nameColumns)}${part.map((group) => group.padStart(width)).join('')}`,
    )
    for (const name of names) {
      const cells = part.map((group) => {
        const found = measurements.find((one) => one.group === group && one.name === name)
        return found === undefined ? '' : digits(found.value)
      })
      if (cells.every((cell) => cell === '')) continue
      console.log(name.padEnd(nameColumns) + cells.map((cell) => cell.padStart(width)).join(''))
    }
  }
  console.log('')
}

/** Three digits or so. */
function digits(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en')
  return value.toFixed(value >= 10 ? 1 : 2)
}

function barText({ claim, reached, limit, holds, note }: Bar): string {
  const says = `${holds ? 'reached' : 'MISSED '}  ${claim}: ${digits(reached)}, bar ${limit}`
  return note === undefined ? says : `${says} (${note})`
}
