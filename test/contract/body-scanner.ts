/**
 * The contract of a body scanner: what the native one and its twin must both answer.
 */
import { describe, expect, test } from 'vitest'
import {
  bareCrFlag,
  bareLfFlag,
  hasEnded,
  longLineFlag,
  nulFlag,
  type ScanBody,
  scannedIndex,
  scannedState,
  strayFlags,
  undecidedOctets,
} from '../../src/smtp/body-scanner.ts'
import { octetsOf } from '../../src/smtp/octets.ts'
import { Random } from '../support/random.ts'

const cases: { label: string; input: string; ends?: number; flags?: number; undecided?: number }[] =
  [
    { label: 'an empty message', input: '.\r\n', ends: 3 },
    { label: 'CRLF.CRLF, and what follows stays', input: 'a\r\n.\r\nMAIL', ends: 6 },
    { label: 'stuffed dots', input: '..\r\n...\r\n.x\r\n' },
    { label: 'LF.LF', input: 'a\n.\nb', flags: bareLfFlag },
    { label: 'LF.CRLF', input: 'a\n.\r\nb', flags: bareLfFlag },
    { label: 'CRLF.LF', input: 'a\r\n.\nb', flags: bareLfFlag },
    { label: 'CR.CR', input: 'a\r.\rb', flags: bareCrFlag },
    { label: 'CRLF.CR', input: 'a\r\n.\rb', flags: bareCrFlag },
    { label: 'CR CRLF', input: 'a\r\r\nb', flags: bareCrFlag },
    { label: 'NUL before the dot', input: 'a\r\n\0.\r\n', flags: nulFlag },
    { label: 'NUL behind the dot', input: 'a\r\n.\0\r\n', flags: nulFlag },
    { label: 'NUL between CR and LF', input: 'a\r\0\n', flags: bareCrFlag | nulFlag | bareLfFlag },
    { label: 'a CR waits', input: 'a\r', undecided: 1 },
    { label: 'a dot at the line start waits', input: 'a\r\n.', undecided: 1 },
    { label: 'a dot and CR wait', input: '.\r', undecided: 2 },
    { label: '998 octets are a line', input: `${'a'.repeat(998)}\r\n` },
    { label: '999 octets are too long', input: `${'a'.repeat(999)}\r\n`, flags: longLineFlag },
    { label: 'a stuffed dot is not counted', input: `.${'a'.repeat(998)}\r\n` },
    { label: 'a very long line', input: 'a'.repeat(70_000), flags: longLineFlag },
  ]

/** Runs the suite against one scanner. */
export function runBodyScannerContract(name: string, scan: ScanBody): void {
  describe(name, () => {
    for (const { label, input, ends, flags = 0, undecided = 0 } of cases) {
      test(label, () => {
        const result = scan(octetsOf(input), 0, input.length, 0)
        const state = scannedState(result)
        expect(hasEnded(state)).toBe(ends !== undefined)
        expect(scannedIndex(result)).toBe(ends ?? input.length)
        expect(state & (strayFlags | longLineFlag)).toBe(flags)
        expect(undecidedOctets(state)).toBe(undecided)
        expect(cut(scan, octetsOf(input), () => 1)).toBe(result)
      })
    }
    test('a range inside a larger chunk', () => {
      const result = scan(octetsOf('\n\0x.\r\nMAIL\r\n'), 3, 7, 0)
      expect(scannedIndex(result)).toBe(6)
      expect(hasEnded(scannedState(result))).toBe(true)
    })
    test('cut anywhere, the answer is the same (seed 11)', () => {
      const random = new Random(11)
      for (let i = 0; i < 2000; i++) {
        const octets = randomOctets(random)
        const whole = scan(octets, 0, octets.length, 0)
        expect(cut(scan, octets, () => 1)).toBe(whole)
        expect(cut(scan, octets, () => 1 + random.below(80))).toBe(whole)
      }
    })
  })
}

/** Random octets, dense or sparse with what matters. */
export function randomOctets(random: Random): Uint8Array {
  const letters = random.pick(['\r\n.\0a', '\r\n.abcdefghij', `\r\n\0${'a'.repeat(60)}`, '\r\n.'])
  let text = ''
  const length = random.below(300)
  while (text.length < length) {
    text += random.chance(0.1)
      ? random.pick(['\r\n', '\r\n.', '\r\n.\r'])
      : letters[random.below(letters.length)]
  }
  return octetsOf(text)
}

function cut(scan: ScanBody, octets: Uint8Array, pieceOctets: () => number): number {
  let at = 0
  let state = 0
  let result = scan(octets, 0, 0, 0)
  while (at < octets.length) {
    result = scan(octets, at, Math.min(octets.length, at + pieceOctets()), state)
    at = scannedIndex(result)
    state = scannedState(result)
    if (hasEnded(state)) break
  }
  return result
}
