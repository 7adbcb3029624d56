/**
 * `activemx tls daemon`: holds the shared TLS sessions until it is told to stop.
 *
 * Prints one line when the socket takes clients. SIGTERM ends every session with close-notify (an
 * SMTP peer gets QUIT).
 */
import { writeSync } from 'node:fs'
import type { Command } from 'commander'
import { OperatingError } from '../base/errors.ts'
import { type LoadedConfig, loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { type DaemonOptions, TlsDaemon } from '../tls/daemon.ts'
import type { Discipline } from '../tls/queue.ts'
import { type CommandContext, wholeNumber } from './command.ts'
import { untilSignal } from './until-signal.ts'

interface TlsDaemonOptions {
  readonly config?: string
  readonly socket?: string
  readonly queue?: string
  readonly ageingMs?: number
  readonly program: readonly string[]
  readonly targetSessionsMax?: number
  readonly json?: boolean
}

const ageingMsDefault = 1000

/** Adds the command. */
export function addTlsDaemon(tls: Command, context: CommandContext): void {
  tls
    .command('daemon')
    .description('hold TLS sessions that other processes share')
    .option(
      '--config <file>',
      'take the settings of [tls_daemon]; the options below go before them',
    )
    .option('--socket <path>', 'the Unix socket, mode 0600 (/run/activemx/tls.sock)')
    .option('--queue <order>', 'fifo, or priority: highest first (fifo)')
    .option('--ageing-ms <ms>', 'with priority: a waiting call rises by 1 in so long', wholeNumber)
    .option('--program <name=path…>', 'a program that sessions may start on receipt', collect, [])
    .option('--target-sessions-max <count>', 'connections to one peer (40)', wholeNumber)
    .option('--json', 'one JSON object when ready')
    .action((options: TlsDaemonOptions) => serve(options, context))
}

async function serve(options: TlsDaemonOptions, { terminal }: CommandContext): Promise<void> {
  const settings = daemonOptions(options)
  const daemon = await TlsDaemon.start({ ...settings, log })
  const { socket, discipline } = settings
  const ready = { daemon: daemon.daemonId, pid: process.pid, socket, queue: discipline.kind }
  if (options.json === true) terminal.print(JSON.stringify(ready))
  else terminal.print(`TLS session daemon ${ready.daemon} at ${socket}, queue ${ready.queue}`)
  await untilSignal()
  await daemon.stop()
}

/** A fault of the log is nobody's fault: a full disk below it must not end the sessions. */
function log(text: string): void {
  try {
    writeSync(process.stderr.fd, `${text}\n`)
  } catch {
    // There is no other place to say it.
  }
}

function daemonOptions(options: TlsDaemonOptions): DaemonOptions {
  const section = options.config === undefined ? undefined : load(options.config).tlsDaemon
  const queue = options.queue ?? section?.queue ?? 'fifo'
  const ageingMs = options.ageingMs ?? (section?.ageing === true ? ageingMsDefault : 0)
  const programs = [...(section?.programs ?? []), ...options.program]
  return {
    socket: options.socket ?? section?.socket ?? '/run/activemx/tls.sock',
    discipline: disciplineOf(queue, ageingMs),
    programs: Object.fromEntries(programs.map(programOf)),
    targetSessionsMax: options.targetSessionsMax ?? section?.targetSessionsMax ?? 40,
  }
}

function load(file: string): Config {
  const loaded: LoadedConfig = loadConfig(file)
  if (loaded.ok) return loaded.value
  const [fault] = loaded.error
  const text = `${file}: ${fault?.key}: ${fault?.value}: ${fault?.remedy}`
  throw new OperatingError('CONFIG', text)
}

function disciplineOf(queue: string, ageingMs: number): Discipline {
  if (queue === 'fifo') return { kind: 'fifo' }
  if (queue === 'priority') return { kind: 'priority', ageingMs }
  throw new OperatingError('USAGE', `--queue ${queue}: give fifo or priority`)
}

// name "=" absolute-path *( SP argument )
function programOf(text: string): [string, readonly string[]] {
  const at = text.indexOf('=')
  if (at < 1) throw new OperatingError('USAGE', `program ${text}: give NAME=/absolute/path`)
  return [text.slice(0, at), text.slice(at + 1).split(' ')]
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value]
}
