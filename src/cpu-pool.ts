/**
 * The pool of threads for CPU work, over piscina: compiling lists, mining and replaying logs.
 *
 * Threads start with the first task and end after a while without one. `atomics` is off: with
 * piscina's default an idle thread's event loop stands still. Threads always run the built worker:
 * Node 20 does not run TypeScript. Tasks are handed over one a turn of the asking thread's loop,
 * since each may start a thread, which takes some milliseconds.
 */
import { availableParallelism } from 'node:os'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Piscina } from 'piscina'
import { packageRoot } from './addon/package-root.ts'
import { OperatingError } from './base/errors.ts'
import type { CpuPool } from './lists/cpu-pool.ts'

/** A pool that its owner closes. */
export interface OwnedCpuPool extends CpuPool {
  close(): Promise<void>
}

/** Idle threads end after this. */
const idleMs = 30_000

/** Makes the pool; at most one thread a core. */
export function newCpuPool(threadsMax: number = availableParallelism()): OwnedCpuPool {
  const pool = new Piscina({
    filename: `${packageRoot()}/dist/src/cpu-worker.js`,
    minThreads: 0,
    maxThreads: Math.max(1, threadsMax),
    idleTimeout: idleMs,
    atomics: 'disabled',
  })
  let turn: Promise<unknown> = Promise.resolve()
  return {
    async run(name, task, transfer = []) {
      turn = turn.then(() => nextTurn())
      await turn
      try {
        return await pool.run(task, { name, transferList: [...transfer] })
      } catch (fault) {
        throw restored(fault)
      }
    },
    close: () => pool.close(),
  }
}

/** An error loses its class on the way between threads; the code stays. */
function restored(fault: unknown): unknown {
  if (!(fault instanceof Error) || fault.name !== 'OperatingError') return fault
  const code = 'code' in fault && typeof fault.code === 'string' ? fault.code : 'UNKNOWN'
  return new OperatingError(code, fault.message, { cause: fault })
}
