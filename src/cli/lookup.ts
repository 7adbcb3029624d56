/**
 * `activemx lookup ADDRESS --list FILE…`: which lists hold an address, by which line of which file.
 *
 * The files are read as they are: no guard sets an entry aside here, and every pattern of a cidr: table
 * counts, whatever its action. Status 0: listed; 1: not listed.
 */
import type { Command } from 'commander'
import { OperatingError } from '../base/errors.ts'
import { newPrefixCell, parseAddress } from '../base/ip-address.ts'
import { PrefixColumnsBuilder } from '../base/prefix-columns.ts'
import { listNameOf } from '../lists/list-name.ts'
import { type ParsedList, parseList } from '../lists/parse-list.ts'
import { readListFile } from '../lists/read-list-file.ts'
import { chooseForm } from '../tables/choose-form.ts'
import type { IpOrigin, IpTable } from '../tables/ip-table.ts'
import { type CommandContext, exitStatus, type Terminal } from './command.ts'

interface LookupOptions {
  readonly list: readonly string[]
  readonly badLinesMax: number
  readonly json?: boolean
}

/** Adds the command to the program. */
export function addLookup(program: Command, context: CommandContext): void {
  program
    .command('lookup')
    .description('which list holds an address, by which line of which file')
    .argument('<address>', 'IPv4 or IPv6 address')
    .requiredOption('--list <file...>', 'list files: their format is told by their content')
    .option(
      '--bad-lines-max <share>',
      'share of bad lines above which a file is refused',
      parseShare,
      0.01,
    )
    .option('--json', 'one JSON object on standard output')
    .action((address: string, options: LookupOptions) => lookup(address, options, context))
}

function parseShare(text: string): number {
  const share = Number(text)
  if (text !== '' && share >= 0 && share <= 1) return share
  throw new OperatingError('USAGE', `--bad-lines-max ${text}: not a share; give 0 to 1, as 0.01`)
}

function lookup(address: string, options: LookupOptions, { terminal, exit }: CommandContext): void {
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

function parseFiles(options: LookupOptions): readonly ParsedList[] {
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
