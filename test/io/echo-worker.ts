/**
 * A worker thread for tests: an engine that echoes, and dies in the way it is told.
 */
import { parentPort } from 'node:worker_threads'
import type { Engine } from '../../src/io/engine.ts'
import { newNativeEngine } from '../../src/io/native-engine.ts'

/** How the worker dies. */
export type Death = 'throw' | 'exit' | 'block then exit'

const engine: Engine | undefined = newNativeEngine(
  {
    onOpen: () => {},
    onData: (id, _chunk, start, end) => {
      engine?.forward(id, start, end)
    },
    onConnected: () => {},
    onDrain: () => {},
    onEnd: (id) => engine?.close(id),
    onDeadline: () => {},
    onClose: () => {},
  },
  { clientDeadlineMs: 0 },
)

parentPort?.postMessage(engine?.token)
parentPort?.once('message', (shared: { readonly death: Death; readonly flag: Int32Array }) => {
  if (shared.death === 'throw') throw new Error('a worker dies')
  if (shared.death === 'block then exit') Atomics.wait(shared.flag, 0, 0)
  process.exit(3)
})
