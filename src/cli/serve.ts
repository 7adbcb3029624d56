/**
 * activemx serve: runs the proxy until SIGTERM or SIGINT; without --config it is the try-out.
 *
 * SIGHUP takes the configuration file anew, SIGUSR1 opens the log file again. The first SIGTERM
 * finishes running transactions, a second one ends the process at once.
 */

import type { Command } from 'commander'
import type { OperatingError } from '../base/errors.ts'
import { faultLine as configFaultLine, loadConfig } from '../config/load.ts'
import { warningsOf } from '../config/rules.ts'
import type { Config } from '../config/schema.ts'
import { openSyslogOverTls } from '../edge/tls-syslog.ts'
import { openSystemLog, type SystemLog } from '../log/system-log.ts'
import { serve } from '../main.ts'
import type { CommandContext, Terminal } from './command.ts'
import { exitStatus } from './command.ts'
import { openInstanceControl } from './instance-control.ts'
import { startTryOut } from './try-out.ts'
import { untilSignal } from './until-signal.ts'

/** Adds `serve` to the program. */
export function addServe(program: Command, { terminal, exit }: CommandContext): void {
  program
    .command('serve')
    .description('serve; without --config: try-out on 127.0.0.1:2525 with a mailhost of its own')
    .option('--config <file>', 'the configuration')
    .action(async ({ config: file }: { readonly config?: string }) => {
      if (file === undefined) {
        const tryOut = await startTryOut(terminal, process.cwd())
        await untilSignal()
        await tryOut.stop()
        return
      }
      const config = readConfig(file, terminal)
      if (config === undefined) exit(exitStatus.fault)
      else await serveUntilSignal(config, file)
    })
}

/** The configuration, or undefined after one line per fault. */
function readConfig(file: string, terminal: Terminal): Config | undefined {
  const loaded = loadConfig(file)
  if (loaded.ok) return loaded.value
  for (const fault of loaded.error) terminal.warn(`activemx: ${file}: ${configFaultLine(fault)}`)
  return undefined
}

async function serveUntilSignal(config: Config, file: string): Promise<void> {
  const log = await openSystemLog(config, openSyslogOverTls)
  for (const warning of warningsOf(config)) tell(log, 'warning', warning)
  let fail: (fault: OperatingError) => void = () => {}
  const failed = new Promise<OperatingError>((resolve) => {
    fail = resolve
  })
  const proxy = await serve(config, log, { onFatal: fail }).catch(async (fault: unknown) => {
    await log.close()
    throw fault
  })
  const instance = { file, load: () => loadConfig(file), log, proxy }
  const control = await openInstanceControl(config, instance).catch(async (error: unknown) => {
    await proxy.stop()
    await log.close()
    throw error
  })
  const onReload = () => void control.commands.reload()
  const onReopen = () => log.reopen()
  process.on('SIGHUP', onReload).on('SIGUSR1', onReopen)
  // A service that cannot go on ends with a fault, so that its supervisor starts it again.
  const fault = await Promise.race([untilSignal(), failed])
  await control.server.close()
  await proxy.stop()
  process.off('SIGHUP', onReload).off('SIGUSR1', onReopen)
  await log.close()
  if (fault !== undefined) throw fault
}

function tell(log: SystemLog, what: string, detail: string): void {
  log.log.record({ event: 'service', time: Date.now(), what, detail })
}
