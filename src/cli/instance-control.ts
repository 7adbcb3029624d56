/**
 * The control socket of an instance that this process runs, with everything that may be asked
 * there.
 */
import type { LoadedConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { type ControlServer, openControlServer } from '../control/control-server.ts'
import type { RunningProxy } from '../edge/running-proxy.ts'
import type { SystemLog } from '../log/system-log.ts'
import { InstanceCommands } from './instance-commands.ts'

/** An instance as its control socket sees it. */
export interface ControlledInstance {
  /** The configuration file, '' where there is none. */
  readonly file: string
  /** Takes the configuration anew. */
  readonly load: () => LoadedConfig
  readonly log: SystemLog
  readonly proxy: RunningProxy
}

/** The open socket, and the commands for signals that mean one of them. */
export interface InstanceControl {
  readonly server: ControlServer
  readonly commands: InstanceCommands
}

/** Opens the socket. Rejects with OperatingError CONTROL_SOCKET. */
export async function openInstanceControl(
  config: Config,
  instance: ControlledInstance,
): Promise<InstanceControl> {
  const { proxy } = instance
  const commands = new InstanceCommands(config, {
    ...instance,
    more: proxy.commands,
    learnt: proxy.learnt,
  })
  const server = await openControlServer(config.control.socket, commands.handlers())
  return { server, commands }
}
