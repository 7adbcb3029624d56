/**
 * activemx serve: runs the proxy until SIGTERM or SIGINT; without --config it is the try-out.
 *
 * SIGHUP takes the configuration file anew, SIGUSR1 opens the log file again. The first SIGTERM
 * finishes running transactions, a second one ends the process at once. Status 2 is of what an
 * operator must mend first, status 1 of what another start may cure.
 */

import type { Command } from 'commander'
import { OperatingError } from '../base/errors.ts'
import { faultLine as configFaultLine } from '../config/load.ts'
import { warningsOf } from '../config/rules.ts'
import type { Config } from '../config/schema.ts'
import { loadWithFiles } from '../edge/file-faults.ts'
import { newFatal } from '../edge/running-proxy.ts'
import { openSyslogOverTls } from '../edge/tls-syslog.ts'
import { openSystemLog, type SystemLog } from '../log/system-log.ts'
import { serve } from '../main.ts'
import { type CommandContext, exitStatus, faultLine, type Terminal } from './command.ts'
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
        const signalled = untilSignal()
        const tryOut = await startTryOut(terminal, process.cwd())
        const fault = await Promise.race([signalled, tryOut.failed])
        await tryOut.stop()
        if (fault !== undefined) throw fault
        return
      }
      const config = readConfig(file, terminal)
      if (config === undefined) exit(exitStatus.fault)
      else await serveUntilSignal(config, file).catch(endAs)
    })
  const endAs = (fault: unknown): void => {
    if (!(fault instanceof OperatingError && passing.has(fault.code))) throw fault
    terminal.warn(faultLine(fault))
    exit(exitStatus.negative)
  }
}

/** Faults that may pass by themselves: an address that is not up yet, threads that died. */
const passing: ReadonlySet<string> = new Set(['LISTEN_NOT_HERE', 'THREADS_DIE'])

/** The configuration, or undefined after one line per fault. */
function readConfig(file: string, terminal: Terminal): Config | undefined {
  const loaded = loadWithFiles(file)
  if (loaded.ok) return loaded.value
  for (const fault of loaded.error) terminal.warn(`activemx: ${file}: ${configFaultLine(fault)}`)
  return undefined
}

async function serveUntilSignal(config: Config, file: string): Promise<void> {
  const log = await openSystemLog(config, openSyslogOverTls)
  for (const warning of warningsOf(config)) tell(log, 'warning', warning)
  // All before clients are let in: a signal that ended the process would cost their transactions.
  const signals = new ServiceSignals(log)
  const signalled = untilSignal()
  const fatal = newFatal()
  const proxy = await serve(config, log, { ...fatal, configFile: file }).catch(
    async (fault: unknown) => {
      signals.ignore()
      await log.close()
      throw fault
    },
  )
  const instance = { file, load: () => loadWithFiles(file), log, proxy }
  const control = await openInstanceControl(config, instance).catch(async (error: unknown) => {
    await proxy.stop()
    signals.ignore()
    await log.close()
    throw error
  })
  signals.reload = () => void control.commands.reload()
  // A service that cannot go on ends with a fault, so that its supervisor starts it again.
  const fault = await Promise.race([signalled, fatal.failed])
  await control.server.close()
  await proxy.stop()
  signals.ignore()
  await log.close()
  if (fault !== undefined) throw fault
}

/** SIGHUP and SIGUSR1. A SIGHUP that comes before there is anything to reload waits for that. */
class ServiceSignals {
  #reopen: () => void
  #reload: (() => void) | undefined
  #isReloadDue = false

  constructor(log: SystemLog) {
    this.#reopen = () => log.reopen()
    process.on('SIGHUP', () => this.#onReload()).on('SIGUSR1', () => this.#reopen())
  }

  set reload(reload: () => void) {
    this.#reload = reload
    if (this.#isReloadDue) reload()
  }

  /** To the end: who heard them no longer would be ended by them, and the log's last words lost. */
  ignore(): void {
    this.#reload = () => {}
    this.#reopen = () => {}
  }

  #onReload(): void {
    if (this.#reload === undefined) this.#isReloadDue = true
    else this.#reload()
  }
}

function tell(log: SystemLog, what: string, detail: string): void {
  log.log.record({ event: 'service', time: Date.now(), what, detail })
}
