/**
 * `activemx whitelist mine LOG…`: enters everybody that we have written to in the whitelist.
 *
 * Goes on where the last run ended; --follow goes on until SIGTERM or SIGINT, over rotation. Our
 * own domains are [recipients] of the configuration. The store is written directly: LMDB lets
 * several processes share it, and a running instance sees each entry at once.
 */
import type { Command } from 'commander'
import { OperatingError } from '../base/errors.ts'
import type { Config } from '../config/schema.ts'
import { journeyPolicyOf, readPolicyFiles } from '../edge/policies.ts'
import { type MiningReport, type MiningSink, mineLog } from '../feeds/mine-log.ts'
import { condemnStore, openStore } from '../store/open-store.ts'
import { Store } from '../store/store.ts'
import { WhitelistStore } from '../store/whitelist-store.ts'
import { readConfig } from './ask.ts'
import type { CommandContext } from './command.ts'

interface MineOptions {
  readonly config: string
  readonly follow?: boolean
  readonly json?: boolean
}

/** Adds the commands to the program. */
export function addWhitelist(program: Command, context: CommandContext): void {
  const whitelist = program.command('whitelist').description('senders that skip the active tests')
  whitelist
    .command('mine')
    .description('enter the recipients of outgoing mail (sendmail, Postfix, Exim logs; gzip too)')
    .argument('<log...>', 'mail logs, the oldest first')
    .requiredOption('--config <file>', 'the configuration: our domains, and the store')
    .option('--follow', 'go on with the last log, over rotation, until a signal')
    .option('--json', 'JSON on standard output')
    .action((logs: readonly string[], options: MineOptions) => mine(logs, options, context))
}

async function mine(
  logs: readonly string[],
  options: MineOptions,
  { terminal }: CommandContext,
): Promise<void> {
  const config = readConfig(options.config)
  const report = (what: string, detail: string): void => {
    if (what !== 'opened') terminal.warn(`activemx: store ${what}: ${detail}`)
  }
  const { path, sizeMaxOctets } = config.store
  const condemn = (reason: string): void => condemnStore(path, reason)
  const store = new Store(openStore(path, report), { sizeMaxOctets, report, condemn })
  const sink = sinkOf(new WhitelistStore(store, config.whitelist.expiresMs))
  const aborting = new AbortController()
  const stop = (): void => aborting.abort()
  process.once('SIGINT', stop).once('SIGTERM', stop)
  try {
    for (const [index, log] of logs.entries()) {
      const isFollowed = options.follow === true && index === logs.length - 1
      const follow = isFollowed ? { follow: aborting.signal } : {}
      const report = await mineLog(log, { isOurDomain: ourDomains(config), sink, ...follow })
      terminal.print(options.json === true ? jsonOf(log, report) : lineOf(log, report))
    }
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop)
    await store.close()
  }
}

function sinkOf(whitelist: WhitelistStore): MiningSink {
  return {
    place: (file) => whitelist.place(file),
    enter: (addresses, file, place) => {
      if (whitelist.enter(addresses, file, place, Date.now())) return
      const message = `${file}: the store takes nothing; mend it and mine again`
      throw new OperatingError('STORE_FAULT', message)
    },
  }
}

/** Our domains; `*.example.org` holds every name below it, not itself. */
function ourDomains(config: Config): (domain: string) => boolean {
  const { recipientDomains } = journeyPolicyOf(config, readPolicyFiles(config), false)
  const exact = new Set(recipientDomains.filter((domain) => !domain.startsWith('*.')))
  const below = recipientDomains.filter((domain) => domain.startsWith('*.'))
  return (domain) => exact.has(domain) || below.some((pattern) => domain.endsWith(pattern.slice(1)))
}

function lineOf(log: string, { lines, linesLeftOut, addresses }: MiningReport): string {
  const tail = linesLeftOut === 0 ? '' : `, ${linesLeftOut} too long and left out`
  return `${log}: ${lines} lines, ${addresses} addresses${tail}`
}

function jsonOf(log: string, report: MiningReport): string {
  return JSON.stringify({ log, ...report })
}
