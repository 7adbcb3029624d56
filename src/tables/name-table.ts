/**
 * NameTable: which entry of a list holds a domain name. Immutable; a reload makes a new one.
 *
 * Three forms of entry: `example.net` holds that name alone, `*.example.net` every name below it
 * and not itself, `.example.net` both. Names are compared without case and final dot (RFC 4343, RFC
 * 1034 §3.1). A question costs one hash probe a label.
 */
import { domainOctetsMax } from '../base/limits.ts'

/** An entry. */
export interface NameRule {
  readonly name: string
  /** Name of the list that it stands in. */
  readonly list?: string
  readonly file?: string
  readonly line?: number
}

/** A table of names. */
export interface NameTable {
  readonly size: number
  /** The entry that holds the name: itself first, then the nearest domain above; else undefined. */
  find(name: string): NameRule | undefined
  has(name: string): boolean
}

/** Builds a table. Of equal entries the first is kept. */
export function newNameTable(rules: Iterable<NameRule>): NameTable {
  const exact = new Map<string, NameRule>()
  const below = new Map<string, NameRule>()
  let size = 0
  for (const rule of rules) {
    const name = normalised(rule.name)
    const domain = name.replace(/^\*?\./, '')
    if (!name.startsWith('*.')) keepFirst(exact, domain, rule)
    if (name !== domain) keepFirst(below, domain, rule)
    size++
  }
  const find = (text: string) => (size === 0 ? undefined : findIn(exact, below, normalised(text)))
  return { size, find, has: (name) => find(name) !== undefined }
}

function findIn(
  exact: ReadonlyMap<string, NameRule>,
  below: ReadonlyMap<string, NameRule>,
  name: string,
): NameRule | undefined {
  if (name.length > domainOctetsMax) return undefined
  const own = exact.get(name)
  if (own !== undefined) return own
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
    const rule = below.get(name.slice(dot + 1))
    if (rule !== undefined && dot > 0) return rule
  }
  return undefined
}

function normalised(name: string): string {
  return name.toLowerCase().replace(/\.$/, '')
}

function keepFirst(rules: Map<string, NameRule>, domain: string, rule: NameRule): void {
  if (!rules.has(domain)) rules.set(domain, rule)
}
