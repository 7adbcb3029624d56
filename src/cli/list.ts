/**
 * `activemx list NAME show|add|remove|import|export`: the lists that a running instance keeps.
 *
 * `dynamic` (addresses that feedback or an operator entered) and `whitelist` (senders). Lists in
 * files are changed in their files. Status 1: `remove` found nothing.
 */
import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { messageOf, OperatingError } from '../base/errors.ts'
import {
  controlEntriesMax,
  controlEntriesOctetsMax,
  controlEntryCharactersMax,
} from '../base/limits.ts'
import { parseDurationMs } from '../base/units.ts'
import { ask, type InstanceOptions, withInstanceOptions } from './ask.ts'
import { type CommandContext, exitStatus, type Terminal } from './command.ts'
import type { ImportAnswer } from './list-commands.ts'

interface ListOptions extends InstanceOptions {
  readonly ttl?: string
  readonly reason?: string
  readonly format?: string
}

interface Entry {
  readonly entry: string
  readonly reason?: string
  readonly expiresAtMs?: number
  /** What asks for the entries behind it, where its name does not. */
  readonly next?: string
}

const actions = ['show', 'add', 'remove', 'import', 'export'] as const

/** Adds the command. */
export function addList(program: Command, context: CommandContext): void {
  withInstanceOptions(program.command('list').description('the lists that the instance keeps'))
    .argument('<name>', 'dynamic or whitelist')
    .argument('<action>', actions.join(', '))
    .argument('[entry]', 'address, network or sender; for import a file, - = standard input')
    .option(
      '--ttl <time>',
      'how long the entry lives, 0 = for ever (default: feedback.ttl, whitelist.expires)',
    )
    .option('--reason <text>', 'why')
    .addOption(new Option('--format <form>', 'of export').choices(['plain', 'json']))
    .action((name: string, action: string, entry: string | undefined, options: ListOptions) =>
      run(name, action, entry, options, context),
    )
}

async function run(
  list: string,
  action: string,
  entry: string | undefined,
  options: ListOptions,
  context: CommandContext,
): Promise<void> {
  const { terminal, exit } = context
  if (action === 'show' || action === 'export') {
    await showEntries(list, action, options, terminal)
    return
  }
  if (entry === undefined)
    throw new OperatingError('USAGE', `list ${list} ${action}: give an entry`)
  if (action === 'add') {
    const answer = await ask<unknown>(options, 'list-add', { list, entry, ...given(options) })
    terminal.print(options.json === true ? JSON.stringify(answer) : `${entry} is in ${list}`)
  } else if (action === 'remove') {
    const answer = await ask<{ removed: boolean }>(options, 'list-remove', { list, entry })
    const said = answer.removed ? `${entry} is no longer in ${list}` : `${entry} was not in ${list}`
    terminal.print(options.json === true ? JSON.stringify(answer) : said)
    exit(answer.removed ? exitStatus.fine : exitStatus.negative)
  } else if (action === 'import') {
    await importFile(list, entry, options, context)
  } else {
    throw new OperatingError('USAGE', `list ${list} ${action}: write ${actions.join(', ')}`)
  }
}

/** Part by part, so that a list of millions is never in one piece; but for JSON. */
async function showEntries(
  list: string,
  action: 'show' | 'export',
  options: ListOptions,
  { print }: Terminal,
): Promise<void> {
  const isJson = options.json === true || (action === 'export' && options.format === 'json')
  const all: Entry[] = []
  for (let after = ''; ; ) {
    const part = await ask<readonly Entry[]>(options, 'list-show', { list, after })
    const last = part.at(-1)
    const next = last?.next ?? last?.entry
    // An instance of before an upgrade knows no `after` and says the same again.
    if (next === undefined || next === after) break
    after = next
    if (isJson) for (const { next: _, ...entry } of part) all.push(entry)
    else for (const one of part) print(action === 'export' ? exported(one.entry) : shownEntry(one))
  }
  if (isJson) print(JSON.stringify(all))
}

/**
 * One entry a line; `#` at its start or behind a blank begins a comment (within a word it may be
 * of a local part). A line that is refused is said and skipped.
 */
async function importFile(
  list: string,
  file: string,
  options: ListOptions,
  { terminal, exit }: CommandContext,
): Promise<void> {
  const words = given(options)
  let added = 0
  let refused = 0
  for (const part of partsOf(readText(file))) {
    const entries = part.map(({ entry }) => entry)
    const answer = await ask<ImportAnswer>(options, 'list-import', { list, entries, ...words })
    added += answer.added
    refused += answer.refused.length
    for (const { at, why } of answer.refused) {
      terminal.warn(`${file}:${part[at]?.line}: skipped: ${why}`)
    }
  }
  const answer = { added, refused }
  terminal.print(
    options.json === true ? JSON.stringify(answer) : `${added} added, ${refused} refused`,
  )
  if (refused > 0) exit(exitStatus.negative)
}

interface ImportLine {
  readonly line: number
  readonly entry: string
}

/** The entries of a text in parts of one request each; an empty text asks all the same. */
function* partsOf(text: string): Generator<readonly ImportLine[]> {
  let part: ImportLine[] = []
  let room = controlEntriesOctetsMax
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    const entry = line
      .replace(/(?:^|\s)#.*/, '')
      .trim()
      .slice(0, controlEntryCharactersMax)
    if (entry === '') continue
    if (part.length === controlEntriesMax || entry.length > room) {
      yield part
      part = []
      room = controlEntriesOctetsMax
    }
    part.push({ line: at + 1, entry })
    room -= entry.length
  }
  yield part
}

/** ECMA-262 §21.4.1.1: beyond it nothing is a date. */
const dateMsMax = 8.64e15

/** So that an import does not take it for a comment. */
function exported(entry: string): string {
  return entry.startsWith('#') ? `<${entry}>` : entry
}

function shownEntry({ entry, reason = '', expiresAtMs = 0 }: Entry): string {
  const hasEnd = expiresAtMs !== 0 && expiresAtMs <= dateMsMax
  const until = hasEnd ? `  until ${new Date(expiresAtMs).toISOString()}` : ''
  return `${entry}${until}${reason === '' ? '' : `  ${reason}`}`
}

function given({ ttl, reason }: ListOptions): Readonly<Record<string, unknown>> {
  const ttlMs = ttl === undefined ? undefined : parseDurationMs(ttl)
  if (ttl !== undefined && ttlMs === undefined) {
    throw new OperatingError('USAGE', `--ttl ${ttl}: write a time such as 24h`)
  }
  return { ...(ttlMs === undefined ? {} : { ttlMs }), ...(reason === undefined ? {} : { reason }) }
}

function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (cause) {
    const message = `import ${file}: ${messageOf(cause)}; name a readable file`
    throw new OperatingError('USAGE', message, { cause })
  }
}
