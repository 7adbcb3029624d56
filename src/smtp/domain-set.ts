/**
 * A set of domain names with wildcards: `example.net`, and `*.example.org` for every name below it
 * (not for itself). Lookups take the name in lower case; O(labels).
 */
export class DomainSet {
  readonly #names = new Set<string>()
  readonly #parents = new Set<string>()

  constructor(patterns: readonly string[]) {
    for (const pattern of patterns) {
      const name = pattern.toLowerCase()
      if (name.startsWith('*.')) this.#parents.add(name.slice(2))
      else this.#names.add(name)
    }
  }

  /** Is the name one of the set? */
  has(name: string): boolean {
    if (this.#names.has(name)) return true
    if (this.#parents.size === 0) return false
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
      if (this.#parents.has(name.slice(dot + 1))) return true
    }
    return false
  }
}
