/**
 * activemx serve: runs the proxy until SIGTERM or SIGINT; without --config it is the try-out.
 *
 * SIGHUP takes the configuration file anew, SIGUSR1 opens the log file again. The first SIGTERM
 * finishes running transactions, a second one ends the process at once.
 */
import type { Command } from 'commander'
import { messageOf, OperatingError } from '../base/errors.ts'
import { faultLine as configFaultLine, loadConfig } from '../config/load.ts'
import { warningsOf } from '../config/rules.ts'
import type { Config } from '../config/schema.ts'
import { openSystemLog, type SystemLog } from '../log/system-log.ts'
import { type RunningProxy, serve } from '../main.ts'
import type { CommandContext, Terminal } from './command.ts'
import { exitStatus } from './command.ts'
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
  const log = await openSystemLog(config)
  for (const warning of warningsOf(config)) tell(log, 'warning', warning)
  const proxy = await serve(config, log)
  const onReload = () => void reload(file, log, proxy)
  const onReopen = () => log.reopen()
  process.on('SIGHUP', onReload).on('SIGUSR1', onReopen)
  await untilSignal()
  await proxy.stop()
  process.off('SIGHUP', onReload).off('SIGUSR1', onReopen)
  await log.close()
}

/** Takes the file anew; a fault is told and the old configuration stays. */
async function reload(file: string, log: SystemLog, proxy: RunningProxy): Promise<void> {
  const loaded = loadConfig(file)
  let faults = loaded.ok ? [] : loaded.error.map(configFaultLine)
  try {
    if (loaded.ok) {
      proxy.reload(loaded.value)
      await log.configure(loaded.value)
    }
  } catch (error) {
    if (!(error instanceof OperatingError)) throw error
    faults = [messageOf(error)]
  }
  const ok = faults.length === 0
  log.log.record({ event: 'reload', time: Date.now(), ok, changes: [], faults, restart: [] })
}

function tell(log: SystemLog, what: string, detail: string): void {
  log.log.record({ event: 'service', time: Date.now(), what, detail })
}
