/**
 * `activemx tls …`: the shared TLS sessions: the daemon, the wrapper for any program, the figures.
 */
import type { Command } from 'commander'
import type { CommandContext } from './command.ts'
import { addTlsDaemon } from './tls-daemon.ts'
import { addTlsSessions } from './tls-sessions.ts'
import { addTlsWrap } from './tls-wrap.ts'

/** Adds the commands to the program. */
export function addTls(program: Command, context: CommandContext): void {
  const tls = program.command('tls').description('one TLS session for many processes')
  addTlsDaemon(tls, context)
  addTlsSessions(tls, context)
  addTlsWrap(tls, context)
}
