/**
 * Standing: an entry around an address, and the rule by which lists hold the address.
 *
 * The one place in JavaScript where the meaning stated in ip-table.ts is written down as code.
 */
import { formatPrefix } from '../base/ip-address.ts'
import { type AddedPrefix, everyList } from './added-prefixes.ts'
import type { IpOrigin } from './ip-table.ts'

/** An entry that contains the address in question. */
export interface Standing {
  readonly family: 4 | 6
  readonly length: number
  /** Index in VerdictClasses, or `everyList`. */
  readonly list: number
  readonly isExcluded: boolean
  /**
   * Where the compiled entry stands, in words of CompiledPrefixes; absent for an entered prefix.
   */
  readonly slot?: number
  /** Where a form finds it together with the entry. */
  readonly origin?: Omit<IpOrigin, 'list'>
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
    (one.slot ?? Number.POSITIVE_INFINITY) - (other.slot ?? Number.POSITIVE_INFINITY)
  )
}

/** The answer of explain() for an entered prefix, without the list. */
export function originOfAdded(added: AddedPrefix): Omit<IpOrigin, 'list'> {
  const prefix = formatPrefix(added.family, added.words, added.length)
  if (!Number.isFinite(added.endsMs)) return { prefix }
  return { prefix, expiresMs: Math.round(Date.now() + added.endsMs - performance.now()) }
}
