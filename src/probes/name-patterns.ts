/**
 * Name patterns: an operator's file of patterns for the names of pools, beside the built-in rules.
 *
 * The form is that of a Postfix pcre table, `/pattern/ text`, so that files such as fqrdns.pcre are
 * read as they are. The engine is re2js: linear time, whatever the pattern and the name. What it
 * cannot read (look-around, back references) is reported with its line, and left out.
 */
import { RE2JS } from 're2js'
import { messageOf } from '../base/errors.ts'

/** A pattern of the file, with the `if` lines around it. */
interface NamePattern {
  readonly expression: RE2JS
  readonly conditions: readonly RE2JS[]
  readonly line: number
}

/** The patterns of one file; none matches nothing. */
export interface NamePatterns {
  /** The line of the first pattern that the name matches, 0 = none. O(patterns × name). */
  lineOf(name: string): number
  readonly size: number
}

/** A line that could not be read. */
export interface BadPattern {
  readonly line: number
  readonly reason: string
}

/** No patterns. */
export const noPatterns: NamePatterns = { lineOf: () => 0, size: 0 }

/** Reads a pattern file's text. */
export function parseNamePatterns(text: string): {
  readonly patterns: NamePatterns
  readonly bad: readonly BadPattern[]
} {
  const found: NamePattern[] = []
  const bad: BadPattern[] = []
  const conditions: RE2JS[] = []
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    const isCondition = line.startsWith('if /')
    if (line === 'endif') conditions.pop()
    if (!isCondition && !line.startsWith('/')) continue
    const expression = expressionOf(isCondition ? line.slice(3) : line)
    if (typeof expression === 'string') bad.push({ line: index + 1, reason: expression })
    else if (isCondition) conditions.push(expression)
    else found.push({ expression, conditions: [...conditions], line: index + 1 })
  }
  return { patterns: patternsOf(found), bad }
}

/** The expression between the slashes, or why there is none. */
function expressionOf(line: string): RE2JS | string {
  const end = closingSlash(line)
  if (end < 0) return 'no closing slash'
  try {
    return RE2JS.compile(line.slice(1, end), RE2JS.CASE_INSENSITIVE)
  } catch (error) {
    return messageOf(error)
  }
}

function patternsOf(found: readonly NamePattern[]): NamePatterns {
  return { size: found.length, lineOf: (name) => lineOf(name, found) }
}

function lineOf(name: string, found: readonly NamePattern[]): number {
  const held = new Map<RE2JS, boolean>()
  const holds = (condition: RE2JS): boolean => {
    const known = held.get(condition) ?? condition.matcher(name).find()
    held.set(condition, known)
    return known
  }
  const first = found.find(
    ({ expression, conditions }) => conditions.every(holds) && expression.matcher(name).find(),
  )
  return first?.line ?? 0
}

/** The slash that ends the pattern: the first that no backslash escapes. */
function closingSlash(line: string): number {
  for (let index = 1; index < line.length; index++) {
    if (line[index] === '\\') index++
    else if (line[index] === '/') return index
  }
  return -1
}
