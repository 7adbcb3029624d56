/**
 * The commands that ask a running instance: `status`, `reload`, `trace`, `probes`, `cache`.
 */
import type { Command } from 'commander'
import { OperatingError } from '../base/errors.ts'
import { formatDuration } from '../base/units.ts'
import { askInstance } from '../control/control-client.ts'
import type { MailhostState, ProxyStatus } from '../edge/running-proxy.ts'
import { progressLine, reportLine } from '../lists/list-report.ts'
import { ask, type InstanceOptions, socketOf, withInstanceOptions } from './ask.ts'
import { type CommandContext, exitStatus } from './command.ts'
import type { ReloadAnswer } from './instance-commands.ts'

/** Adds the commands. */
export function addInstanceCommands(program: Command, context: CommandContext): void {
  const { terminal } = context
  withInstanceOptions(program.command('status').description('what the instance is doing')).action(
    async (options: InstanceOptions) => {
      const status = await ask<ProxyStatus & { readonly pid: number }>(options, 'status')
      if (options.json === true) terminal.print(JSON.stringify(status))
      else for (const line of statusLines(status)) terminal.print(line)
    },
  )
  withInstanceOptions(
    program.command('reload').description('take configuration and lists anew, drop nobody'),
  ).action((options: InstanceOptions) => reload(options, context))
  withInstanceOptions(program.command('trace').description('watch the clients of a network'))
    .requiredOption('--source <network>', 'address or network, such as 192.0.2.0/24')
    .action((options: InstanceOptions & { readonly source: string }) => trace(options, context))
  addPassedOn(program, context, 'probes', ['on', 'off'], 'switch all probing on or off')
  addPassedOn(program, context, 'cache', ['show', 'flush'], 'the answers of probes that are kept')
}

async function reload(options: InstanceOptions, { terminal, exit }: CommandContext) {
  const answer = await ask<ReloadAnswer>(options, 'reload')
  if (options.json === true) terminal.print(JSON.stringify(answer))
  else {
    const keys = answer.changes.join(', ') || 'none'
    for (const fault of answer.faults) terminal.warn(`activemx: ${fault}`)
    if (!answer.ok)
      terminal.warn('activemx: nothing was changed; the last good configuration stays')
    else terminal.print(`reloaded, lists and rules too; changed keys: ${keys}`)
    if (answer.restart.length > 0) terminal.print(`needs a restart: ${answer.restart.join(', ')}`)
  }
  exit(answer.ok ? exitStatus.fine : exitStatus.fault)
}

async function trace(
  options: InstanceOptions & { readonly source: string },
  context: CommandContext,
) {
  const aborting = new AbortController()
  const stop = (): void => aborting.abort()
  process.once('SIGINT', stop).once('SIGTERM', stop)
  await askInstance({
    socket: socketOf(options),
    command: 'trace',
    arguments: { source: options.source },
    onLine: (line) => context.terminal.print(options.json === true ? line : tracedLine(line)),
    signal: aborting.signal,
  })
  process.off('SIGINT', stop).off('SIGTERM', stop)
}

/** A line of dialogue as a person reads it; a record as it is. */
function tracedLine(line: string): string {
  const record = JSON.parse(line) as Readonly<Record<string, string>>
  if (record['event'] !== 'dialogue') return line
  const { time = '', client, port, stage = '', from, to, text } = record
  const who = `${from} > ${to}`.padEnd(17)
  return `${time.slice(11, 23)} [${client}]:${port} ${stage.padEnd(8)} ${who} ${text}`
}

/** A command whose word is handed on: `probes off` asks `probes` with { action: 'off' }. */
function addPassedOn(
  program: Command,
  { terminal }: CommandContext,
  name: string,
  actions: readonly string[],
  description: string,
): void {
  const command = withInstanceOptions(program.command(name).description(description))
    .argument('<action>', actions.join(' or '))
    .action(async (action: string, options: InstanceOptions & { readonly key?: string }) => {
      if (!actions.includes(action)) {
        throw new OperatingError('USAGE', `${name} ${action}: write ${actions.join(' or ')}`)
      }
      const answer = await ask<unknown>(options, name, { action, key: options.key ?? '' })
      terminal.print(JSON.stringify(answer, null, options.json === true ? 0 : 2))
    })
  if (name === 'cache') command.option('--key <text>', 'only keys that begin with this')
}

function statusLines(status: ProxyStatus & { readonly pid: number }): readonly string[] {
  const { gate, counters } = status
  const upMs = Math.floor(status.uptimeMs / 1000) * 1000
  return [
    `process ${status.pid}, up ${formatDuration(upMs)}, ${status.threads} serving threads`,
    `listening on ${status.addresses.join(', ')}${status.isStressed ? ', under stress' : ''}`,
    ...Object.entries(gate).map(([name, value]) => `gate ${name}: ${value}`),
    ...Object.entries(counters).map(([name, value]) => `${name}: ${JSON.stringify(value)}`),
    ...status.lists.map(reportLine),
    ...(status.loading === undefined ? [] : [progressLine(status.loading)]),
    ...status.warnings.map((warning) => `warning: ${warning}`),
    ...status.mailhosts.map((mailhost) => mailhostLine(mailhost, status.threads)),
    probesLine(status.probes),
    ...tlsDaemonLines(status.tlsDaemon),
    `log: ${status.logDropped} records dropped`,
  ]
}

function mailhostLine({ address, sessions, awayIn }: MailhostState, threads: number): string {
  const away = awayIn === 0 ? '' : `, away in ${awayIn} of ${threads} threads`
  return `mailhost ${address}: ${sessions} sessions${away}`
}

function tlsDaemonLines({ socket, code, message, lost }: ProxyStatus['tlsDaemon']) {
  if (code === 'none' && lost === 0) return []
  const now = code === 'none' ? 'serves' : `does not serve: ${message}`
  return [`TLS daemon ${socket}: ${now}; lost ${lost} times`]
}

function probesLine({ isOn, inFlight, made, refusedUs }: ProxyStatus['probes']): string {
  const head = `probes: ${isOn ? 'on' : 'off'}, ${inFlight} in flight, ${made} made`
  return `${head}, ${refusedUs} answered by a refusal of us`
}
