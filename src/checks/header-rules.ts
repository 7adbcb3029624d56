/**
 * Header rules: the operator's patterns on a message's header (B22).
 *
 * One rule a line, `#` begins a comment line:
 *
 *   Subject: /cheap\s+watches/i   refuse     554 5.6.0 No watches here
 *   X-Mailer: /^MassSender/       observe
 *   *: /\bviagra\b/i              tempfail
 *
 * Header name (`*`: every field), pattern between slashes (RE2 syntax, `\/` for a slash; flags i,
 * s), action refuse | tempfail | observe, and for the first two a reply of one's own, in which
 * `{id}` becomes the id of the verdict. A pattern
 * sees the unfolded value as UTF-8, not decoded further. RE2 matches in linear time, so no message
 * can hold a thread (a backtracking RegExp never meets peer octets).
 */
import { RE2JS } from 're2js'
import {
  headerEvidenceOctetsMax,
  headerPatternCharactersMax,
  headerRulesMax,
  headerValueOctetsMax,
} from '../base/limits.ts'
import { type HeaderField, unfoldedValue } from '../smtp/header-reader.ts'
import { textOf } from '../smtp/octets.ts'
import type { Finding } from './finding.ts'

/** What a rule asks for; the mode of the header test may soften it. */
export type HeaderAction = 'refuse' | 'tempfail' | 'observe'

/** One rule. */
export interface HeaderRule {
  /** Lower case, or `*`. */
  readonly header: string
  readonly pattern: RE2JS
  readonly action: HeaderAction
  /** Code, enhanced code and text, or '' for the usual reply. */
  readonly reply: string
  /** `file:line`. */
  readonly source: string
}

/** What a rule or a built-in check found in a header. */
export interface HeaderMatch {
  readonly finding: Finding
  readonly action: HeaderAction
  readonly reply: string
}

/** Reads a rules file. @returns the rules, and a message for every line that is none. */
export function parseHeaderRules(
  text: string,
  file: string,
): { readonly rules: readonly HeaderRule[]; readonly faults: readonly string[] } {
  const rules: HeaderRule[] = []
  const faults: string[] = []
  text.split(/\r?\n/).forEach((line, index) => {
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#')) return
    const source = `${file}:${index + 1}`
    const rule = parseRule(trimmed, source)
    if (typeof rule === 'string') faults.push(`${source}: ${rule} in: ${trimmed.slice(0, 200)}`)
    else if (rules.length === headerRulesMax)
      faults.push(`${source}: more than ${headerRulesMax} rules`)
    else rules.push(rule)
  })
  return { rules, faults }
}

/** Holds the fields against the rules, in the order of the file. O(fields × rules × octets). */
export function matchHeaderRules(
  rules: readonly HeaderRule[],
  octets: Uint8Array,
  fields: readonly HeaderField[],
): HeaderMatch[] {
  const matches: HeaderMatch[] = []
  for (const rule of rules) {
    const field = fields.find((candidate) => isMatch(rule, octets, candidate))
    if (field === undefined) continue
    const value = unfoldedValue(octets, field, headerEvidenceOctetsMax)
    const evidence = [`rule ${rule.source}`, `${field.name}: ${textOf(value, 0, value.length)}`]
    const finding: Finding = {
      layer: 'headers',
      outcome: 'positive',
      name: 'header-rule',
      evidence,
    }
    matches.push({ finding, action: rule.action, reply: rule.reply })
  }
  return matches
}

function isMatch(rule: HeaderRule, octets: Uint8Array, field: HeaderField): boolean {
  if (rule.header !== '*' && rule.header !== field.name) return false
  return rule.pattern.test(unfoldedValue(octets, field, headerValueOctetsMax))
}

/** @returns the rule, or what is wrong. */
function parseRule(line: string, source: string): HeaderRule | string {
  const head = /^([!-9;-~]+):\s*\/((?:[^\\/]|\\.)*)\/([a-z]*)(?:\s+(.*))?$/.exec(line)
  if (head === null) return 'not of the form "Header: /pattern/ action [reply]"'
  const [, header = '', written = '', flags = '', rest = ''] = head
  if (written.length > headerPatternCharactersMax) {
    return `pattern longer than ${headerPatternCharactersMax} characters`
  }
  const [, action = '', reply = ''] = /^(\S*)\s*(.*)$/.exec(rest) ?? []
  if (action !== 'refuse' && action !== 'tempfail' && action !== 'observe') {
    return `action "${action}" is none of refuse, tempfail, observe`
  }
  const fault = replyFault(action, reply)
  if (fault !== '') return fault
  const pattern = compilePattern(written.replaceAll('\\/', '/'), flags)
  if (typeof pattern === 'string') return pattern
  return { header: header.toLowerCase(), pattern, action, reply, source }
}

function compilePattern(pattern: string, flags: string): RE2JS | string {
  let bits = 0
  for (const flag of flags) {
    if (flag === 'i') bits |= RE2JS.CASE_INSENSITIVE
    else if (flag === 's') bits |= RE2JS.DOTALL
    else return `flag "${flag}" is none of i, s`
  }
  try {
    return RE2JS.compile(pattern, bits)
  } catch (error) {
    return `pattern is no RE2 expression (${error instanceof Error ? error.message : error})`
  }
}

function replyFault(action: HeaderAction, reply: string): string {
  if (reply === '') return ''
  if (action === 'observe') return 'a reply makes no sense with observe'
  const want = action === 'refuse' ? '5' : '4'
  if (!/^[45]\d\d [45]\.\d{1,3}\.\d{1,3} [ -~]{1,400}$/.test(reply)) {
    return 'the reply is not of the form "554 5.6.0 text" in ASCII'
  }
  if (reply[0] !== want || reply[4] !== want) return `the reply's codes must begin with ${want}`
  return ''
}
