#!/usr/bin/env node
/**
 * The command line: one file per command beside this one.
 *
 * Exit status: 0 fine, 1 a negative answer (not listed, not valid), 2 misuse or fault. Errors stand
 * on standard error in one line that names the thing, the value and the remedy. Every command has
 * --help and --json.
 */
import { exitStatus, terminalOfProcess } from './command.ts'
import { runCommandLine } from './run.ts'

endQuietly(process.stdout)
endQuietly(process.stderr)
process.exitCode = await runCommandLine(process.argv.slice(2), terminalOfProcess())

/**
 * Whoever read our output has gone: a service goes on without it, any other command has no more to
 * do.
 */
function endQuietly(stream: NodeJS.WriteStream): void {
  stream.on('error', (fault: NodeJS.ErrnoException) => {
    if (fault.code !== 'EPIPE') throw fault
    if (process.argv[2] !== 'serve') process.exit(exitStatus.fine)
  })
}
