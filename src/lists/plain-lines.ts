/**
 * Lines of netset, ipset, Spamhaus DROP text and plain lists.
 *
 *   line   = [ "!" ] ( prefix / address / address "-" address ) [ comment ]
 *   line  /= [ "." / "*." ] domain name           where the list may hold names
 *   comment = ( "#" / ";" ) anything
 *
 * `ipset save` writes the same as `add SET prefix [options]`; `nomatch` among the options excludes,
 * and `create` lines say nothing to us. Anything else behind an entry makes the line bad: `1.2.3.4
 * /8` is a typing error, and guessing would refuse the wrong hosts.
 */
import type { EntryFault, EntrySink } from './entry-sink.ts'
import { isBlank, octet, skipBlanks, skipWord, textOf, trimEnd } from './octets.ts'

/** Takes the line [start, end), blanks trimmed, not empty, no comment line. */
export function takePlainLine(
  sink: EntrySink,
  start: number,
  end: number,
  line: number,
  mayHoldNames: boolean,
): EntryFault {
  const { octets } = sink
  const first = octets[start]
  if (first === 0x61 || first === 0x63) {
    const fault = takeIpsetLine(sink, start, end, line)
    if (fault !== undefined) return fault
  }
  const isExcluded = first === octet.exclamation
  const entryStart = isExcluded ? skipBlanks(octets, start + 1, end) : start
  const entryEnd = trimEnd(octets, entryStart, commentStart(octets, entryStart, end))
  const fault = takeEntry(sink, entryStart, entryEnd, line, isExcluded)
  if (fault !== 'not an address' || !mayHoldNames || isExcluded) return fault
  return takeName(sink, entryStart, entryEnd, line)
}

function commentStart(octets: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && octets[at] !== octet.hash && octets[at] !== octet.semicolon) at++
  return at
}

/** A prefix, an address or a range in [start, end). */
export function takeEntry(
  sink: EntrySink,
  start: number,
  end: number,
  line: number,
  isExcluded: boolean,
): EntryFault {
  const { octets } = sink
  let at = start
  while (at < end && octets[at] !== octet.dash && !isBlank(octets[at])) at++
  if (at === end) return sink.takePrefix(start, end, line, isExcluded)
  const dash = skipBlanks(octets, at, end)
  if (octets[dash] !== octet.dash) {
    const fault = sink.faultOf(start, at)
    return fault === '' ? 'text behind the prefix' : fault
  }
  const lastStart = skipBlanks(octets, dash + 1, end)
  return sink.takeRange([start, at], [lastStart, end], line, isExcluded)
}

/** `add SET prefix …` and `create …` of `ipset save`; undefined = the line is another. */
function takeIpsetLine(
  sink: EntrySink,
  start: number,
  end: number,
  line: number,
): EntryFault | undefined {
  const { octets } = sink
  const wordEnd = skipWord(octets, start, end)
  if (wordEnd === end) return undefined
  const word = textOf(octets, start, Math.min(wordEnd, start + 8))
  if (word === 'create') return ''
  if (word !== 'add') return undefined
  const setEnd = skipWord(octets, skipBlanks(octets, wordEnd, end), end)
  const entryStart = skipBlanks(octets, setEnd, end)
  const entryEnd = skipWord(octets, entryStart, end)
  const options = textOf(octets, entryEnd, end).trim().split(/\s+/)
  return takeEntry(sink, entryStart, entryEnd, line, options.includes('nomatch'))
}

// RFC 1123 §2.1 letters, digits, hyphens; underscores occur in real PTR names.
const nameSyntax = /^(?:\*?\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{1,63}$/

function takeName(sink: EntrySink, start: number, end: number, line: number): EntryFault {
  if (end - start > 256) return 'neither an address nor a name'
  const name = textOf(sink.octets, start, end).toLowerCase().replace(/\.$/, '')
  // A last label of digits only is an address gone wrong: 1.2.3.
  if (!nameSyntax.test(name) || /(?:^|\.)[0-9]+$/.test(name)) return 'neither an address nor a name'
  sink.takeName(name, line)
  return ''
}
