/**
 * What a setting is: one row of the schema, from which types, defaults, checks and documentation
 * come.
 *
 * A row knows its name in `activemx.toml`, its default as an operator would write it, and how a
 * written value is read (zod). The tree of rows is src/config/schema.ts; kinds.ts makes the rows.
 * Invariant: reading never throws; what is wrong becomes an issue whose message is the remedy.
 */
import { z } from 'zod'

/** A value as TOML has it. */
export type Written = string | number | boolean | readonly Written[]

/** When a changed value takes effect: with `activemx reload`, or only with a restart. */
export type Affects = 'reload' | 'restart'

/** One row of the schema. `T` is the type that the program gets. */
export interface Setting<T> {
  readonly kind: 'setting'
  /** The key in activemx.toml. */
  readonly name: string
  /** The kind of value in a reader's words: `time`, `size`, `off | observe`. */
  readonly type: string
  /** Unit of the value that the program gets, '' where it has none. */
  readonly unit: string
  readonly default: Written
  /** The default of the same setting while the service is under stress (schema/stress.ts). */
  readonly stressDefault?: Written
  readonly min?: Written
  readonly max?: Written
  /** Version that brought it. */
  readonly since: string
  readonly affects: Affects
  /** One or two sentences, for docs/configuration.md and `show-config --explain`. */
  readonly doc: string
  readonly read: z.ZodType<T>
}

/** A table of the file: `[listen]`. */
export interface Section<S extends Children> {
  readonly kind: 'section'
  readonly name: string
  readonly doc: string
  readonly children: S
}

/** An array of tables: `[[lists.blacklist]]`. */
export interface Tables<S extends Children> {
  readonly kind: 'tables'
  readonly name: string
  readonly doc: string
  readonly children: S
}

/** Anything that may stand in the tree. */
export type Node = Setting<unknown> | Section<Children> | Tables<Children>

/** The members of a table, under the names that the program uses. */
export interface Children {
  readonly [codeName: string]: Node
}

/** The type of the values that a node yields. */
export type ValueOf<N> =
  N extends Setting<infer T>
    ? T
    : N extends Section<infer S>
      ? Values<S>
      : N extends Tables<infer S>
        ? readonly Values<S>[]
        : never

/** The type of the values that the members of a table yield. */
export type Values<S> = { readonly [K in keyof S]: ValueOf<S[K]> }

/** A table `[name]` with these members. */
export function section<const S extends Children>(
  name: string,
  doc: string,
  children: S,
): Section<S> {
  return { kind: 'section', name, doc, children }
}

/** Any number of tables `[[name]]` with these members. */
export function tables<const S extends Children>(
  name: string,
  doc: string,
  children: S,
): Tables<S> {
  return { kind: 'tables', name, doc, children }
}

/** The zod schema of a table: keys as written in, keys as the program names them out. */
export function readerOf(children: Children): z.ZodType<Record<string, unknown>> {
  const shape: Record<string, z.ZodType> = {}
  for (const node of Object.values(children)) shape[node.name] = readerOfNode(node)
  const codeNames = Object.entries(children).map(
    ([codeName, node]) => [codeName, node.name] as const,
  )
  return z
    .strictObject(shape, { error: 'write it as a table' })
    .transform((written: Record<string, unknown>) =>
      Object.fromEntries(codeNames.map(([codeName, name]) => [codeName, written[name]])),
    )
}

function readerOfNode(node: Node): z.ZodType {
  if (node.kind === 'setting') return node.read.prefault(node.default)
  const table = readerOf(node.children)
  if (node.kind === 'section') return table.prefault({})
  return z.array(table, { error: `write it as [[${node.name}]]` }).prefault([])
}
