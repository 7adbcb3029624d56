/**
 * Loading `activemx.toml`: text → table → checked, frozen `Config`, or every fault at once.
 *
 * Syntax is smol-toml's, values are judged by the schema (zod), what concerns several settings by
 * rules.ts. All faults of one step are found in one run; a fault names key, value and remedy on one
 * line. Nothing here reads a file that a setting names: files.ts does, for `check-config` and
 * start.
 */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, isAbsolute, resolve } from 'node:path'
import { parse as parseToml, TomlError } from 'smol-toml'
import type { z } from 'zod'
import { messageOf, type Result } from '../base/errors.ts'
import { destinationType } from './kinds.ts'
import { nearestName } from './nearest-name.ts'
import { checkRules } from './rules.ts'
import { type Config, schema } from './schema.ts'
import { type Children, type Node, readerOf, type Setting } from './setting.ts'

/** One thing that is wrong with a configuration. */
export interface ConfigFault {
  /** As in the file: `listen.greet_delay`, `lists.blacklist[0].every`; '' = the file as a whole. */
  readonly key: string
  /** What is written there, cut; '' where nothing is. */
  readonly value: string
  /** What to do about it. */
  readonly remedy: string
}

/** A configuration, or everything that is wrong with it. */
export type LoadedConfig = Result<Config, readonly ConfigFault[]>

const reader = readerOf(schema)

/** Reads and checks a configuration file. */
export function loadConfig(file: string): LoadedConfig {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const remedy = `not readable: ${messageOf(error)}; name a readable file`
    return faulty({ key: '', value: '', remedy })
  }
  return parseConfig(text, dirname(resolve(file)))
}

/** Checks a configuration's text; relative paths start at `folder`. */
export function parseConfig(text: string, folder: string): LoadedConfig {
  try {
    return buildConfig(parseToml(text), folder)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const [remedy = 'not TOML'] = error.message.split('\n')
    return faulty({ key: '', value: `line ${error.line}, column ${error.column}`, remedy })
  }
}

/** Checks a table of the file's shape and names, as try-out and tests make it. */
export function buildConfig(
  written: Readonly<Record<string, unknown>>,
  folder: string,
): LoadedConfig {
  const read = reader.safeParse(written)
  if (!read.success) {
    return { ok: false, error: read.error.issues.flatMap((issue) => faultsOf(issue, written)) }
  }
  const values = withPaths(schema, read.data, folder) as unknown as Config
  const config = values.name === '' ? { ...values, name: hostname() } : values
  const faults = checkRules(config)
  return faults.length > 0 ? { ok: false, error: faults } : { ok: true, value: freeze(config) }
}

/** A fault as one line: key, value, remedy. */
export function faultLine(fault: ConfigFault): string {
  const { key, value, remedy } = fault
  const named = key === '' || value === '' ? `${key}${value}` : `${key} = ${value}`
  return named === '' ? remedy : `${named}: ${remedy}`
}

/** Freezes a configuration deeply; a copy that came by message is not frozen any more. */
export function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const member of Object.values(value)) freeze(member)
  return Object.freeze(value)
}

function faulty(fault: ConfigFault): LoadedConfig {
  return { ok: false, error: [fault] }
}

function faultsOf(issue: z.core.$ZodIssue, written: unknown): readonly ConfigFault[] {
  if (issue.code !== 'unrecognized_keys') {
    const remedy = issue.message
    return [{ key: keyOf(issue.path), value: shown(valueAt(written, issue.path)), remedy }]
  }
  const known = namesAt(issue.path)
  return issue.keys.map((name) => {
    const path = [...issue.path, name]
    const near = nearestName(name, known)
    const remedy =
      near === undefined ? 'unknown key; remove it' : `unknown key; did you mean ${near}?`
    return { key: keyOf(path), value: shown(valueAt(written, path)), remedy }
  })
}

function keyOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>((key, step) => {
    if (typeof step === 'number') return `${key}[${step}]`
    return key === '' ? String(step) : `${key}.${String(step)}`
  }, '')
}

function valueAt(written: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((at, step) => {
    return typeof at === 'object' && at !== null ? Reflect.get(at, step) : undefined
  }, written)
}

function shown(value: unknown): string {
  const text = value === undefined ? '' : (JSON.stringify(value) ?? String(value))
  return text.length > 80 ? `${text.slice(0, 77)}…` : text
}

/** The names that the table at this path may have. */
function namesAt(path: readonly PropertyKey[]): readonly string[] {
  let children: Children = schema
  for (const step of path) {
    if (typeof step === 'number') continue
    const node = Object.values(children).find((child) => child.name === step)
    if (node === undefined || node.kind === 'setting') return []
    children = node.children
  }
  return Object.values(children).map((node) => node.name)
}

/** The values with every path made absolute. */
function withPaths(
  children: Children,
  values: Readonly<Record<string, unknown>>,
  folder: string,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(children).map(([codeName, node]) => [
      codeName,
      valueWithPaths(node, values[codeName], folder),
    ]),
  )
}

function valueWithPaths(node: Node, value: unknown, folder: string): unknown {
  if (node.kind === 'setting') {
    return isPath(node, value) ? absolute(value, folder) : value
  }
  if (node.kind === 'section') {
    return withPaths(node.children, value as Record<string, unknown>, folder)
  }
  return (value as Record<string, unknown>[]).map((row) => withPaths(node.children, row, folder))
}

function isPath(node: Setting<unknown>, value: unknown): value is string {
  if (typeof value !== 'string') return false
  return (
    node.type === 'path' || (node.type === destinationType && !/^(?:stderr|syslog)$/.test(value))
  )
}

function absolute(path: string, folder: string): string {
  return path === '' || isAbsolute(path) || /^[a-z+]+:\/\//i.test(path)
    ? path
    : resolve(folder, path)
}
