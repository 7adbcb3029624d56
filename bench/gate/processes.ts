/**
 * Programs of a bench: built, started on one core, their CPU time read over all threads.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'

/** A server of the bench. */
export interface Server {
  readonly port: number
  /** CPU time of all its processes and threads so far, µs. */
  cpuMicroseconds(): number
  stop(): Promise<void>
}

/** Compiles a C program of bench/peers into a folder; answers its path. */
export function compilePeer(name: string, folder: string): string {
  const program = join(folder, name)
  execFileSync('cc', ['-O2', '-o', program, `bench/peers/${name}.c`])
  return program
}

/** Starts a server that prints `ready`; `words` get its port in place of `PORT`. */
export async function startServer(words: readonly string[], core: number): Promise<Server> {
  const port = await freePort()
  const given = words.map((word) => (word === 'PORT' ? String(port) : word))
  const child = spawn('taskset', ['-c', String(core), ...given], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  return {
    port,
    cpuMicroseconds: () => cpuOfTree(child.pid ?? 0),
    stop: () => stopChild(child),
  }
}

/** Runs a program on a core; answers what it prints. */
export async function runProgram(words: readonly string[], core: number): Promise<string> {
  const child = spawn('taskset', ['-c', String(core), ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.on('data', (chunk) => {
    text += chunk
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${words.join(' ')} ended with ${code}`)
  return text
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** CPU time of a process, its threads and all its descendants, µs (schedstat counts ns). */
export function cpuOfTree(root: number): number {
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc').filter((one) => /^[0-9]+$/.test(one))) {
    const parent = parentOf(Number(name))
    children.set(parent, [...(children.get(parent) ?? []), Number(name)])
  }
  const familyOf = (pid: number): number[] => [
    pid,
    ...(children.get(pid) ?? []).flatMap((child) => familyOf(child)),
  ]
  return familyOf(root).reduce((sum, pid) => sum + cpuOfProcess(pid), 0)
}

function parentOf(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return Number(status.slice(status.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return 0 // It ended while the list was read.
  }
}

function cpuOfProcess(pid: number): number {
  try {
    const tasks = readdirSync(`/proc/${pid}/task`)
    return tasks.reduce((sum, task) => {
      const [ran = '0'] = readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'latin1').split(' ')
      return sum + Number(ran) / 1000
    }, 0)
  } catch {
    return 0
  }
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  await gone
}
