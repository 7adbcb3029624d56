/**
 * `activemx lookup ADDRESS|EMAIL|NAME`: what the running instance knows of it and would do.
 * `activemx lookup ADDRESS --list FILE…`: which of these files hold an address, by which line.
 *
 * With --list no instance is asked and the files are read as they are: no guard sets an entry
 * aside, and every pattern of a cidr: table counts, whatever its action. Status 0: listed; 1: not
 * listed.
 */
import type { Command } from 'commander'
import { OperatingError } from '../base/errors.ts'
import { newPrefixCell, parseAddress } from '../base/ip-address.ts'
import { PrefixColumnsBuilder } from '../base/prefix-columns.ts'
import type { LookupAnswer } from '../edge/look-up.ts'
import { listNameOf } from '../lists/list-name.ts'
import { type ParsedList, parseList } from '../lists/parse-list.ts'
import { readListFile } from '../lists/read-list-file.ts'
import { chooseForm } from '../tables/choose-form.ts'
import type { IpOrigin, IpTable } from '../tables/ip-table.ts'
import { ask, type InstanceOptions, withInstanceOptions } from './ask.ts'
import { type CommandContext, exitStatus, type Terminal } from './command.ts'

interface LookupOptions extends InstanceOptions {
  readonly list?: readonly string[]
  readonly badLinesMax: number
}

/** Adds the command to the program. */
export function addLookup(program: Command, context: CommandContext): void {
  withInstanceOptions(program.command('lookup'))
    .description(
      'which list holds an address, sender or name, by which line of which file, and why',
    )
    .argument('<subject>', 'IP address; of a running instance also local@domain or a host name')
    .option('--list <file...>', 'look in these files, not in the instance; any format')
    .option(
      '--bad-lines-max <share>',
      'share of bad lines above which a file is refused',
      parseShare,
      0.01,
    )
    .action(async (subject: string, options: LookupOptions) => {
      const { list } = options
      if (list === undefined) await lookupInInstance(subject, options, context)
      else lookup(subject, { ...options, list }, context)
    })
}

async function lookupInInstance(
  subject: string,
  options: LookupOptions,
  { terminal, exit }: CommandContext,
): Promise<void> {
  const answer = await ask<LookupAnswer>(options, 'lookup', { subject })
  if (options.json === true) terminal.print(JSON.stringify(answer))
  else {
    terminal.print(`${subject}: ${answer.verdict}: ${answer.why}`)
    for (const { kind, list, entry, file, line } of answer.holdings) {
      const place = file === '' ? '' : `  ${file}:${line}`
      terminal.print(`  ${kind} ${list}  ${entry}${place}`)
    }
  }
  exit(answer.verdict === 'unlisted' ? exitStatus.negative : exitStatus.fine)
}

type FileOptions = LookupOptions & { readonly list: readonly string[] }

function parseShare(text: string): number {
  const share = Number(text)
  if (text !== '' && share >= 0 && share <= 1) return share
  throw new OperatingError('USAGE', `--bad-lines-max ${text}: not a share; give 0 to 1, as 0.01`)
}

function lookup(address: string, options: FileOptions, { terminal, exit }: CommandContext): void {
  checkAddress(address)
  const parsed = parseFiles(options)
  for (const list of parsed) warnOf(list, terminal)
  const table = tableOf(parsed)
  const origins = table.explain(address)
  const match = table.lookup(address)
  if (options.json === true) {
    const lists = match?.lists ?? []
    const answer = { address, listed: match !== undefined, lists, prefix: match?.prefix, origins }
    terminal.print(JSON.stringify({ ...answer, badLines: parsed.flatMap((list) => list.badLines) }))
  } else {
    printText(address, match?.lists ?? [], origins, terminal)
  }
  table.close()
  exit(match === undefined ? exitStatus.negative : exitStatus.fine)
}

function checkAddress(address: string): void {
  const fault = parseAddress(address, newPrefixCell())
  if (fault === '') return
  const remedy = 'give an address as 192.0.2.7 or 2001:db8::7'
  throw new OperatingError(
    'ADDRESS_SYNTAX',
    `address ${JSON.stringify(address)}: ${fault}; ${remedy}`,
  )
}

function parseFiles(options: FileOptions): readonly ParsedList[] {
  const names = new Set<string>()
  return options.list.map((file) => {
    const list = uniqueName(listNameOf(file), names)
    const parsed = parseList(readListFile(file), {
      list,
      file,
      format: 'auto',
      sense: 'any',
      mayHoldNames: true,
      badLinesMax: options.badLinesMax,
    })
    if (parsed.refusal === '') return parsed
    throw new OperatingError('LIST_REFUSED', `list ${file}: refused: ${parsed.refusal}`)
  })
}

/** Two files of the same name are two lists: `drop`, `drop-2`. */
function uniqueName(name: string, taken: Set<string>): string {
  let unique = name
  for (let number = 2; taken.has(unique); number++) unique = `${name}-${number}`
  taken.add(unique)
  return unique
}

function tableOf(parsed: readonly ParsedList[]): IpTable {
  const builder = new PrefixColumnsBuilder()
  for (const list of parsed) builder.append(list.columns)
  return chooseForm({ name: 'prefix', folder: '' }).fromColumns(builder.finish())
}

function warnOf(list: ParsedList, terminal: Terminal): void {
  for (const bad of list.badLines) {
    terminal.warn(`${bad.file}:${bad.line}: skipped: ${bad.reason}: "${bad.text}"`)
  }
  const more = list.badLineCount - list.badLines.length
  if (more > 0) terminal.warn(`${list.file}: ${more} more bad lines skipped`)
}

function printText(
  address: string,
  lists: readonly string[],
  origins: readonly IpOrigin[],
  terminal: Terminal,
): void {
  const answer = lists.length === 0 ? 'not listed' : `listed in ${lists.join(', ')}`
  terminal.print(`${address} is ${answer}`)
  for (const { list, prefix, file = '', line = 0 } of origins) {
    terminal.print(`  ${list}  ${prefix}  ${file}:${line}`)
  }
}
