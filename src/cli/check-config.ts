/**
 * `activemx check-config`: is this configuration right, and are the files that it names?
 *
 * One line per fault on standard error. Status 0: it will start; 2: it will not. Warnings do not
 * change the status. Prints in which order the lists are asked, since that decides who is refused.
 */
import type { Command } from 'commander'
import { faultLine, loadConfig } from '../config/load.ts'
import { warningsOf } from '../config/rules.ts'
import type { Config } from '../config/schema.ts'
import { type FileReport, reportOnFiles } from '../edge/file-faults.ts'
import { type CommandContext, exitStatus } from './command.ts'

/** In which order a client meets the lists. */
const orderOfLists =
  'order: trusted network > blacklist > trusted name > whitelist > active tests; never-block beats every list'

/** Adds the command. */
export function addCheckConfig(program: Command, { terminal, exit }: CommandContext): void {
  program
    .command('check-config')
    .description('is the configuration right?')
    .requiredOption('--config <file>', 'the configuration')
    .option('--json', 'one JSON object on standard output')
    .action(({ config: file, json }: { readonly config: string; readonly json?: boolean }) => {
      const loaded = loadConfig(file)
      const { faults, warnings } = loaded.ok
        ? withWarnings(loaded.value)
        : { faults: loaded.error, warnings: [] }
      const ok = faults.length === 0
      if (json === true) terminal.print(JSON.stringify({ file, ok, faults, warnings }))
      else {
        for (const fault of faults) terminal.warn(`activemx: ${file}: ${faultLine(fault)}`)
        for (const warning of warnings) terminal.warn(`activemx: ${file}: warning: ${warning}`)
        if (ok) for (const line of [`${file} is right`, orderOfLists]) terminal.print(line)
      }
      exit(ok ? exitStatus.fine : exitStatus.fault)
    })
}

function withWarnings(config: Config): FileReport {
  const { faults, warnings } = reportOnFiles(config)
  return { faults, warnings: [...warningsOf(config), ...warnings] }
}
