/**
 * What the commands share that ask a running instance: where its socket is, and how they print.
 */
import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { OperatingError } from '../base/errors.ts'
import { faultLine, loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { askInstance } from '../control/control-client.ts'

/** Options by which an instance is found. */
export interface InstanceOptions {
  readonly config?: string
  readonly socket?: string
  readonly json?: boolean
}

const defaultSocket = '/run/activemx/control.sock'
/** Of a try-out that was started in this folder. */
const tryOutSocket = 'var/control.sock'

/** Adds --config, --socket and --json. */
export function withInstanceOptions(command: Command): Command {
  return command
    .option('--config <file>', 'the configuration that names the socket')
    .option('--socket <path>', `the control socket (default: ${defaultSocket})`)
    .option('--json', 'JSON on standard output')
}

/** Asks the instance. Rejects with OperatingError where none runs or it has a fault. */
export function ask<T>(
  options: InstanceOptions,
  command: string,
  given: Readonly<Record<string, unknown>> = {},
): Promise<T> {
  return askInstance({ socket: socketOf(options), command, arguments: given }) as Promise<T>
}

/** The instance's socket: as given, as configured, the default one, or that of a try-out here. */
export function socketOf({ socket, config }: InstanceOptions): string {
  if (socket !== undefined) return socket
  if (config !== undefined) return readConfig(config).control.socket
  return !existsSync(defaultSocket) && existsSync(tryOutSocket) ? tryOutSocket : defaultSocket
}

/** The configuration. Throws OperatingError CONFIG with every fault. */
export function readConfig(file: string): Config {
  const loaded = loadConfig(file)
  if (loaded.ok) return loaded.value
  throw new OperatingError('CONFIG', `${file}: ${loaded.error.map(faultLine).join('; ')}`)
}
