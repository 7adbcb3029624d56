import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import type { EngineHandler } from '../../src/io/engine.ts'
import { newNativeEngine } from '../../src/io/native-engine.ts'
import { newNativeGate } from '../../src/io/native-gate.ts'
import { runEngineContract } from '../contract/engine.ts'
import { type EngineUnderTest, EngineWorld } from '../contract/engine-world.ts'
import { present } from '../contract/present.ts'

const parts: EngineUnderTest = {
  newEngine: (handler, options) => present(newNativeEngine(handler, options)),
  newGate: () => present(newNativeGate()),
}

describe('the native engine', () => runEngineContract(parts))

test('in whatever round of a wake-up the last connections end, stop resolves behind their onClose', async () => {
  for (let last = 20; last < 40; last++) {
    const world = new EngineWorld(parts)
    await world.open()
    const { engine, recorder } = world
    const ids = new Set<number>()
    let events = 0
    let stopped: Promise<void> | undefined
    // Both ends are this engine's: each octet that one sends comes to the other in the next round.
    recorder.reactions = {
      onData: (id) => {
        ids.add(id)
        events += 1
        if (events < last) engine.sendText(id, 'x')
        if (events !== last) return
        stopped = engine.stop()
        for (const one of ids) engine.reset(one)
      },
    }
    engine.connect('127.0.0.1', world.port, 5_000)
    await recorder.until(() => stopped !== undefined)
    await stopped
    const closes = recorder.told.filter(({ kind }) => kind === 'close')
    expect(closes.length, `closes, ended at event ${last}`).toBe(2)
    await world.close()
  }
})

test('a closed engine keeps nothing of its thread, its arenas least of all', async () => {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  const closed = await (async () => {
    const engine = present(newNativeEngine({} as EngineHandler, { clientDeadlineMs: 0 }))
    await engine.stop()
    return new WeakRef(engine)
  })()
  const isCollected = (): boolean => {
    collect()
    return closed.deref() === undefined
  }
  await expect.poll(isCollected, { timeout: 20_000 }).toBe(true)
})
