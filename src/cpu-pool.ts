/**
 * The pool of threads for CPU work, over piscina: compiling lists, mining and replaying logs.
 *
 * Threads start with the first task and end after a while without one. `atomics` is off: with
 * piscina's default an idle thread's event loop stands still. Threads always run the built worker:
 * Node 20 does not run TypeScript. Tasks are handed over one a turn of the asking thread's loop,
 * since each may start a thread, which takes some milliseconds. A thread that cannot start (its
 * files are gone, no memory) fails the tasks that wait, never the process.
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

/** Makes the pool; at most one thread a core. `filename` is what its threads run. */
export function newCpuPool(
  threadsMax: number = availableParallelism(),
  filename = `${packageRoot()}/dist/src/cpu-worker.js`,
): OwnedCpuPool {
  const pool = new Piscina({
    filename,
    minThreads: 0,
    maxThreads: Math.max(1, threadsMax),
    idleTimeout: idleMs,
    atomics: 'disabled',
  })
  const running = new Set<AbortController>()
  pool.on('error', (fault) => {
    for (const task of running) task.abort(fault)
  })
  let turn: Promise<unknown> = Promise.resolve()
  return {
    async run(name, task, transfer = []) {
      turn = turn.then(() => nextTurn())
      await turn
      const started = new AbortController()
      running.add(started)
      const { signal } = started
      try {
        return await pool.run(task, { name, transferList: [...transfer], signal })
      } catch (fault) {
        throw signal.aborted ? unstarted(signal.reason) : restored(fault)
      } finally {
        running.delete(started)
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

function unstarted(cause: unknown): OperatingError {
  const text = `a thread for CPU work ended: ${cause instanceof Error ? cause.message : cause}`
  return new OperatingError('CPU_THREAD', text, { cause })
}
