/** The wall clock is set while the service runs: by hand, by NTP, behind a sleep of the machine. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { poolSweepMs } from '../../src/base/limits.ts'
import { MemoryEdge } from '../support/memory-edge.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
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

test('set forward: no client is cut, neither in its silence nor at its next command', () => {
  const { edge, engine } = scene
  const client = scene.greetClient()
  engine.take(client)
  setClock(dayMs)
  edge.onDeadline(client)
  engine.feed(client, 'NOOP\r\n')
  expect(engine.take(client)).toMatch(/^250 2\.0\.0 [^\n]*\n$/)
})

test('set back: a client that is silent for too long is closed all the same', async () => {
  await scene.edge.stop()
  vi.useFakeTimers({ toFake: ['Date', 'performance'] })
  scene = new MemoryEdge('')
  const { edge, engine } = scene
  const client = scene.greetClient()
  engine.take(client)
  vi.advanceTimersByTime(hourMs)
  vi.setSystemTime(Date.now() - dayMs)
  edge.onDeadline(client)
  expect(engine.take(client)).toMatch(/^421 4\.4\.2 .*timeout, closing/)
})

test('set while a client is served: the records have the new time and the true duration', () => {
  const client = scene.comeClient()
  setClock(-dayMs)
  const setTo = Date.now()
  scene.engine.end(client, 'reset')
  const duration = expect.toSatisfy((ms: number) => ms >= 0 && ms < hourMs)
  expect(scene.verdicts).toMatchObject([{ time: setTo, ms: duration }])
  expect(scene.records.at(-1)).toMatchObject({ event: 'disconnect', time: setTo, ms: duration })
})

test('a machine that slept: the answer to a final dot that has come meanwhile counts', async () => {
  await scene.edge.stop()
  vi.useFakeTimers({ toFake: ['performance'] })
  scene = new MemoryEdge('')
  const { engine } = scene
  scene.open(firstSession)
  const client = scene.comeSender(firstSession)
  engine.feed(client, 'x\r\n.\r\n')
  await sweeps()
  // It lies in the kernel when the thread goes on, and the next look at the sessions is due.
  const [near, far] = await socketPair()
  near.on('data', (octets) => engine.feed(firstSession, octets.toString('latin1')))
  await new Promise<void>((resolve) => far.write('250 2.0.0 queued\r\n', () => resolve()))
  await setTimeout(0)
  near.resume()
  vi.advanceTimersByTime(dayMs)
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2 * poolSweepMs)
  engine.take(client)
  await sweeps()
  expect(engine.take(client)).toBe('250 2.0.0 queued\r\n')
  near.destroy()
  far.destroy()
})

/** Two ends of a connection; the first is not read before it is resumed. */
async function socketPair(): Promise<readonly [Socket, Socket]> {
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const far = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [near] = (await once(server, 'connection')) as [Socket]
  server.close()
  return [near, far]
}
