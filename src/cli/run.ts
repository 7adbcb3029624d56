/**
 * runCommandLine: builds the program out of its commands, runs one, and turns every ending into a
 * status.
 */
import { createRequire } from 'node:module'
import { Command, CommanderError } from 'commander'
import { packageRoot } from '../addon/package-root.ts'
import {
  type CommandContext,
  type ExitStatus,
  exitStatus,
  faultLine,
  type Terminal,
} from './command.ts'

/** Adds a command to the program. */
type AddCommand = (program: Command, context: CommandContext) => void

/**
 * Every command, in the order of --help. One that is named is loaded alone: the TLS daemon starts
 * in half the time that way. The commands of a running instance have many names.
 */
const commands: readonly { readonly name?: string; readonly load: () => Promise<AddCommand> }[] = [
  { name: 'serve', load: async () => (await import('./serve.ts')).addServe },
  { name: 'check-config', load: async () => (await import('./check-config.ts')).addCheckConfig },
  { name: 'show-config', load: async () => (await import('./show-config.ts')).addShowConfig },
  { name: 'lookup', load: async () => (await import('./lookup.ts')).addLookup },
  { name: 'list', load: async () => (await import('./list.ts')).addList },
  { load: async () => (await import('./instance.ts')).addInstanceCommands },
  { name: 'probe', load: async () => (await import('./probe.ts')).addProbe },
  { name: 'whitelist', load: async () => (await import('./whitelist.ts')).addWhitelist },
  { name: 'tls', load: async () => (await import('./tls.ts')).addTls },
]

/** Runs `activemx …`; the status says how it ended. Never throws. */
export async function runCommandLine(
  words: readonly string[],
  terminal: Terminal,
): Promise<ExitStatus> {
  let status: ExitStatus = exitStatus.fine
  const program = newProgram(terminal, () => helpOf(program, words))
  const context: CommandContext = {
    terminal,
    exit(ending) {
      status = ending
    },
  }
  const named = commands.filter(({ name }) => name !== undefined && name === words[0])
  for (const { load } of named.length > 0 ? named : commands) (await load())(program, context)
  try {
    await program.parseAsync([...words], { from: 'user' })
    return status
  } catch (fault) {
    if (fault instanceof CommanderError && fault.code === 'commander.help') {
      const asked = ['activemx', ...words].join(' ')
      terminal.warn(`${asked}: name a command; see ${helpOf(program, words)}`)
    }
    return endingOf(fault, terminal)
  }
}

function newProgram(terminal: Terminal, help: () => string): Command {
  const program = new Command('activemx')
  const write = (to: (line: string) => void) => (text: string) => to(text.replace(/\n$/, ''))
  return program
    .description('A native-accelerated SMTP edge: active filtering proxy and shared TLS sessions')
    .version(packageVersion(), '--version', 'print the version')
    .exitOverride()
    .configureOutput({
      writeOut: write(terminal.print),
      // The whole help, where a command is missing: one line of `endingOf` stands for it.
      writeErr: () => {},
      outputError: (text) => {
        const line = text
          .trimEnd()
          .replace(/^error: /, '')
          .replaceAll(/\s*\n\s*/g, ' ')
        terminal.warn(`activemx: ${line}; see ${help()}`)
      },
    })
}

/** The command that explains these words. */
function helpOf(program: Command, [first = '']: readonly string[]): string {
  return program.commands.some((command) => command.name() === first)
    ? `activemx ${first} --help`
    : 'activemx --help'
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
