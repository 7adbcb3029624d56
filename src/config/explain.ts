/**
 * The documentation of a setting, for `show-config --explain NAME` and docs/configuration.md.
 */
import { nearestName } from './nearest-name.ts'
import { schema } from './schema.ts'
import type { Children, Setting } from './setting.ts'

/** A setting with its full name; tables of an array stand as `lists.blacklist[].every`. */
export interface NamedSetting {
  readonly key: string
  readonly setting: Setting<unknown>
}

/** A table with its members. */
export interface NamedSection {
  /** `[listen]`, `[[lists.blacklist]]`, '' for the settings outside tables. */
  readonly title: string
  readonly doc: string
  readonly settings: readonly NamedSetting[]
}

/** The settings by table, in the order of the file. */
export function sections(): readonly NamedSection[] {
  return sectionsOf(schema, '', '', '')
}

/** The setting of this name (indexes may stand in it), or the name that was perhaps meant. */
export function findSetting(name: string): NamedSetting | { readonly nearest: string | undefined } {
  const all = sections().flatMap(({ settings }) => settings)
  const plain = name.replace(/\[\d*\]/g, '')
  const found = all.find(({ key }) => key.replace('[]', '') === plain)
  if (found !== undefined) return found
  const last = plain.split('.').at(-1) ?? ''
  const whole = nearestName(
    plain,
    all.map(({ key }) => key.replace('[]', '')),
  )
  return { nearest: whole ?? all.find(({ setting }) => setting.name === last)?.key }
}

/** What there is to say about a table, such as `lists.blacklist`; undefined: there is none. */
export function explainSection(name: string): readonly string[] | undefined {
  const found = sections().find(({ title }) => title !== '' && title.replace(/[[\]]/g, '') === name)
  if (found === undefined) return undefined
  const { title, doc, settings } = found
  return [`${title}: ${doc}`, ...settings.map(({ key, setting }) => `${key}: ${setting.type}`)]
}

/** What there is to say about a setting, one fact a line. */
export function explainSetting({ key, setting }: NamedSetting): readonly string[] {
  const written = (value: unknown): string => JSON.stringify(value)
  return [
    `${key}: ${setting.type}`,
    setting.doc,
    `default: ${written(setting.default)}`,
    ...(setting.stressDefault === undefined
      ? []
      : [`under stress: ${written(setting.stressDefault)}`]),
    ...(setting.min === undefined ? [] : [`at least: ${setting.min}`]),
    ...(setting.max === undefined ? [] : [`at most: ${setting.max}`]),
    setting.affects === 'reload' ? 'takes effect with activemx reload' : 'needs a restart',
    `since: ${setting.since}`,
  ]
}

function sectionsOf(
  children: Children,
  path: string,
  title: string,
  doc: string,
): readonly NamedSection[] {
  const at = (name: string): string => (path === '' ? name : `${path}.${name}`)
  const settings = Object.values(children).flatMap((node) =>
    node.kind === 'setting' ? [{ key: at(node.name), setting: node }] : [],
  )
  const below = Object.values(children).flatMap((node) => {
    if (node.kind === 'setting') return []
    const isArray = node.kind === 'tables'
    const key = at(node.name)
    const heading = isArray ? `[[${key}]]` : `[${key}]`
    return sectionsOf(node.children, isArray ? `${key}[]` : key, heading, node.doc)
  })
  return settings.length === 0 ? below : [{ title, doc, settings }, ...below]
}
