/**
 * Lines of OpenBSD spamd's configuration channel: `tag;"message";cidr[;cidr…]`.
 *
 * The message may hold `\"` and semicolons. Newer versions put a family (`inet`, `inet6`) and a
 * count before the addresses; both are passed over. The list's name here is that of the
 * configuration, not the tag.
 */
import type { EntryFault, EntrySink } from './entry-sink.ts'
import { octet, skipBlanks, textOf, trimEnd } from './octets.ts'
import { takeEntry } from './plain-lines.ts'

/**
 * Takes the line [start, end). The first faulty field makes the whole line bad; those before it
 * stay.
 */
export function takeSpamdLine(
  sink: EntrySink,
  start: number,
  end: number,
  line: number,
): EntryFault {
  const { octets } = sink
  let at = endOfMessage(octets, start, end)
  if (at < 0) return 'not tag;"message";address'
  let taken = 0
  let fields = 0
  while (at < end) {
    const fieldEnd = endOfField(octets, at, end)
    const entryStart = skipBlanks(octets, at, fieldEnd)
    const entryEnd = trimEnd(octets, entryStart, fieldEnd)
    at = fieldEnd + 1
    if (entryStart === entryEnd || isFamilyOrCount(octets, entryStart, entryEnd, fields)) {
      fields++
      continue
    }
    fields++
    const fault = takeEntry(sink, entryStart, entryEnd, line, false)
    if (fault !== '') return `field ${fields}: ${fault}`
    taken++
  }
  return taken > 0 ? '' : 'no address in the line'
}

/** The place behind `tag;"message";`, or -1. */
export function endOfMessage(octets: Uint8Array, start: number, end: number): number {
  const tagEnd = endOfField(octets, start, end)
  const quote = skipBlanks(octets, tagEnd + 1, end)
  if (tagEnd === start || octets[quote] !== octet.quote || quote >= end) return -1
  let at = quote + 1
  while (at < end && octets[at] !== octet.quote) at += octets[at] === octet.backslash ? 2 : 1
  const separator = skipBlanks(octets, at + 1, end)
  return separator < end && octets[separator] === octet.semicolon ? separator + 1 : -1
}

function endOfField(octets: Uint8Array, start: number, end: number): number {
  const found = octets.subarray(start, end).indexOf(octet.semicolon)
  return found < 0 ? end : start + found
}

/** `inet`, `inet6` or a count can only stand in front of the addresses. */
function isFamilyOrCount(octets: Uint8Array, start: number, end: number, fields: number): boolean {
  return fields < 2 && end - start <= 9 && /^(?:inet6?|[0-9]+)$/.test(textOf(octets, start, end))
}
