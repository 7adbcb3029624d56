import { describe } from 'vitest'
import { newServerGate } from '../../src/io/server-gate.ts'
import { newSocketEngine } from '../../src/io/socket-engine.ts'
import { runEngineContract } from '../contract/engine.ts'

describe('the engine over net.Socket', () => {
  runEngineContract({
    newEngine: newSocketEngine,
    newGate: () => newServerGate({ tableOf: () => undefined }),
  })
})
