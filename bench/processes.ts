/**
 * Programs of a bench: built, started each on one core, their CPU time and memory read over all
 * processes and threads.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../test/support/ports.ts'

/** Core of the servers that are measured. */
export const serverCore = 0
/** Core of generators and sinks. */
export const loadCore = 1

/** A server under measurement. */
export interface Server {
  readonly name: string
  readonly port: number
  /** CPU time of all its processes and threads so far, microseconds. */
  cpuMicroseconds(): number
  /** Memory of its own that it holds, octets: private pages of all its processes. */
  memoryOctets(): number
  /** Resolves when it has ended. */
  stop(): Promise<void>
}

/** A server that is one process with its descendants. */
export function serverOf(name: string, port: number, child: ChildProcess): Server {
  return { ...serverAt(name, port, child.pid ?? 0), stop: () => end(child) }
}

/** The same of a process that was started by another. */
export function serverAt(name: string, port: number, pid: number): Omit<Server, 'stop'> {
  return {
    name,
    port,
    cpuMicroseconds: () => sumOf(pid, cpuOf),
    memoryOctets: () => sumOf(pid, memoryOf),
  }
}

/** Starts a program on a core, or on several (`0,1`); what it says of faults is shown. */
export function startOn(
  core: number | string,
  program: string,
  ...words: readonly string[]
): ChildProcess {
  return spawn('taskset', ['-c', String(core), program, ...words], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

/** Starts a server that prints `ready`; `words` get its port in place of `PORT`. */
export async function startReady(words: readonly string[], core: number): Promise<Server> {
  const port = await freePort()
  const given = words.map((word) => (word === 'PORT' ? String(port) : word))
  const child = spawn('taskset', ['-c', String(core), ...given], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  return serverOf(given.join(' '), port, child)
}

/** Longest that one run of a generator may take: a server that stalls fails its series. */
const runMsMax = 30_000

/** Runs a program on a core; answers what it prints. Rejects when it fails or takes too long. */
export async function runOn(
  core: number,
  program: string,
  ...words: readonly string[]
): Promise<string> {
  const child = spawn('taskset', ['-c', String(core), program, ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.setEncoding('latin1').on('data', (chunk) => {
    text += chunk
  })
  const timer = setTimeout(() => child.kill(), runMsMax)
  const [status] = await once(child, 'close')
  clearTimeout(timer)
  if (status !== 0) throw new Error(`${program} ${words.join(' ')}: status ${status}`)
  return text
}

/** Compiles a C program of bench/peers into a folder; answers its path. */
export function compilePeer(name: string, folder: string): string {
  const program = join(folder, name)
  execFileSync('cc', ['-O2', '-o', program, `bench/peers/${name}.c`])
  return program
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  await gone
}

/** Sum over a process and all that descend from it. */
function sumOf(pid: number, of: (pid: number) => number): number {
  return [pid, ...descendants(pid)].reduce((sum, one) => sum + of(one), 0)
}

function cpuOf(pid: number): number {
  // schedstat counts nanoseconds.
  return listed(`/proc/${pid}/task`)
    .map((task) => Number(read(`/proc/${pid}/task/${task}/schedstat`).split(' ')[0] ?? 0) / 1000)
    .reduce((sum, one) => sum + one, 0)
}

function memoryOf(pid: number): number {
  const rows = read(`/proc/${pid}/smaps_rollup`).matchAll(/^Private_\w+: +(\d+) kB$/gm)
  return [...rows].reduce((sum, [, kilobytes]) => sum + Number(kilobytes) * 1024, 0)
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
