/**
 * What the forms in JavaScript share: prefixes as objects and texts become columns and added
 * prefixes.
 */
import { OperatingError } from '../base/errors.ts'
import { newPrefixCell, type PrefixCell, parsePrefix } from '../base/ip-address.ts'
import { type PrefixColumns, PrefixColumnsBuilder } from '../base/prefix-columns.ts'
import { type AddedPrefixes, everyList } from './added-prefixes.ts'
import type { AddOptions, PrefixEntry, RemoveOptions } from './ip-table.ts'
import type { VerdictClasses } from './verdict-classes.ts'

/** Columns of prefix objects. Throws OperatingError PREFIX_SYNTAX naming the entry. */
export function columnsOf(entries: Iterable<PrefixEntry>): PrefixColumns {
  const builder = new PrefixColumnsBuilder()
  const cell = newPrefixCell()
  for (const { prefix, list, file = '', line = 0, isExcluded = false } of entries) {
    parseOrThrow(prefix, cell)
    builder.push(cell, builder.listId(list), builder.fileId(file), line, isExcluded)
  }
  return builder.finish()
}

/** IpTable.add for a form that keeps AddedPrefixes. */
export function addEntry(
  added: AddedPrefixes,
  classes: VerdictClasses,
  prefix: string,
  options: AddOptions,
  widen?: (cell: PrefixCell) => void,
): void {
  const cell = parseOrThrow(prefix, newPrefixCell())
  widen?.(cell)
  added.enter(cell, classes.listIndex(options.list), false, options.ttlMs)
}

/** IpTable.remove for a form that keeps AddedPrefixes. */
export function removeEntries(
  added: AddedPrefixes,
  classes: VerdictClasses,
  prefix: string,
  options: RemoveOptions,
  widen?: (cell: PrefixCell) => void,
): void {
  const cell = parseOrThrow(prefix, newPrefixCell())
  widen?.(cell)
  const list = options.list === undefined ? everyList : classes.listIndex(options.list)
  added.dropWithin(cell, list)
  added.enter(cell, list, true, options.ttlMs)
}

/** Parses a prefix into `cell`. Throws OperatingError PREFIX_SYNTAX. */
export function parseOrThrow(prefix: string, cell: PrefixCell): PrefixCell {
  const fault = parsePrefix(prefix, cell)
  if (fault === '') return cell
  throw new OperatingError(
    'PREFIX_SYNTAX',
    `prefix ${JSON.stringify(prefix)}: ${fault}; write 192.0.2.0/24 or 2001:db8::/32`,
  )
}
