/** The wall clock is set while the service runs: by hand, by NTP, behind a sleep of the machine. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { MemoryEdge } from '../support/memory-edge.ts'

const hourMs = 3_600_000
const firstSession = 1
let scene: MemoryEdge

beforeEach(() => {
  scene = new MemoryEdge('')
})

afterEach(async () => {
  await scene.edge.stop()
  vi.useRealTimers()
})

function setClock(byMs: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + byMs })
}

/** Resolves when the mailhost sessions have been looked at twice more. */
async function sweeps(): Promise<void> {
  const sweep = vi.spyOn(scene.edge.pool, 'sweep')
  await expect.poll(() => sweep.mock.calls.length, { timeout: 20_000 }).toBeGreaterThan(1)
  sweep.mockRestore()
}

test('set forward: the answer to a final dot is waited for all the same, no message is sent twice', async () => {
  const { engine } = scene
  scene.open(firstSession)
  const client = scene.comeSender(firstSession)
  engine.feed(client, 'x\r\n.\r\n')
  await sweeps()
  setClock(hourMs)
  await sweeps()
  engine.take(client)
  engine.feed(firstSession, '250 2.0.0 queued\r\n')
  expect(engine.take(client)).toBe('250 2.0.0 queued\r\n')
})

test('set back: a mailhost that failed is tried again after its pause', async () => {
  const { engine } = scene
  engine.end(firstSession, 'refused')
  setClock(-hourMs)
  await expect.poll(() => engine.opened.length, { timeout: 20_000 }).toBe(2)
})
