import { describe } from 'vitest'
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
