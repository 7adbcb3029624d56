#!/usr/bin/env node
/**
 * The command line: one file per command beside this one.
 *
 * Exit status: 0 fine, 1 a negative answer (not listed, not valid), 2 misuse or fault. Errors stand on
 * standard error in one line that names the thing, the value and the remedy. Every command has --help and
 * --json.
 */
import { terminalOfProcess } from './command.ts'
import { runCommandLine } from './run.ts'

process.exitCode = await runCommandLine(process.argv.slice(2), terminalOfProcess())
