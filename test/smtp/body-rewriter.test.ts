import { describe, expect, test } from 'vitest'
import { BodyRewriter } from '../../src/smtp/body-rewriter.ts'
import { octetsOf, textOf } from '../../src/smtp/octets.ts'
import { randomOctets } from '../contract/body-scanner.ts'
import { Random } from '../support/random.ts'

describe('octets of a BDAT chunk become lines of DATA', () => {
  const cases: [string, string][] = [
    ['a\r\n', 'a\r\n'],
    ['a', 'a\r\n'],
    ['', ''],
    ['.\r\n', '..\r\n'],
    ['a\r\n.b\r\n..\r\n', 'a\r\n..b\r\n...\r\n'],
    ['a\n.b', 'a\r\n..b\r\n'],
    ['a\rb\0c', 'a b c\r\n'],
    ['a\r', 'a \r\n'],
    ['.\r', '.. \r\n'],
    ['\r\r\n', ' \r\n'],
  ]
  for (const [input, want] of cases) {
    test(JSON.stringify(input), () => {
      expect(rewritten(input, false, 1)).toBe(want)
      expect(rewritten(input, false, input.length + 1)).toBe(want)
    })
  }
})

describe('a message on the wire is normalised, its own stuffing stays', () => {
  const cases: [string, string][] = [
    ['a\r\n..b\r\n', 'a\r\n..b\r\n'],
    ['a\n.\nb\r\n', 'a\r\n..\r\nb\r\n'],
    ['a\r\n.\nb\r\n', 'a\r\n..\r\nb\r\n'],
    ['a\n..\nb\r\n', 'a\r\n...\r\nb\r\n'],
    ['a\r.\rb\r\n', 'a . b\r\n'],
    ['\0.\r\n', ' .\r\n'],
  ]
  for (const [input, want] of cases) {
    test(JSON.stringify(input), () => {
      expect(rewritten(input, true, 1)).toBe(want)
      expect(rewritten(input, true, input.length)).toBe(want)
    })
  }
})

test('whatever comes in, no stray octet and no line of one dot comes out (seed 13)', () => {
  const random = new Random(13)
  for (let i = 0; i < 3000; i++) {
    const octets = randomOctets(random)
    const text = textOf(octets, 0, octets.length)
    const isStuffed = random.chance(0.5)
    const output = rewritten(text, isStuffed, 1 + random.below(40))
    expect(output).toBe(rewritten(text, isStuffed, text.length + 1))
    expect(output).not.toMatch(/\r(?!\n)|(?<!\r)\n|\0|(^|\r\n)\.\r\n/)
  }
})

function rewritten(input: string, isStuffed: boolean, pieceOctets: number): string {
  const rewriter = new BodyRewriter(isStuffed, true)
  const octets = octetsOf(input)
  let output = ''
  for (let at = 0; at < octets.length; at += pieceOctets) {
    const piece = rewriter.rewrite(octets, at, Math.min(octets.length, at + pieceOctets))
    output += textOf(piece, 0, piece.length)
  }
  const rest = rewriter.finish()
  return output + textOf(rest, 0, rest.length)
}
