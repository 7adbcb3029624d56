/**
 * What changed between two configurations, by the names of the file, and what of it needs a
 * restart.
 */
import { freeze } from './load.ts'
import { type Config, schema } from './schema.ts'
import type { Affects, Children, Written } from './setting.ts'

/** Changed settings, split by when they take effect. */
export interface Differences {
  readonly reload: readonly string[]
  readonly restart: readonly string[]
}

/** A setting with its value in a configuration. */
export interface SettingValue {
  /** `listen.greet_delay`, `lists.blacklist[0].every`. */
  readonly key: string
  readonly value: unknown
  /** As the documentation says it: `time`, `path`. */
  readonly type: string
  readonly unit: string
  readonly default: Written
  readonly affects: Affects
  readonly isDefault: boolean
}

/** Settings that differ. */
export function differencesOf(before: Config, after: Config): Differences {
  const old = new Map(settingsOf(before).map(({ key, value }) => [key, JSON.stringify(value)]))
  const fresh = settingsOf(after)
  const known = new Set(fresh.map(({ key }) => key))
  const changed = fresh.filter(({ key, value }) => old.get(key) !== JSON.stringify(value))
  const gone = [...old.keys()].filter((key) => !known.has(key))
  return {
    reload: [
      ...changed.filter(({ affects }) => affects === 'reload').map(({ key }) => key),
      ...gone,
    ],
    restart: changed.filter(({ affects }) => affects === 'restart').map(({ key }) => key),
  }
}

/** A new configuration as far as it takes effect at once: what needs a restart stays as it was. */
export function inForce(before: Config, after: Config): Config {
  const kept = keptIn(schema, before as unknown as Values, after as unknown as Values)
  return freeze(kept as unknown as Config)
}

function keptIn(children: Children, before: Values, after: Values): Values {
  const entries = Object.entries(children).map(([codeName, node]) => {
    const [old, fresh] = [before[codeName], after[codeName]]
    if (node.kind === 'section') {
      return [codeName, keptIn(node.children, old as Values, fresh as Values)] as const
    }
    const isKept = node.kind === 'setting' && node.affects === 'restart'
    return [codeName, isKept ? old : fresh] as const
  })
  return Object.fromEntries(entries)
}

/** Every setting of a configuration in the order of the documentation. */
export function settingsOf(config: Config): readonly SettingValue[] {
  return valuesOf(schema, config as unknown as Values, '')
}

type Values = Readonly<Record<string, unknown>>

function valuesOf(children: Children, values: Values, prefix: string): readonly SettingValue[] {
  return Object.entries(children).flatMap(([codeName, node]) => {
    const key = prefix === '' ? node.name : `${prefix}.${node.name}`
    const value = values[codeName]
    if (node.kind === 'section') return valuesOf(node.children, value as Values, key)
    if (node.kind === 'tables') {
      return (value as readonly Values[]).flatMap((row, at) =>
        valuesOf(node.children, row, `${key}[${at}]`),
      )
    }
    const read = node.read.safeParse(node.default)
    const initial = read.success ? read.data : undefined
    const isDefault = JSON.stringify(initial) === JSON.stringify(value) || isBelow(value, initial)
    const { type, unit, affects } = node
    return [{ key, value, type, unit, default: node.default, affects, isDefault }]
  })
}

/** A relative default path, made absolute: the file's folder is not known here. */
function isBelow(value: unknown, initial: unknown): boolean {
  if (typeof value !== 'string' || typeof initial !== 'string') return false
  return initial !== '' && value.startsWith('/') && value.endsWith(`/${initial}`)
}
