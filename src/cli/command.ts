/**
 * What every command shares: where it writes, and how it ends.
 *
 * A command is a function that adds itself to the program: `addLookup(program, context)`. Its
 * action writes through the terminal and ends by `context.exit(1)` for a negative answer; whatever
 * it throws becomes one line and status 2. Nothing calls process.exit, so commands can be tested in
 * one process.
 */
import { messageOf, OperatingError } from '../base/errors.ts'

/** Where a command writes. */
export interface Terminal {
  /** Standard output; a line end is added. */
  print(line: string): void
  /** Standard error; a line end is added. */
  warn(line: string): void
}

/** The exit statuses. */
export const exitStatus = { fine: 0, negative: 1, fault: 2 } as const

/** One of the exit statuses. */
export type ExitStatus = (typeof exitStatus)[keyof typeof exitStatus]

/** Handed to every command. */
export interface CommandContext {
  readonly terminal: Terminal
  /** Sets the status that the process will end with; the last call counts. */
  exit(status: ExitStatus): void
}

/** The terminal of this process. */
export function terminalOfProcess(): Terminal {
  return {
    print: (line) => void process.stdout.write(`${line}\n`),
    warn: (line) => void process.stderr.write(`${line}\n`),
  }
}

/** A fault as the one line that standard error gets. */
export function faultLine(fault: unknown): string {
  return `activemx: ${messageOf(fault).replaceAll(/\s*\n\s*/g, ' ')}`
}

/** An option that is a whole number. @throws OperatingError */
export function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new OperatingError('USAGE', `${text}: not a whole number`)
}
