/**
 * The schema of `activemx.toml`: every setting once, with type, unit, default, bounds and
 * documentation. `Config` is what the program gets: plain, frozen, and fit for structured clone.
 *
 * Names in the file are snake_case; the program's are the same words in camelCase with the unit
 * last (`greet_delay` → `greetDelayMs`, `size_max` → `sizeMaxOctets`). In the program 0 is "no
 * limit" and '' is "none". Every path is absolute.
 *
 * A setting whose row has a stress default appears a second time below [stress], where an operator
 * may change that value: `[stress.listen] command_wait = "5s"` (stress.ts puts it into effect).
 */

import { body, listen, name, recipients } from './schema/listen.ts'
import { feedback, lists, whitelist } from './schema/lists.ts'
import { mailhost, tls, tlsDaemon } from './schema/mailhost.ts'
import { control, http, log, process, store, stress } from './schema/service.ts'
import { cache, dns, probe, tests } from './schema/tests.ts'
import {
  type Children,
  type Section,
  type Setting,
  section,
  type Values,
  type Written,
} from './setting.ts'

const ordinary = {
  name,
  listen,
  mailhost,
  recipients,
  lists,
  whitelist,
  tests,
  body,
  probe,
  cache,
  dns,
  feedback,
  tls,
  tlsDaemon,
  log,
  process,
  control,
  store,
  http,
}

/** The whole tree, in the order of the documentation. */
export const schema = { ...ordinary, stress: withStressValues(stress, ordinary) }

/** Everything that `activemx.toml` says, read and checked. Frozen. */
export type Config = Values<typeof schema>

/** [stress] with a table for each section that has settings with a stress default. */
function withStressValues<S extends Children>(stress: Section<S>, tree: Children): Section<S> {
  const added: Record<string, Section<Children>> = {}
  for (const [codeName, node] of Object.entries(tree)) {
    if (node.kind !== 'section') continue
    const rows = Object.entries(node.children).flatMap(([name, child]) =>
      child.kind === 'setting' && child.stressDefault !== undefined
        ? [[name, stressRow(child, child.stressDefault)] as const]
        : [],
    )
    if (rows.length === 0) continue
    added[codeName] = section(node.name, `[${node.name}] under stress.`, Object.fromEntries(rows))
  }
  return { ...stress, children: { ...stress.children, ...added } }
}

/** The row of a stress value: as the setting's own, with the stress default as default. */
function stressRow(of: Setting<unknown>, value: Written) {
  const { stressDefault: _, ...row } = of
  return { ...row, default: value, doc: `\`${of.name}\` under stress.` }
}
