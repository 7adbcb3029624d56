/**
 * Lines of Spamhaus DROP in JSON: an object a line, the last one metadata.
 *
 *   {"cidr":"1.10.16.0/20","sblid":"SBL256894","rir":"apnic"}
 *   {"type":"metadata","timestamp":1700000000,"records":1234}
 */
import { messageOf } from '../base/errors.ts'
import type { EntryFault, EntrySink } from './entry-sink.ts'
import { textOf } from './octets.ts'

/** Takes the line [start, end). */
export function takeDropJsonLine(
  sink: EntrySink,
  start: number,
  end: number,
  line: number,
): EntryFault {
  const value = parseOrUndefined(textOf(sink.octets, start, end))
  if (typeof value === 'string') return value
  if (typeof value.cidr === 'string') return sink.takeText(value.cidr, line, false)
  return value.type === 'metadata' ? '' : 'an object without "cidr"'
}

interface DropObject {
  readonly cidr?: unknown
  readonly type?: unknown
}

function parseOrUndefined(text: string): DropObject | string {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : 'not an object'
  } catch (fault) {
    return `not JSON: ${messageOf(fault).slice(0, 60)}`
  }
}
