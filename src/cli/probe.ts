/**
 * `activemx probe ADDRESS|EMAIL`: asks about a host or a sender now, and shows the whole dialogue.
 *
 * With --dry-run this process asks, and nothing is kept; else the running instance asks, and keeps
 * the verdict. Either way the guard, the budgets and the rules of probing hold. Status 1: found.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import { OperatingError } from '../base/errors.ts'
import { feedWaitMs } from '../base/limits.ts'
import type { Config } from '../config/schema.ts'
import { Lists, type ListsListener } from '../edge/lists.ts'
import { dnsSettingsOf, probeSettingsOf, readNamePatterns } from '../edge/probe-settings.ts'
import { askBroker } from '../edge/probing-commands.ts'
import { reasonsOf } from '../lists/list-report.ts'
import { ProbeBroker } from '../probes/broker.ts'
import { converse } from '../probes/converse.ts'
import { DnsNameService } from '../probes/dns.ts'
import type { TestResult } from '../probes/tools.ts'
import { MemoryVerdictCache } from '../probes/verdict-cache.ts'
import { ask, type InstanceOptions, readConfig, withInstanceOptions } from './ask.ts'
import { type CommandContext, exitStatus, type Terminal } from './command.ts'

type TestName = 'dialup' | 'relay' | 'user'

interface ProbeOptions extends InstanceOptions {
  readonly test?: TestName
  readonly dryRun?: boolean
}

/** Adds the command to the program. */
export function addProbe(program: Command, context: CommandContext): void {
  const tests = new Option('--test <name>', 'only this test').choices(['dialup', 'relay', 'user'])
  const command = program
    .command('probe')
    .description('ask about a host or a sender now, and show the whole dialogue')
    .argument('<subject>', 'an IP address, or the address of a sender')
  withInstanceOptions(command)
    .addOption(tests)
    .option('--dry-run', 'ask from this process; keep nothing (needs --config)')
    .action((subject: string, options: ProbeOptions) => probe(subject, options, context))
}

async function probe(
  subject: string,
  options: ProbeOptions,
  { terminal, exit }: CommandContext,
): Promise<void> {
  const given = { subject, test: options.test ?? '' }
  const result =
    options.dryRun === true
      ? await askHere(subject, options, terminal)
      : await ask<TestResult>(options, 'probe', given)
  if (options.json === true) terminal.print(JSON.stringify(result))
  else printResult(result, terminal)
  exit(result.finding.outcome === 'positive' ? exitStatus.negative : exitStatus.fine)
}

function printResult({ finding, dialogue }: TestResult, terminal: Terminal): void {
  // Where nobody was talked to, the facts are all that there is to tell.
  const said = dialogue.filter((line) => !finding.evidence.includes(line))
  for (const line of said) terminal.print(`  ${line}`)
  terminal.print(`${finding.layer}: ${finding.outcome}, ${finding.name}`)
  for (const fact of finding.evidence) terminal.print(`  because: ${fact}`)
}

async function askHere(
  subject: string,
  options: ProbeOptions,
  terminal: Terminal,
): Promise<TestResult> {
  if (options.config === undefined) {
    throw new OperatingError('USAGE', 'probe --dry-run: name the configuration with --config')
  }
  const config = readConfig(options.config)
  const names = new DnsNameService(dnsSettingsOf(config))
  const cache = mkdtempSync(join(tmpdir(), 'activemx-probe-'))
  let lists: Lists | undefined
  try {
    // Nothing was fetched into this folder before: without its feeds it would spare nobody.
    lists = await Lists.open(exemptionsOnly(config, cache), listenerOf(terminal), feedWaitMs)
    const broker = brokerOf(config, names, lists, options.test)
    return await askBroker(broker, lists, subject, options.test ?? '')
  } finally {
    names.close()
    await lists?.close()
    rmSync(cache, { recursive: true, force: true })
  }
}

/** A list of exempt hosts that could not be had is told: its hosts are asked. */
function listenerOf(terminal: Terminal): ListsListener {
  return {
    onReport: (report) => {
      const { kind, list, outcome } = report
      const why = reasonsOf(report).join('; ')
      if (outcome !== 'loaded') terminal.warn(`${kind} list ${list}: ${outcome}: ${why}`)
    },
    onFault: (detail) => terminal.warn(detail),
    onRules: () => undefined,
    onChange: () => undefined,
  }
}

/**
 * Of the lists, only the hosts that the tests leave alone matter here. What the running instance
 * keeps of its lists stays as it is.
 */
function exemptionsOnly(config: Config, cache: string): Config {
  return { ...config, lists: { ...config.lists, blacklist: [], trusted: [], keep: 'files', cache } }
}

/** A broker of its own with the tests asked for switched on, whatever the configuration says. */
function brokerOf(
  config: Config,
  names: DnsNameService,
  exemptions: Lists,
  test: TestName | undefined,
): ProbeBroker {
  const modeOf = (name: TestName) => (test === undefined || test === name ? 'observe' : 'off')
  const modes = { dialup: modeOf('dialup'), relay: modeOf('relay'), user: modeOf('user') } as const
  return new ProbeBroker({
    settings: { ...probeSettingsOf(config, config.recipients.domains), modes },
    names,
    patterns: readNamePatterns(config, () => undefined),
    converse,
    cache: new MemoryVerdictCache(100),
    exemptions,
    now: () => performance.now(),
    wallNow: Date.now,
    onProbe: () => undefined,
  })
}
