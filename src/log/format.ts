/**
 * A record as one line without its line end: json, logfmt, or the shape of Postfix's log.
 *
 * json and logfmt show every field of fields.ts in its order, also the empty ones, so that keys are
 * stable. A line that would be too long is made again with texts and lists cut shorter.
 */
import { logLineCharactersMax, logListEntriesMax, logTextCharactersMax } from '../base/limits.ts'
import type { VerdictRecord } from '../journey/record.ts'
import { jsonText, logfmtText } from './escape.ts'
import { fieldsOf } from './fields.ts'
import { postfixLine, postfixVerdictLine } from './postfix-line.ts'
import type { LogEvent, LogRecord } from './records.ts'
import { isoStamp, syslogStamp } from './stamp.ts'

/** The forms of a line; the words of `log.format`. */
export type LogFormat = 'json' | 'logfmt' | 'postfix'

/** What a line is made with. */
export interface LineSettings {
  readonly format: LogFormat
  /** Name of the host and program in front of postfix lines. */
  readonly host: string
  readonly tag: string
  /** Postfix lines without time and host: syslog puts them there itself. */
  readonly isSyslog: boolean
}

/** How much of a record a line may show. */
export interface LineBounds {
  readonly textCharacters: number
  readonly listEntries: number
}

const usual: LineBounds = { textCharacters: logTextCharactersMax, listEntries: logListEntriesMax }
const short: LineBounds = { textCharacters: 64, listEntries: 8 }

/** The line of a record. */
export function lineOf(record: LogRecord, settings: LineSettings): string {
  return lineWithin(record.event, record, settings)
}

/**
 * The line of a verdict as the journey made it: there is one for every message, so none is copied.
 */
export function verdictLineOf(record: VerdictRecord, settings: LineSettings): string {
  return lineWithin('verdict', record, settings)
}

function lineWithin(
  event: LogEvent,
  record: LogRecord | VerdictRecord,
  settings: LineSettings,
): string {
  const line = boundedLine(event, record, settings, usual)
  return line.length <= logLineCharactersMax ? line : boundedLine(event, record, settings, short)
}

function boundedLine(
  event: LogEvent,
  record: LogRecord | VerdictRecord,
  settings: LineSettings,
  bounds: LineBounds,
): string {
  if (settings.format === 'json') return jsonLine(event, record, bounds)
  if (settings.format === 'logfmt') return logfmtLine(event, record, bounds)
  const line =
    'event' in record && record.event !== 'verdict'
      ? postfixLine(record, bounds)
      : postfixVerdictLine(record, bounds)
  if (settings.isSyslog) return line
  return `${syslogStamp(record.time)} ${settings.host} ${settings.tag}[${process.pid}]: ${line}`
}

type Values = Readonly<Record<string, unknown>>

/** What stands before a value, by event: `,"key":`. */
const jsonFields = new Map(
  Object.entries(fieldsOf).map(([event, fields]) => [
    event,
    fields.map(({ key, name }) => ({ lead: `,"${key}":`, name })),
  ]),
)

function jsonLine(event: LogEvent, record: LogRecord | VerdictRecord, bounds: LineBounds): string {
  const values = record as unknown as Values
  let line = `{"time":"${isoStamp(record.time)}","event":"${event}"`
  for (const { lead, name } of jsonFields.get(event) ?? []) {
    line += lead + jsonValue(values[name], bounds)
  }
  return `${line}}`
}

function jsonValue(value: unknown, bounds: LineBounds): string {
  if (typeof value === 'string') return jsonText(value, bounds.textCharacters)
  if (Array.isArray(value)) return jsonList(value, bounds)
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '""'
}

function jsonList(list: readonly unknown[], { listEntries, textCharacters }: LineBounds): string {
  if (list.length === 0) return '[]'
  let text = '['
  const shown = Math.min(list.length, listEntries)
  for (let at = 0; at < shown; at++) {
    text += (at === 0 ? '' : ',') + jsonText(String(list[at]), textCharacters)
  }
  return list.length > shown ? `${text},"+${list.length - shown}"]` : `${text}]`
}

function logfmtLine(
  event: LogEvent,
  record: LogRecord | VerdictRecord,
  bounds: LineBounds,
): string {
  const values = record as unknown as Values
  let line = `time=${isoStamp(record.time)} event=${event}`
  for (const { key, name } of fieldsOf[event]) {
    line += ` ${key}=${logfmtValue(values[name], bounds)}`
  }
  return line
}

function logfmtValue(value: unknown, { listEntries, textCharacters }: LineBounds): string {
  if (typeof value === 'string') return logfmtText(value, textCharacters)
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (!Array.isArray(value)) return '""'
  const shown = value.slice(0, listEntries).map((entry) => String(entry).slice(0, textCharacters))
  if (value.length > shown.length) shown.push(`+${value.length - shown.length}`)
  return logfmtText(shown.join(', '), shown.length * (textCharacters + 2) + 1)
}
