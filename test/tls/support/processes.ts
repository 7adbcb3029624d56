/**
 * Real processes for the tests: the daemon and applications, run from dist/ (build first).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { packageRoot } from '../../../src/addon/package-root.ts'

export interface Running {
  readonly child: ChildProcess
  readonly pid: number
  /** The next line of standard output. */
  line(): Promise<string>
  /** Sends a line to standard input. */
  say(text: string): void
  /** Sends a signal and waits for the end. */
  end(signal?: NodeJS.Signals): Promise<void>
  readonly gone: Promise<void>
}

export interface RunningDaemon extends Running {
  readonly socket: string
}

export function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'activemx-tls-'))
}

/** Runs a module of dist/ in a process of its own. */
export function run(
  module: string,
  words: readonly string[],
  options: { readonly uid?: number; readonly gid?: number; readonly cwd?: string } = {},
): Running {
  const child = spawn(process.execPath, [join(packageRoot(), 'dist', module), ...words], {
    stdio: ['pipe', 'pipe', 'inherit'],
    ...options,
  })
  return follow(child)
}

/** Follows the standard output of a process line by line. */
export function follow(child: ChildProcess): Running {
  const lines: string[] = []
  const waiting: ((line: string) => void)[] = []
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const next = waiting.shift()
      if (next === undefined) lines.push(line)
      else next(line)
    })
  }
  const gone = new Promise<void>((resolve) => {
    child.once('close', () => resolve())
  })
  return {
    child,
    pid: child.pid ?? 0,
    gone,
    line: () =>
      new Promise((resolve, reject) => {
        const there = lines.shift()
        if (there !== undefined) resolve(there)
        else {
          waiting.push(resolve)
          void gone.then(() => reject(new Error('the process ended without a further line')))
        }
      }),
    say: (text) => child.stdin?.write(`${text}\n`),
    async end(signal = 'SIGTERM') {
      child.kill(signal)
      await gone
    },
  }
}

/** Starts `activemx tls daemon` and waits until it takes clients. */
export async function startDaemon(
  words: readonly string[] = [],
  options: { readonly uid?: number; readonly gid?: number; readonly folder?: string } = {},
): Promise<RunningDaemon> {
  const { folder = newFolder(), ...identity } = options
  const socket = join(folder, 'tls.sock')
  const command = ['tls', 'daemon', '--socket', socket, '--json', ...words]
  const daemon = run('src/cli/activemx.js', command, identity)
  await daemon.line()
  return {
    ...daemon,
    socket,
    async end(signal) {
      await daemon.end(signal)
      if (options.folder === undefined) rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Starts `activemx tls wrap` and waits until it serves. */
export async function startWrap(...words: readonly string[]): Promise<Running> {
  const wrap = run('src/cli/activemx.js', ['tls', 'wrap', ...words, '--json'])
  await wrap.line()
  return wrap
}

/** What an application process of the tests is told to do: one JSON object a line. */
export interface Order {
  readonly do: string
  readonly [key: string]: unknown
}

export interface Application extends Running {
  /** Gives an order and waits for its end. */
  ask(order: Order): Promise<Record<string, unknown>>
}

/** Starts test/tls/support/application.ts as a process. */
export function startApplication(
  daemon: string,
  options: { readonly uid?: number; readonly gid?: number } = {},
): Application {
  const running = run('test/tls/support/application.js', [daemon], options)
  const answers = new Map<number, (answer: Record<string, unknown>) => void>()
  let orders = 0
  const readOn = async (): Promise<void> => {
    for (;;) {
      const answer = JSON.parse(await running.line()) as Record<string, unknown>
      answers.get(Number(answer['order']))?.(answer)
    }
  }
  readOn().catch(() => undefined)
  return {
    ...running,
    ask: (order) =>
      new Promise((resolve, reject) => {
        const number = orders++
        answers.set(number, resolve)
        void running.gone.then(() => reject(new Error('the application ended')))
        running.say(JSON.stringify({ ...order, order: number }))
      }),
  }
}
