#!/usr/bin/env node
/**
 * The command line: one file per command beside this one.
 *
 * Exit status: 0 fine, 1 a negative answer (not listed, not valid), 2 misuse or fault. Errors stand
 * on standard error in one line that names the thing, the value and the remedy. Every command has
 * --help and --json.
 */
import { exitStatus, faultLine, terminalOfProcess } from './command.ts'
import { runCommandLine } from './run.ts'

endQuietly(process.stdout)
endQuietly(process.stderr)
process.exitCode = await runCommandLine(process.argv.slice(2), terminalOfProcess())

/**
 * Whoever read our output has gone, or its disk is full: a service goes on without it, any other
 * command has no more to do.
 */
function endQuietly(stream: NodeJS.WriteStream): void {
  stream.on('error', (fault: NodeJS.ErrnoException) => {
    if (process.argv[2] === 'serve') return
    if (fault.code === 'EPIPE') process.exit(exitStatus.fine)
    if (stream === process.stdout) process.stderr.write(`${faultLine(fault)}\n`)
    process.exit(exitStatus.fault)
  })
}
