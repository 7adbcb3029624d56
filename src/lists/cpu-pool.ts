/**
 * CpuPool: the face of the pool of threads for CPU work, as the parts that use it see it.
 *
 * src/cpu-pool.ts implements it over piscina with src/cpu-worker.ts as the threads' entry; tests
 * may run tasks on their own thread. Tasks and results cross by structured clone; buffers in
 * `transfer` move.
 */
export interface CpuPool {
  /** Runs the task of this name (an export of src/cpu-worker.ts); rejects with what it threw. */
  run(name: string, task: unknown, transfer?: readonly ArrayBuffer[]): Promise<unknown>
}
