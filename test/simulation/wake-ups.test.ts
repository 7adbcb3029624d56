/**
 * Simulation of wake-ups: the worlds of journey.test.ts, whose events come as the native engine
 * gives them: all of one wake-up in one batch, in an order that the seed permutes, between them
 * reloads, stress and drain. Limits are small, so that a short message reaches every buffer's edge.
 *
 * A failure names its seed, looks for the smallest world that fails, and prints what happened in
 * it. ACTIVEMX_SEED, ACTIVEMX_CONNECTIONS and ACTIVEMX_CLIENTS (of one world) run it alone. A seed
 * means something else as soon as a script changes, so a defect that was found is kept as a test
 * beside the part that had it, with the events of the trace in their order.
 */
import { expect, test, vi } from 'vitest'
import { stashBlocksHeld } from '../../src/journey/stash.ts'
import { Random } from '../support/random.ts'
import { useSimulatedClock } from './clock.ts'
import { checkLedger, type Sums } from './ledger.ts'
import { SimulatedWorld } from './world.ts'

vi.mock('../../src/base/limits.ts', async (importOriginal) => ({
  ...(await importOriginal<object>()),
  passOctetsMin: 300,
  stashOctetsHigh: 4_000,
  stashOctetsLow: 1_000,
  heldInputOctetsMax: 300,
}))

const connections = Number(process.env['ACTIVEMX_CONNECTIONS'] ?? 2_000)
const firstSeed = Number(process.env['ACTIVEMX_SEED'] ?? 20_261_123)
const clients = Number(process.env['ACTIVEMX_CLIENTS'] ?? 20)

useSimulatedClock()

test(`${connections} connections from seed ${firstSeed}: whatever comes in one wake-up, every transaction concludes exactly once`, async () => {
  const sums = { letters: 0, accepted: 0, refused: 0, tempfailed: 0, aborted: 0, unheard: 0 }
  for (let at = 0; at < connections / clients; at++) {
    const fault = await faultOf(firstSeed + at, clients, sums)
    if (fault !== undefined) throw new Error(await smallest(firstSeed + at, fault))
  }
  process.stdout.write(`seed ${firstSeed}: ${JSON.stringify(sums)}\n`)
  if (connections >= 2_000) expect(sums.accepted).toBeGreaterThan(connections / 10)
}, 3_600_000)

interface Fault {
  readonly seed: number
  readonly clients: number
  readonly text: string
  readonly trace: readonly string[]
}

async function faultOf(seed: number, clients: number, sums: Sums): Promise<Fault | undefined> {
  const heldBefore = stashBlocksHeld()
  const world = new SimulatedWorld(new Random(seed), { clients, isInWakeUps: true })
  try {
    world.run()
    await world.heal()
    checkLedger(world, sums)
    expect(world.faults).toEqual([])
    expect(world.edge.clients).toBe(0)
    expect(world.network.connections).toBe(0)
    expect(world.edge.pool.demand).toEqual({ leased: 0, waiting: 0 })
    expect(world.edge.pool.sessions).toBe(0)
    expect(world.questionsOpen, 'questions nobody has given up').toBe(0)
    expect(stashBlocksHeld() - heldBefore, 'stash blocks').toBe(0)
    expect([0, 1, 2].map((slot) => world.edge.cap.held(slot))).toEqual([0, 0, 0])
    vi.advanceTimersByTime(60_000)
    expect(vi.getTimerCount(), 'timers left').toBe(0)
    return undefined
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return { seed, clients, text, trace: world.network.trace }
  } finally {
    vi.clearAllTimers()
  }
}

/** The fault in the smallest world in which something fails, with all that happened there. */
async function smallest(seed: number, fault: Fault): Promise<string> {
  const sums = { letters: 0, accepted: 0, refused: 0, tempfailed: 0, aborted: 0, unheard: 0 }
  let found = fault
  for (let count = 1; count < fault.clients && found === fault; count += count > 3 ? 3 : 1) {
    for (let at = 0; at < 200; at++) {
      const other = await faultOf(seed + at * 1_000, count, sums)
      const isShorter = other !== undefined && other.trace.length < found.trace.length
      if (isShorter) found = other
    }
  }
  const title = `seed ${seed}; smallest: ACTIVEMX_SEED=${found.seed} ACTIVEMX_CLIENTS=${found.clients}`
  const told = found === fault ? '' : `\nfirst: ${fault.text}`
  return `${title}: ${found.text}${told}\n${found.trace.slice(-300).join('\n')}`
}
