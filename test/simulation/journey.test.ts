/**
 * Simulation: 10,000 connections from a seed, through a serving thread as the product builds it,
 * over a network in memory and a virtual clock. 500 worlds with twenty clients each; in every world
 * its own policy, mailhosts with their own keywords, and trouble at any step: clients that are cut
 * at any octet, half-close or fall silent; mailhosts that refuse, put off, stall, cut, answer late,
 * early or with nonsense; slow readers both ways; pieces of any size; commands sent ahead; chunks.
 *
 * The judge (ledger.ts) compares what the proxy wrote to its clients, what the mailhosts hold and
 * what the log says. None of the three is computed from another. After each world an honest client
 * is served, and nothing is left over.
 *
 * ACTIVEMX_SEED=n runs from another seed; a failure names the seed of its world, which runs alone
 * with ACTIVEMX_CONNECTIONS=20 beside it.
 */
import { expect, test, vi } from 'vitest'
import { Random } from '../support/random.ts'
import { useSimulatedClock } from './clock.ts'
import { checkLedger, type Sums } from './ledger.ts'
import { clientsPerWorld, SimulatedWorld } from './world.ts'

const connections = Number(process.env.ACTIVEMX_CONNECTIONS ?? 10_000)
const firstSeed = Number(process.env.ACTIVEMX_SEED ?? 20_261_121)

useSimulatedClock()

test(`${connections} connections from seed ${firstSeed}: every transaction concludes exactly once (B24)`, async () => {
  const sums = { letters: 0, accepted: 0, refused: 0, tempfailed: 0, aborted: 0, unheard: 0 }
  const troubles = new Map<string, number>()
  for (let at = 0; at < connections / clientsPerWorld; at++) {
    await simulate(firstSeed + at, sums, troubles)
  }
  const text = [...troubles].sort().map(([name, count]) => `${name} ${count}`)
  process.stdout.write(`seed ${firstSeed}: ${JSON.stringify(sums)}; troubles: ${text.join(', ')}\n`)
  if (connections < 10_000) return
  // The mixture reaches every end, and every trouble has happened at every step.
  expect(sums.accepted).toBeGreaterThan(connections / 10)
  expect(sums.refused).toBeGreaterThan(connections / 20)
  expect(sums.tempfailed).toBeGreaterThan(connections / 20)
  expect(sums.aborted).toBeGreaterThan(connections / 20)
  expect(sums.unheard).toBeGreaterThan(10)
  for (const step of ['connect', 'greeting', 'ehlo', 'mail', 'rcpt', 'data', 'dot']) {
    for (const fate of ['refuse', 'tempfail', 'silent', 'cut', 'farewell', 'nonsense']) {
      expect(troubles.get(`${step} ${fate}`), `${step} ${fate}`).toBeDefined()
    }
  }
}, 600_000)

async function simulate(seed: number, sums: Sums, troubles: Map<string, number>): Promise<void> {
  try {
    const world = new SimulatedWorld(new Random(seed))
    world.run()
    await world.heal()
    checkLedger(world, sums)
    expect(world.edge.clients).toBe(0)
    expect(world.network.connections).toBe(0)
    expect([0, 1, 2].map((slot) => world.edge.cap.held(slot))).toEqual([0, 0, 0])
    for (const [name, count] of world.troubles) {
      troubles.set(name, (troubles.get(name) ?? 0) + count)
    }
    vi.clearAllTimers()
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    throw new Error(`seed ${seed}: ${text}`, { cause: error })
  }
}
