/**
 * The form of a refusal's line: a line that the log's own formats wrote, taken apart at the values
 * that differ from one refusal to the next. So the lines of a flood are the same, octet for octet,
 * as if each had been made from its record (test/io/refusal-lines.test.ts).
 *
 * The values of the sample are as long as such values get, since a text's length decides whether it
 * is cut; a sample that was cut has no form. It knows nothing of gates: the places are the
 * caller's.
 */
import { logLineCharactersMax, logListEntriesMax, logTextCharactersMax } from '../base/limits.ts'
import type { VerdictRecord } from '../journey/record.ts'
import { type LineSettings, verdictLineOf } from './format.ts'
import { isoStamp, syslogStamp } from './stamp.ts'

/** The values that differ, in the sample. */
export const sample = {
  timeMs: 981_173_106_789,
  id: 'idididididid',
  address: 'addressaddressaddressaddressaddressaddr',
  port: 65_432.125,
} as const

/** A piece of a form: text, or what is filled in there. */
export type FormPiece = string | { readonly place: Place }

/** What is filled in. `millisecond` has three digits. */
export type Place = 'second' | 'millisecond' | 'id' | 'address' | 'port'

/**
 * The form of the line of `record`, whose time, id, client and port are those of `sample`, also
 * inside its reply. Undefined: the line would be cut.
 */
export function formOfLine(
  record: VerdictRecord,
  settings: LineSettings,
): readonly FormPiece[] | undefined {
  const isCut =
    record.reply.length > logTextCharactersMax ||
    record.evidence.length > logListEntriesMax ||
    record.evidence.some((text) => text.length > logTextCharactersMax)
  const line = verdictLineOf(record, settings)
  if (isCut || line.length > logLineCharactersMax) return undefined
  return takeApart(`${line}\n`, settings)
}

/** A time to the second, as the lines of these settings show it. */
export function secondOf(timeMs: number, { format }: LineSettings): string {
  return format === 'postfix' ? syslogStamp(timeMs) : isoStamp(timeMs).slice(0, 19)
}

function takeApart(line: string, settings: LineSettings): readonly FormPiece[] {
  const second = secondOf(sample.timeMs, settings)
  const stamp = `${second}.${sample.timeMs % 1000}Z`
  const places = new Map<string, readonly FormPiece[]>([
    [stamp, [{ place: 'second' }, '.', { place: 'millisecond' }, 'Z']],
    [second, [{ place: 'second' }]],
    [sample.id, [{ place: 'id' }]],
    [sample.address, [{ place: 'address' }]],
    [String(sample.port), [{ place: 'port' }]],
  ])
  const texts = [...places.keys()].map((text) => text.replaceAll('.', '\\.'))
  return line
    .split(new RegExp(`(${texts.join('|')})`))
    .filter((piece) => piece !== '')
    .flatMap((piece) => places.get(piece) ?? [piece])
}
