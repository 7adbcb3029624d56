/**
 * runCommandLine: builds the program out of its commands, runs one, and turns every ending into a
 * status.
 */
import { createRequire } from 'node:module'
import { Command, CommanderError } from 'commander'
import { packageRoot } from '../addon/package-root.ts'
import { addCheckConfig } from './check-config.ts'
import {
  type CommandContext,
  type ExitStatus,
  exitStatus,
  faultLine,
  type Terminal,
} from './command.ts'
import { addInstanceCommands } from './instance.ts'
import { addList } from './list.ts'
import { addLookup } from './lookup.ts'
import { addProbe } from './probe.ts'
import { addServe } from './serve.ts'
import { addShowConfig } from './show-config.ts'
import { addTls } from './tls.ts'
import { addWhitelist } from './whitelist.ts'

/** Every command, in the order of --help. */
const commands: readonly ((program: Command, context: CommandContext) => void)[] = [
  addServe,
  addCheckConfig,
  addShowConfig,
  addLookup,
  addList,
  addInstanceCommands,
  addProbe,
  addWhitelist,
  addTls,
]

/** Runs `activemx …`; the status says how it ended. Never throws. */
export async function runCommandLine(
  words: readonly string[],
  terminal: Terminal,
): Promise<ExitStatus> {
  let status: ExitStatus = exitStatus.fine
  const program = newProgram(terminal)
  const context: CommandContext = {
    terminal,
    exit(ending) {
      status = ending
    },
  }
  for (const add of commands) add(program, context)
  try {
    await program.parseAsync([...words], { from: 'user' })
    return status
  } catch (fault) {
    return endingOf(fault, terminal)
  }
}

function newProgram(terminal: Terminal): Command {
  const program = new Command('activemx')
  const write = (to: (line: string) => void) => (text: string) => to(text.replace(/\n$/, ''))
  return program
    .description('A native-accelerated SMTP edge: active filtering proxy and shared TLS sessions')
    .version(packageVersion(), '--version', 'print the version')
    .exitOverride()
    .configureOutput({
      writeOut: write(terminal.print),
      writeErr: (text) => terminal.warn(text.trimEnd().replaceAll(/\s*\n\s*/g, ' ')),
      outputError: (text, warn) => warn(text.replace(/^error: /, 'activemx: ')),
    })
}

/** --help and --version end by an exception too. Misuse has been printed already. */
function endingOf(fault: unknown, terminal: Terminal): ExitStatus {
  if (fault instanceof CommanderError) {
    return fault.exitCode === 0 ? exitStatus.fine : exitStatus.fault
  }
  terminal.warn(faultLine(fault))
  return exitStatus.fault
}

function packageVersion(): string {
  const require = createRequire(import.meta.url)
  return (require(`${packageRoot()}/package.json`) as { version: string }).version
}
