/**
 * Ranges: `first-last` becomes the fewest prefixes that make it up, at most 62 for IPv4, 254 for
 * IPv6.
 */
import { newPrefixCell, type PrefixCell } from '../base/ip-address.ts'

/**
 * Calls `take` for each prefix of the range, in order; the cell is reused.
 * @returns '' or why the two addresses are no range.
 */
export function rangeToPrefixes(
  first: PrefixCell,
  last: PrefixCell,
  take: (cell: PrefixCell) => void,
): string {
  const { family } = first
  if (family === 0 || family !== last.family) return 'range from one address family to the other'
  const bits = family === 4 ? 32 : 128
  if (first.length !== bits || last.length !== bits) return 'range between prefixes'
  let from = numberOf(first)
  const to = numberOf(last)
  if (from > to) return 'range that ends before it begins'
  const cell = newPrefixCell()
  cell.family = family
  while (from <= to) {
    const size = blockSize(from, to, bits)
    store(from, family, cell)
    cell.length = bits - size
    take(cell)
    from += 1n << BigInt(size)
  }
  return ''
}

/** Host bits of the largest block that begins at `from` and does not pass `to`. */
function blockSize(from: bigint, to: bigint, bits: number): number {
  let size = 0
  while (size < bits) {
    const host = (1n << BigInt(size + 1)) - 1n
    if ((from & host) !== 0n || from + host > to) break
    size++
  }
  return size
}

function numberOf({ family, words }: PrefixCell): bigint {
  if (family === 4) return BigInt(words[0] ?? 0)
  return words.reduce((value, word) => (value << 32n) | BigInt(word), 0n)
}

function store(value: bigint, family: 4 | 6, cell: PrefixCell): void {
  if (family === 4) cell.words[0] = Number(value)
  else
    for (let word = 0; word < 4; word++)
      cell.words[word] = Number((value >> BigInt(96 - word * 32)) & 0xffff_ffffn)
}
