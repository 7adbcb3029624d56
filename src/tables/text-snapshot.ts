/**
 * The snapshot of the reference table: a checked text, written whole or not at all.
 *
 *   activemx-text-table 1 SHA-256 of all that follows
 *   {"lists":["drop"],"files":["drop.netset"]}
 *   192.0.2.0/24 0 0 7          prefix, list id, file id, line; `!` before the prefix excludes
 *
 * It is for debugging and for machines without the addon; the native snapshot is another format,
 * and each refuses the other by its first line.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { messageOf, OperatingError } from '../base/errors.ts'
import { newPrefixCell, parsePrefix } from '../base/ip-address.ts'
import {
  type FamilyColumns,
  type PrefixColumns,
  PrefixColumnsBuilder,
  prefixText,
} from '../base/prefix-columns.ts'
import { writeDurable } from '../files/durable-file.ts'

const magic = 'activemx-text-table 1'

/** Writes columns as a snapshot. Throws OperatingError FILE_WRITE. */
export function writeTextSnapshot(path: string, columns: PrefixColumns): void {
  const names = JSON.stringify({ lists: columns.lists, files: columns.files })
  const lines = [names, ...linesOf(4, columns.v4), ...linesOf(6, columns.v6), '']
  const body = Buffer.from(lines.join('\n'))
  writeDurable(path, [Buffer.from(`${magic} ${checksum(body)}\n`), body])
}

function* linesOf(family: 4 | 6, entries: FamilyColumns): Iterable<string> {
  for (let at = 0; at < entries.count; at++) {
    const mark = entries.excluded[at] === 1 ? '!' : ''
    const ids = `${entries.listIds[at]} ${entries.fileIds[at]} ${entries.lines[at]}`
    yield `${mark}${prefixText(family, entries, at)} ${ids}`
  }
}

/**
 * Reads a snapshot. Throws OperatingError SNAPSHOT_UNREADABLE, SNAPSHOT_FOREIGN, SNAPSHOT_DAMAGED.
 */
export function readTextSnapshot(path: string): PrefixColumns {
  const content = readOrThrow(path)
  const headEnd = content.indexOf('\n')
  const head = content.subarray(0, Math.max(headEnd, 0)).toString('latin1')
  if (!head.startsWith(`${magic} `)) {
    throw fault('SNAPSHOT_FOREIGN', path, `does not begin with "${magic}"`)
  }
  const body = content.subarray(headEnd + 1)
  if (head.slice(magic.length + 1) !== checksum(body)) {
    throw fault('SNAPSHOT_DAMAGED', path, 'its checksum differs')
  }
  return parseBody(body.toString('utf8'))
}

function readOrThrow(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw fault('SNAPSHOT_UNREADABLE', path, messageOf(cause))
  }
}

function fault(code: string, path: string, what: string): OperatingError {
  return new OperatingError(
    code,
    `snapshot ${path}: ${what}; load the lists again to make a new one`,
  )
}

function checksum(body: Uint8Array): string {
  return createHash('sha256').update(body).digest('hex')
}

/** The checksum has proved who wrote the body, so its grammar is not judged again. */
function parseBody(body: string): PrefixColumns {
  const [names = '{}', ...lines] = body.trimEnd().split('\n')
  const { lists, files } = JSON.parse(names) as { lists: string[]; files: string[] }
  const builder = new PrefixColumnsBuilder()
  for (const name of lists) builder.listId(name)
  for (const path of files) builder.fileId(path)
  const cell = newPrefixCell()
  for (const line of lines) {
    const [prefix = '', list, file, number] = line.split(' ')
    const isExcluded = prefix.startsWith('!')
    parsePrefix(isExcluded ? prefix.slice(1) : prefix, cell)
    builder.push(cell, Number(list), Number(file), Number(number), isExcluded)
  }
  return builder.finish()
}
