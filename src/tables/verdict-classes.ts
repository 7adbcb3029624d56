/**
 * VerdictClasses: numbers for sets of lists, given out in order of first use and kept for life.
 *
 * Used by the forms that run in JavaScript; the native table keeps its own.
 */
import { OperatingError } from '../base/errors.ts'
import { verdictClassesMax } from '../base/limits.ts'
import type { VerdictClass } from './ip-table.ts'

/** The classes of one table. Lists are known by their index here, never by a column's id. */
export class VerdictClasses {
  readonly #listNames: string[] = []
  readonly #listIndexes = new Map<string, number>()
  readonly #classes: (readonly string[])[] = [[]]
  readonly #numbers = new Map<string, VerdictClass>([['', 0]])

  /** The index of a list, new ones at the end. */
  listIndex(name: string): number {
    const known = this.#listIndexes.get(name)
    if (known !== undefined) return known
    this.#listNames.push(name)
    this.#listIndexes.set(name, this.#listNames.length - 1)
    return this.#listNames.length - 1
  }

  /** The name behind an index. */
  listName(index: number): string {
    return this.#listNames[index] ?? ''
  }

  /** The class of a set of list indexes. Throws OperatingError TABLE_TOO_MANY_CLASSES. */
  classOf(indexes: readonly number[]): VerdictClass {
    const sorted = [...new Set(indexes)].sort((one, other) => one - other)
    const key = sorted.join(' ')
    const known = this.#numbers.get(key)
    if (known !== undefined) return known
    if (this.#classes.length > verdictClassesMax) {
      throw new OperatingError(
        'TABLE_TOO_MANY_CLASSES',
        `table: the lists overlap in more than ${verdictClassesMax} ways: merge some lists`,
      )
    }
    this.#numbers.set(key, this.#classes.length)
    this.#classes.push(sorted.map((index) => this.listName(index)))
    return this.#classes.length - 1
  }

  /** The lists of a class; [] for a number never given out. */
  listsOf(verdictClass: VerdictClass): readonly string[] {
    return this.#classes[verdictClass] ?? []
  }

  /** Classes given out, without class 0. */
  get count(): number {
    return this.#classes.length - 1
  }
}
