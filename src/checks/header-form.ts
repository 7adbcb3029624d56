/**
 * Header form: the built-in checks on a message's header, each switchable. RFC 5322 §3.6, §2.1.1,
 * §2.2; RFC 5321 §6.3 (loops).
 */
import { textLineOctetsMax } from '../base/limits.ts'
import type { HeaderField } from '../smtp/header-reader.ts'
import { indexOfLf } from '../smtp/octets.ts'
import type { Finding } from './finding.ts'

/** The names of the checks: words of the configuration and of the findings. */
export const headerChecks = [
  'missing-from',
  'missing-date',
  'missing-message-id',
  'double-from',
  'double-date',
  'double-message-id',
  'received-loop',
  'long-line',
  'forbidden-octet',
] as const

/** One of them. */
export type HeaderCheck = (typeof headerChecks)[number]

/** Which checks are made, and how many Received fields make a loop. */
export interface HeaderForm {
  readonly checks: readonly HeaderCheck[]
  readonly receivedMax: number
}

/** Makes the checks that are switched on; the header stands in [start, end) of octets. */
export function checkHeaderForm(
  form: HeaderForm,
  octets: Uint8Array,
  start: number,
  end: number,
  fields: readonly HeaderField[],
): Finding[] {
  const findings: Finding[] = []
  for (const check of form.checks) {
    const evidence =
      check === 'received-loop'
        ? receivedLoop(fields, form.receivedMax)
        : evidenceOf(check, octets, start, end, fields)
    if (evidence === '') continue
    findings.push({ layer: 'headers', outcome: 'positive', name: check, evidence: [evidence] })
  }
  return findings
}

/** What a check found, '' for nothing. */
function evidenceOf(
  check: Exclude<HeaderCheck, 'received-loop'>,
  octets: Uint8Array,
  start: number,
  end: number,
  fields: readonly HeaderField[],
): string {
  if (check === 'long-line') return longLine(octets, start, end)
  if (check === 'forbidden-octet') return forbiddenOctet(octets, start, end)
  const isMissing = check.startsWith('missing-')
  const name = check.slice(check.indexOf('-') + 1)
  const count = countOf(fields, name)
  if (isMissing) return count === 0 ? `no ${name} field` : ''
  return count > 1 ? `${count} ${name} fields` : ''
}

function receivedLoop(fields: readonly HeaderField[], receivedMax: number): string {
  const count = countOf(fields, 'received')
  return count > receivedMax ? `${count} Received fields` : ''
}

function countOf(fields: readonly HeaderField[], name: string): number {
  let count = 0
  for (const field of fields) if (field.name === name) count++
  return count
}

function longLine(octets: Uint8Array, start: number, end: number): string {
  let lineStart = start
  for (let i = indexOfLf(octets, start, end); i >= 0; i = indexOfLf(octets, i + 1, end)) {
    const lineOctets = i - 1 - lineStart
    if (lineOctets > textLineOctetsMax) return `a line of ${lineOctets} octets`
    lineStart = i + 1
  }
  return ''
}

/** RFC 5322 §2.2: a header is printable ASCII and blanks; octets above 127 need RFC 6532. */
function forbiddenOctet(octets: Uint8Array, start: number, end: number): string {
  for (let i = start; i < end; i++) {
    const octet = octets[i] as number
    const isControl = octet < 0x20 && octet !== 0x09 && octet !== 0x0d && octet !== 0x0a
    if (isControl || octet === 0x7f) return `octet 0x${octet.toString(16).padStart(2, '0')}`
  }
  return ''
}
