/**
 * `activemx show-config`: the settings in force, or what one of them means.
 */
import type { Command } from 'commander'
import { OperatingError } from '../base/errors.ts'
import { formatDuration, formatOctets, formatRate, type Rate } from '../base/units.ts'
import { type SettingValue, settingsOf } from '../config/differences.ts'
import { explainSection, explainSetting, findSetting } from '../config/explain.ts'
import type { Endpoint } from '../config/kinds.ts'
import { readConfig } from './ask.ts'
import type { CommandContext } from './command.ts'

interface ShowOptions {
  readonly config?: string
  readonly nonDefault?: boolean
  readonly explain?: string
  readonly json?: boolean
}

/** Adds the command. */
export function addShowConfig(program: Command, context: CommandContext): void {
  program
    .command('show-config')
    .description('the settings in force; what a setting means')
    .option('--config <file>', 'the configuration')
    .option('--non-default', 'only what differs from the default')
    .option('--explain <name>', 'what a setting or a table means, such as listen.greet_delay')
    .option('--json', 'JSON on standard output')
    .action((options: ShowOptions) => show(options, context))
}

function show(options: ShowOptions, { terminal }: CommandContext): void {
  if (options.explain !== undefined) {
    const lines = explanationOf(options.explain)
    terminal.print(options.json === true ? JSON.stringify(lines) : lines.join('\n'))
    return
  }
  if (options.config === undefined) {
    throw new OperatingError('USAGE', 'show-config: give --config FILE or --explain NAME')
  }
  const all = settingsOf(readConfig(options.config))
  const shown = options.nonDefault === true ? all.filter(({ isDefault }) => !isDefault) : all
  if (options.json === true) {
    terminal.print(
      JSON.stringify(shown.map(({ key, value, isDefault }) => ({ key, value, isDefault }))),
    )
    return
  }
  for (const setting of shown) terminal.print(`${setting.key} = ${writtenValue(setting)}`)
}

/** A value as an operator would write it. */
function writtenValue({ value, unit }: SettingValue): string {
  if (typeof value === 'number' && unit === 'ms') return `"${formatDuration(value)}"`
  if (typeof value === 'number' && unit === 'octets') return `"${formatOctets(value)}"`
  return JSON.stringify(written(value))
}

/** Endpoints and rates are objects to the program. */
function written(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(written)
  if (typeof value !== 'object' || value === null) return value
  if ('address' in value && 'port' in value) {
    const { address, port } = value as Endpoint
    return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
  }
  return formatRate(value as Rate)
}

function explanationOf(name: string): readonly string[] {
  const found = findSetting(name)
  if (!('nearest' in found)) return explainSetting(found)
  const lines = explainSection(name)
  if (lines === undefined) throw unknownSetting(name, found.nearest)
  return lines
}

function unknownSetting(name: string, nearest: string | undefined): OperatingError {
  const remedy = nearest === undefined ? 'see docs/configuration.md' : `did you mean ${nearest}?`
  return new OperatingError('USAGE', `setting ${name}: there is none; ${remedy}`)
}
