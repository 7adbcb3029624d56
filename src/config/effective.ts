/**
 * The configuration that holds right now: as set, or with the waits of stress mode.
 */
import { freeze } from './load.ts'
import { type Config, schema } from './schema.ts'
import type { Children } from './setting.ts'

/**
 * The values in force. Under stress each setting that has a stress value takes the smaller of the
 * two; 0 (no limit) counts as larger than any limit. Without stress: `config` itself.
 */
export function effective(config: Config, isStressed: boolean): Config {
  if (!isStressed) return config
  const stressed: Record<string, unknown> = { ...config }
  const values = config.stress as unknown as Readonly<Record<string, unknown>>
  for (const [codeName, node] of Object.entries<Children[string]>(schema.stress.children)) {
    if (node.kind !== 'section') continue
    const ordinary = stressed[codeName] as Readonly<Record<string, unknown>>
    const shorter = Object.entries(values[codeName] as Readonly<Record<string, number>>).map(
      ([name, value]) => [name, smaller(ordinary[name] as number, value)] as const,
    )
    stressed[codeName] = { ...ordinary, ...Object.fromEntries(shorter) }
  }
  return freeze(stressed as unknown as Config)
}

/** What the gate holds now. */
export interface HeldNow {
  readonly connections: number
  /** Of them, those that no worker has. */
  readonly waiting: number
  readonly tarpits: number
}

/** The load, 0 … 1: of all connections or of the workers' sessions, whichever are scarcer. */
export function loadOf({ listen }: Config, held: HeldNow, workers: number): number {
  const { connectionsMax, sessionsPerWorkerMax } = listen
  const ofAll = connectionsMax === 0 ? 0 : held.connections / connectionsMax
  const sessions = held.connections - held.waiting - held.tarpits
  return Math.max(ofAll, sessions / (workers * sessionsPerWorkerMax))
}

/**
 * Whether stress holds, from the load (0 … 1) and whether it held before: it begins at `stress.at`
 * and ends below `stress.until`, so that it does not flicker between the two.
 */
export function isStressedAt(config: Config, load: number, wasStressed: boolean): boolean {
  return wasStressed ? load >= config.stress.until : load >= config.stress.at
}

function smaller(ordinary: number, stressed: number): number {
  if (ordinary === 0 || stressed === 0) return ordinary + stressed
  return Math.min(ordinary, stressed)
}
