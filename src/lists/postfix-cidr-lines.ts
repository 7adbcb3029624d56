/**
 * Lines of Postfix cidr: tables (cidr_table(5)) with access(5) actions.
 *
 *   line = prefix blank action [ text ]        a line that begins with a blank goes on with the
 *   action before
 *
 * What an action says depends on what the list is for. A blacklist takes refusing actions as
 * entries and permitting ones as exclusions; a list of trusted hosts the other way round; `any`
 * takes every pattern, for questions. Postfix lets the *first* matching rule win, a list here its
 * *longest*: a narrow rule behind a wide one counts here and is dead in Postfix. Brackets around an
 * address are Postfix's. Negated patterns (`!`) and everything between `if` and `endif` hold no
 * plain set of addresses and are bad lines.
 */
import type { EntryFault, EntrySink } from './entry-sink.ts'
import { octet, skipBlanks, skipWord, textOf } from './octets.ts'

/** What a list's entries are for. */
export type ListSense = 'refuse' | 'permit' | 'any'

/** access(5) and postscreen(8): actions that refuse; the numeric forms are told by their digit. */
const refusing = new Set([
  'reject',
  'defer',
  'defer_if_reject',
  'discard',
  'hold',
  'defer_if_permit',
])
const permitting = new Set(['permit', 'ok', 'dunno', 'permit_auth_destination', 'relay'])

const openBracket = 0x5b

/** The state that one table carries from line to line. */
export interface PostfixState {
  /** Depth of `if`. */
  ifs: number
}

/** Takes the line [start, end), blanks trimmed at its end only, not empty, no comment line. */
export function takePostfixCidrLine(
  sink: EntrySink,
  start: number,
  end: number,
  line: number,
  sense: ListSense,
  state: PostfixState,
): EntryFault {
  const { octets } = sink
  if (octets[start] === octet.space || octets[start] === octet.tab) return ''
  const patternEnd = skipWord(octets, start, end)
  const actionStart = skipBlanks(octets, patternEnd, end)
  const actionEnd = skipWord(octets, actionStart, end)
  const pattern = textOf(octets, start, Math.min(patternEnd, start + 6)).toLowerCase()
  if (pattern === 'if' || pattern === 'endif') {
    state.ifs = Math.max(0, state.ifs + (pattern === 'if' ? 1 : -1))
    return `${pattern}: conditions are not supported`
  }
  if (state.ifs > 0) return 'inside if … endif: conditions are not supported'
  if (octets[start] === octet.exclamation) return 'negated pattern: not supported'
  if (actionStart === end) return 'no action behind the pattern'
  const kind = kindOf(textOf(octets, actionStart, Math.min(actionEnd, actionStart + 32)))
  if (kind === undefined) return 'unknown action'
  const isExcluded = sense !== 'any' && kind !== sense
  if (octets[start] === openBracket) {
    const text = textOf(octets, start, Math.min(patternEnd, start + 80))
    return sink.takeText(text.replace(/^\[([^\]]*)\]/, '$1'), line, isExcluded)
  }
  return sink.takePrefix(start, patternEnd, line, isExcluded)
}

function kindOf(action: string): ListSense | undefined {
  const word = action.toLowerCase()
  if (refusing.has(word) || /^[45][0-9][0-9]$/.test(word) || /^[45]\.\d+\.\d+$/.test(word)) {
    return 'refuse'
  }
  return permitting.has(word) || /^[0-9]+$/.test(word) ? 'permit' : undefined
}

/** Whether a line is a pattern with an action of access(5) behind it. */
export function looksLikePostfixCidr(sink: EntrySink, start: number, end: number): boolean {
  const patternEnd = skipWord(sink.octets, start, end)
  const actionStart = skipBlanks(sink.octets, patternEnd, end)
  const actionEnd = skipWord(sink.octets, actionStart, end)
  if (actionStart === actionEnd || !sink.isPrefix(start, patternEnd)) return false
  const action = textOf(sink.octets, actionStart, Math.min(actionEnd, actionStart + 32))
  return /^[a-z_]+$/i.test(action) ? kindOf(action) !== undefined : /^[45][0-9.]+$/.test(action)
}
