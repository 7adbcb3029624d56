/**
 * What a form of table makes of prefixes that it cannot tell from their neighbours: whoever judges
 * a prefix before it is entered judges what will be refused.
 */
import {
  formatPrefix,
  maskOf,
  newPrefixCell,
  type PrefixCell,
  parsePrefix,
} from '../base/ip-address.ts'
import type { IpTableFormName } from './ip-table.ts'

/** IPv4 longer than /24 becomes its /24. */
export function widenTo24(cell: PrefixCell): void {
  if (cell.family !== 4 || cell.length <= 24) return
  cell.length = 24
  cell.words[0] = (cell.words[0] ?? 0) & maskOf(24)
}

/** The prefix that the form refuses for the given one. What is no prefix stays as it is. */
export function widenedPrefix(form: IpTableFormName, prefix: string): string {
  if (form !== 'bitmap24') return prefix
  const cell = newPrefixCell()
  if (parsePrefix(prefix, cell) !== '' || cell.family === 0) return prefix
  widenTo24(cell)
  return formatPrefix(cell.family, cell.words, cell.length)
}
