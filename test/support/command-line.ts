/**
 * The command line in this process: what it prints, what it warns of, and how it ends.
 */
import { runCommandLine } from '../../src/cli/run.ts'

/** How a command ended. */
export interface CommandEnd {
  readonly status: number
  /** Lines of standard output. */
  readonly printed: readonly string[]
  /** Lines of standard error. */
  readonly warned: readonly string[]
}

/** Runs `activemx …`. */
export async function runCommand(...words: readonly string[]): Promise<CommandEnd> {
  const printed: string[] = []
  const warned: string[] = []
  const terminal = {
    print: (line: string) => void printed.push(line),
    warn: (line: string) => void warned.push(line),
  }
  return { status: await runCommandLine(words, terminal), printed, warned }
}
