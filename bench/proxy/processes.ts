/**
 * Processes under measurement: started on one core, their CPU time read over all threads.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** A server under measurement. */
export interface Server {
  readonly name: string
  readonly port: number
  /** CPU time of all its processes and threads so far, microseconds. */
  cpuMicroseconds(): number
  stop(): void | Promise<void>
}

/** A server that is one process with its descendants. */
export function serverOf(name: string, port: number, process: ChildProcess): Server {
  const pid = process.pid ?? 0
  return { name, port, cpuMicroseconds: () => cpuOf(pid), stop: () => void process.kill() }
}

/** Starts a program on a core; what it says of faults is shown. */
export function startOn(core: number, program: string, ...words: readonly string[]): ChildProcess {
  return spawn('taskset', ['-c', String(core), program, ...words], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

/** Longest that one run of the generator may take: a server that stalls fails its series. */
const runMsMax = 30_000

/** Runs a program on a core to its end; throws when it fails or takes too long. */
export async function runOn(core: number, program: string, ...words: readonly string[]) {
  const child = startOn(core, program, ...words)
  const timer = setTimeout(() => child.kill(), runMsMax)
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve))
  clearTimeout(timer)
  if (status !== 0) throw new Error(`${program} ${words.join(' ')}: status ${status}`)
}

function cpuOf(pid: number): number {
  return [pid, ...descendants(pid)].reduce((sum, id) => sum + ownMicroseconds(id), 0)
}

function ownMicroseconds(pid: number): number {
  let nanoseconds = 0
  for (const task of listed(`/proc/${pid}/task`)) {
    nanoseconds += Number(read(`/proc/${pid}/task/${task}/schedstat`).split(' ')[0] ?? 0)
  }
  return nanoseconds / 1000
}

function descendants(pid: number): readonly number[] {
  const children = listed(`/proc/${pid}/task`).flatMap((task) =>
    read(`/proc/${pid}/task/${task}/children`).trim().split(' ').filter(Boolean).map(Number),
  )
  return children.flatMap((child) => [child, ...descendants(child)])
}

function listed(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch {
    // The process has ended meanwhile: it counts no more.
    return []
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    // As above.
    return ''
  }
}
