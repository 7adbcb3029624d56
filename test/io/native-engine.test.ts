import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import type { EngineHandler } from '../../src/io/engine.ts'
import { newNativeEngine } from '../../src/io/native-engine.ts'
import { newNativeGate } from '../../src/io/native-gate.ts'
import { runEngineContract } from '../contract/engine.ts'
import { present } from '../contract/present.ts'

describe('the native engine', () => {
  runEngineContract({
    newEngine: (handler, options) => present(newNativeEngine(handler, options)),
    newGate: () => present(newNativeGate()),
  })
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
