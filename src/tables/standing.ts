/**
 * Standing: an entry around an address, and the rule by which lists hold the address.
 *
 * The one place in JavaScript where the meaning stated in ip-table.ts is written down as code.
 */
import { formatPrefix } from '../base/ip-address.ts'
import { type PrefixColumns, prefixText } from '../base/prefix-columns.ts'
import { type AddedPrefix, everyList } from './added-prefixes.ts'
import type { IpOrigin } from './ip-table.ts'
import type { VerdictClasses } from './verdict-classes.ts'

/** An entry that contains the address in question. */
export interface Standing {
  readonly family: 4 | 6
  readonly length: number
  /** Index in VerdictClasses, or `everyList`. */
  readonly list: number
  readonly isExcluded: boolean
  /** Slot in the family's columns; absent for an entered prefix. */
  readonly column?: number
  readonly added?: AddedPrefix
}

/** The standing of an entered prefix. */
export function standingOfAdded(added: AddedPrefix): Standing {
  const { family, length, list, isExcluded } = added
  return { family, length, list, isExcluded, added }
}

/**
 * Which of the entries around an address stand for a list that holds it.
 * @param compiled all compiled entries around the address, in any order
 * @param added the deciding entered ones (AddedPrefixes.deciding)
 * @returns entries of holding lists without exclusions: longest first, then by list, file, line
 */
export function decideLists(
  compiled: readonly Standing[],
  added: readonly Standing[],
): readonly Standing[] {
  const holding = new Map<number, boolean>()
  for (const entry of [...compiled].sort(longestFirst)) {
    if (!holding.has(entry.list)) holding.set(entry.list, !entry.isExcluded)
  }
  const everyListIsExcluded = added.some((entry) => entry.list === everyList)
  if (everyListIsExcluded) for (const list of holding.keys()) holding.set(list, false)
  for (const entry of added) holding.set(entry.list, !entry.isExcluded)
  return [...compiled, ...added]
    .filter((entry) => !entry.isExcluded && holding.get(entry.list) === true)
    .sort(inOrderOfExplain)
}

/** At equal length an exclusion stands first. */
function longestFirst(one: Standing, other: Standing): number {
  return other.length - one.length || Number(other.isExcluded) - Number(one.isExcluded)
}

function inOrderOfExplain(one: Standing, other: Standing): number {
  return (
    other.length - one.length ||
    one.list - other.list ||
    (one.column ?? Number.POSITIVE_INFINITY) - (other.column ?? Number.POSITIVE_INFINITY)
  )
}

/** The answer of explain() for one entry. */
export function originOf(
  standing: Standing,
  columns: PrefixColumns,
  classes: VerdictClasses,
): IpOrigin {
  const list = classes.listName(standing.list)
  const { family, added, column = 0 } = standing
  if (added !== undefined) {
    const prefix = formatPrefix(family, added.words, added.length)
    return Number.isFinite(added.expiresMs)
      ? { list, prefix, expiresMs: added.expiresMs }
      : { list, prefix }
  }
  const entries = family === 4 ? columns.v4 : columns.v6
  const file = columns.files[entries.fileIds[column] ?? 0] ?? ''
  const line = entries.lines[column] ?? 0
  return {
    list,
    prefix: prefixText(family, entries, column),
    ...(file === '' ? {} : { file }),
    ...(line === 0 ? {} : { line }),
  }
}
