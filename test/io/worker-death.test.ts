/**
 * A worker that dies takes its own connections and no others, and leaves no descriptor open.
 */
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Gate } from '../../src/io/gate.ts'
import { newNativeGate } from '../../src/io/native-gate.ts'
import { openPolicy } from '../contract/policy.ts'
import { present } from '../contract/present.ts'
import { connectClient, type RawClient } from '../contract/raw-client.ts'
import { projectRoot } from '../support/needs.ts'
import type { Death } from './echo-worker.ts'

// Worker threads run compiled: Node 20 does not read TypeScript.
const script = join(projectRoot, 'dist/test/io/echo-worker.js')

interface Serving {
  readonly worker: Worker
  readonly token: number
}

let gate: Gate
let port: number
const workers: Worker[] = []
const clients: RawClient[] = []

beforeEach(async () => {
  gate = present(newNativeGate())
  gate.configure(openPolicy({ earlyTalker: 'off' }))
  const [address = ''] = await gate.listen(['127.0.0.1:0'])
  port = Number(address.split(':')[1])
})

afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.destroy()
  for (const worker of workers.splice(0)) await worker.terminate()
  await gate.close()
})

async function startWorker(): Promise<Serving> {
  const worker = new Worker(script)
  workers.push(worker)
  worker.on('error', () => {})
  const [token] = (await once(worker, 'message')) as [number]
  gate.addWorker(token)
  return { worker, token }
}

async function echoing(name: string): Promise<RawClient> {
  const client = await connectClient(port)
  clients.push(client)
  await client.sees('220 ')
  client.send(name)
  await client.sees(name)
  return client
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length
}

/** Ends the worker; resolves when it is gone. */
async function kill({ worker, token }: Serving, death: Death, flag: Int32Array): Promise<void> {
  const gone = new Promise((resolve) => worker.once('exit', resolve))
  worker.postMessage({ death, flag })
  if (death === 'block then exit') {
    // It holds still now or soon: what arrives meanwhile waits in its epoll set.
    const waiting = await Promise.all(Array.from({ length: 30 }, () => connectClient(port)))
    clients.push(...waiting)
    await Promise.all(waiting.map((client) => client.sees('220 ')))
    for (const client of waiting) client.send('nobody reads this')
    Atomics.store(flag, 0, 1)
    Atomics.notify(flag, 0)
  }
  await gone
  gate.removeWorker(token)
}

for (const death of ['throw', 'exit', 'block then exit'] as const) {
  test(`a worker that dies by ${death} takes its own connections only and leaks no descriptor`, async () => {
    const steady = await startWorker()
    await (await echoing('warm up')).socket.destroy()
    while (gate.counters().connections > 0) await new Promise(setImmediate)
    const before = openDescriptors()
    const mortal = await startWorker()
    const all = await Promise.all(Array.from({ length: 20 }, (_, at) => echoing(`client ${at}.`)))
    await kill(mortal, death, new Int32Array(new SharedArrayBuffer(4)))
    while (all.filter((client) => client.end !== undefined).length < 10) {
      await new Promise(setImmediate)
    }
    const survivors = all.filter((client) => client.end === undefined)
    expect(survivors).toHaveLength(10)
    for (const client of survivors) {
      client.send(' still here')
      await client.sees(' still here')
    }
    await echoing('a new one')
    const successor = await startWorker()
    await echoing('served by any')
    for (const client of clients) client.socket.destroy()
    while (gate.counters().connections > 0) await new Promise(setImmediate)
    await successor.worker.terminate()
    while (openDescriptors() > before) await new Promise(setImmediate)
    expect(gate.counters().workers).toBe(2)
    expect(steady.token).toBeGreaterThan(0)
  })
}

test('a worker that is gone but not yet removed from the gate gets no client', async () => {
  await startWorker()
  const mortal = await startWorker()
  await mortal.worker.terminate()
  for (let count = 0; count < 5; count += 1) await echoing(`client ${count}.`)
})
