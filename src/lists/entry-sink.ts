/**
 * EntrySink: where the line parsers of one list put entries, names and bad lines.
 *
 * Parsers hand over octet ranges of the file; nothing becomes a string but bad lines and names. Bad
 * lines are counted all and kept up to a maximum, their text cut and escaped for a log line.
 */
import {
  newPrefixCell,
  type PrefixCell,
  parsePrefix,
  parsePrefixOctets,
} from '../base/ip-address.ts'
import { badLineCharactersMax, badLinesKeptMax } from '../base/limits.ts'
import type { PrefixColumnsBuilder } from '../base/prefix-columns.ts'
import { rangeToPrefixes } from './range.ts'

/** A line that was skipped, or taken with a remark. */
export interface LineReport {
  readonly file: string
  /** From 1. */
  readonly line: number
  /** The line, cut, octets outside printable ASCII as `\xHH`. */
  readonly text: string
  readonly reason: string
}

/** A name of a list of networks and names. */
export interface NameEntry {
  /** Lower case, without a final dot: `example.net`, `*.example.net`, `.example.net`. */
  readonly name: string
  readonly file: string
  readonly line: number
}

/** Why a piece of a line was not taken; '' = taken. */
export type EntryFault = string

/** Collects what one file holds. Owned by one parse. */
export class EntrySink {
  readonly badLines: LineReport[] = []
  readonly remarks: LineReport[] = []
  readonly names: NameEntry[] = []
  badLineCount = 0
  remarkCount = 0
  /** Lines that held at least one entry. */
  goodLineCount = 0
  entryCount = 0
  /** Milliseconds since 1970 after which the file says it is void; Infinity = never. */
  expiresMs = Number.POSITIVE_INFINITY
  readonly octets: Uint8Array
  readonly #file: string
  readonly #builder: PrefixColumnsBuilder
  readonly #listId: number
  readonly #fileId: number
  readonly #cell: PrefixCell = newPrefixCell()
  readonly #lastCell: PrefixCell = newPrefixCell()

  constructor(octets: Uint8Array, file: string, list: string, builder: PrefixColumnsBuilder) {
    this.octets = octets
    this.#file = file
    this.#builder = builder
    this.#listId = builder.listId(list)
    this.#fileId = builder.fileId(file)
  }

  /** Takes octets [start, end) as a prefix or address. */
  takePrefix(start: number, end: number, line: number, isExcluded: boolean): EntryFault {
    const cell = this.#cell
    const fault = parsePrefixOctets(this.octets, start, end, cell)
    if (fault !== '') return fault
    if (cell.hasHostBits) this.remark(start, end, line, 'host bits set: taken as its network')
    this.takeCell(cell, line, isExcluded)
    return ''
  }

  /** Takes a prefix that a parser has as text: completed by it, or out of JSON. */
  takeText(text: string, line: number, isExcluded: boolean): EntryFault {
    const fault = parsePrefix(text, this.#cell)
    if (fault === '') this.takeCell(this.#cell, line, isExcluded)
    return fault
  }

  /** Why octets [start, end) are no prefix or address, without taking it; '' = they are. */
  faultOf(start: number, end: number): EntryFault {
    return parsePrefixOctets(this.octets, start, end, this.#cell)
  }

  /** Whether octets [start, end) are a prefix or address, without taking it. */
  isPrefix(start: number, end: number): boolean {
    return this.faultOf(start, end) === ''
  }

  /** Takes an IPv4 prefix without host bits, and its line with it. */
  takeIpv4(address: number, length: number, line: number): void {
    const cell = this.#cell
    cell.family = 4
    cell.words[0] = address
    cell.length = length
    this.takeCell(cell, line, false)
    this.goodLineCount++
  }

  /** Takes a prefix that a parser completed by itself. */
  takeCell(cell: PrefixCell, line: number, isExcluded: boolean): void {
    this.#builder.push(cell, this.#listId, this.#fileId, line, isExcluded)
    this.entryCount++
  }

  /** Takes `first-last`, both addresses, as the fewest prefixes that make it up. */
  takeRange(
    first: readonly [number, number],
    last: readonly [number, number],
    line: number,
    isExcluded: boolean,
  ): EntryFault {
    const from = parsePrefixOctets(this.octets, first[0], first[1], this.#cell)
    const to = parsePrefixOctets(this.octets, last[0], last[1], this.#lastCell)
    if (from !== '' || to !== '') return from === '' ? to : from
    return this.takeCells(this.#cell, this.#lastCell, line, isExcluded)
  }

  /** Takes the range between two addresses. */
  takeCells(first: PrefixCell, last: PrefixCell, line: number, isExcluded: boolean): EntryFault {
    return rangeToPrefixes(first, last, (cell) => this.takeCell(cell, line, isExcluded))
  }

  /** Reports octets [start, end) as a line that was skipped. */
  bad(start: number, end: number, line: number, reason: string): void {
    this.badLineCount++
    if (this.badLines.length >= badLinesKeptMax) return
    const hasNul = this.octets.subarray(start, end).includes(0)
    this.badLines.push(this.#report(start, end, line, hasNul ? 'NUL octet in the line' : reason))
  }

  /** Notes something odd about a line that was taken. */
  remark(start: number, end: number, line: number, reason: string): void {
    this.remarkCount++
    if (this.remarks.length < badLinesKeptMax) {
      this.remarks.push(this.#report(start, end, line, reason))
    }
  }

  /** Takes a domain name in the forms of NameEntry; the parser has checked its letters. */
  takeName(name: string, line: number): void {
    this.names.push({ name, file: this.#file, line })
    this.entryCount++
  }

  #report(start: number, end: number, line: number, reason: string): LineReport {
    return { file: this.#file, line, text: printable(this.octets, start, end), reason }
  }
}

/** Octets as printable ASCII, others escaped, cut with `…`. */
function printable(octets: Uint8Array, start: number, end: number): string {
  let text = ''
  for (let i = start; i < end; i++) {
    if (text.length >= badLineCharactersMax) return `${text}…`
    const octet = octets[i] ?? 0
    const isPlain = octet >= 0x20 && octet < 0x7f && octet !== 0x5c
    text += isPlain ? String.fromCharCode(octet) : `\\x${octet.toString(16).padStart(2, '0')}`
  }
  return text
}
