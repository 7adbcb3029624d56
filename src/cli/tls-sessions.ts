/**
 * `activemx tls sessions`: what the TLS session daemon holds. Status 1 where no daemon answers.
 */
import type { Command } from 'commander'
import { OperatingError } from '../base/errors.ts'
import { daemonSilent } from '../tls/channel.ts'
import type { DaemonStatistics, SessionStatistics } from '../tls/daemon.ts'
import { DaemonStub } from '../tls/daemon-stub.ts'
import { type CommandContext, exitStatus } from './command.ts'

interface TlsSessionsOptions {
  readonly socket: string
  readonly json?: boolean
}

/** Adds the command. */
export function addTlsSessions(tls: Command, context: CommandContext): void {
  tls
    .command('sessions')
    .description("the daemon's sessions: peers, holders, queues, handshakes")
    .option('--socket <path>', "the daemon's Unix socket", '/run/activemx/tls.sock')
    .option('--json', 'one JSON object on standard output')
    .action((options: TlsSessionsOptions) => show(options, context))
}

async function show(options: TlsSessionsOptions, { terminal, exit }: CommandContext) {
  const stub = new DaemonStub(options.socket)
  const answer = await stub.statistics()
  stub.close()
  if ('code' in answer) {
    if (answer.code !== 'daemonGone') {
      throw new OperatingError('TLS_DAEMON', `daemon at ${options.socket}: ${answer.message}`)
    }
    const remedy = answer === daemonSilent ? 'is it stopped?' : 'start activemx tls daemon'
    terminal.warn(`activemx: ${options.socket}: ${answer.message}; ${remedy}`)
    exit(exitStatus.negative)
  } else if (options.json === true) terminal.print(JSON.stringify(answer))
  else for (const line of linesOf(answer)) terminal.print(line)
}

function linesOf(statistics: DaemonStatistics): readonly string[] {
  const { daemon, pid, queue, clients, sessions } = statistics
  const title = `daemon ${daemon}, pid ${pid}, queue ${queue.kind}, ${clients} clients`
  return [title, ...sessions.map(lineOf)]
}

function lineOf(session: SessionStatistics): string {
  const { name, target, open, connections, holders, leased, waiting, handshakes } = session
  const { octetsIn, octetsOut, protocol, cipher, idleMs } = session
  return [
    `${name} → ${target}`,
    open === 0 ? 'closed' : `${open}/${connections} open ${protocol} ${cipher}`,
    `${holders} holders, ${leased} leased, ${waiting} waiting`,
    `${handshakes} handshakes, ${octetsIn} octets in, ${octetsOut} out`,
    `idle ${Math.round(idleMs / 1000)} s`,
  ].join('; ')
}
