/** The fast parser of dotted quads, beside Node's own judgement and the strict parser's number. */
import { isIPv4 } from 'node:net'
import { expect, test } from 'vitest'
import { newPrefixCell, parsePrefix } from '../../src/base/ip-address.ts'
import { parseIpv4Text } from '../../src/tables/ipv4-text.ts'
import { Random } from '../support/random.ts'

const seed = Number(process.env.ACTIVEMX_SEED ?? 20261121)
const words = new Uint32Array(1)
const cell = newPrefixCell()

/** What the fast parser says, or what it should have said. */
function judge(text: string): string {
  const isTaken = parseIpv4Text(text, words, 0)
  if (isTaken !== isIPv4(text)) return `${JSON.stringify(text)}: ${isTaken ? 'taken' : 'refused'}`
  if (!isTaken) return ''
  const fault = parsePrefix(text, cell)
  return fault === '' && cell.words[0] === words[0] ? '' : `${text}: read as ${words[0]}, ${fault}`
}

function faultsOf(texts: Iterable<string>): readonly string[] {
  return [...texts].map(judge).filter((fault) => fault !== '')
}

test('every number in every part, with leading zeros and above 255', () => {
  const parts = Array.from({ length: 1200 }, (_, n) => [`${n}`, `0${n}`, `00${n}`]).flat()
  const places = ['', '9', '10', '255']
  const texts = parts.flatMap((part) =>
    places.flatMap((other) => [
      `${part}.${other}.${other}.${other}`,
      `${other}.${part}.${other}.${other}`,
      `${other}.${other}.${part}.${other}`,
      `${other}.${other}.${other}.${part}`,
    ]),
  )
  expect(faultsOf(texts)).toEqual([])
})

test('every length of every part, every character in every place, every cut', () => {
  const lengths = ['1', '22', '133']
  const quads = lengths.flatMap((a) =>
    lengths.flatMap((b) => lengths.flatMap((c) => lengths.map((d) => `${a}.${b}.${c}.${d}`))),
  )
  const characters = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).concat(
    '１',
  )
  const texts = quads.flatMap((quad) =>
    Array.from(quad, (_, at) => [
      quad.slice(0, at),
      quad.slice(at),
      quad.slice(0, at) + quad.slice(at + 1),
      ...characters.map((one) => quad.slice(0, at) + one + quad.slice(at + 1)),
    ]).flat(),
  )
  expect(faultsOf([...quads, ...texts])).toEqual([])
})

test(`random texts of digits and dots, seed ${seed}`, () => {
  const random = new Random(seed)
  const alphabet = '0123456789......125:/ '
  const texts = Array.from({ length: 300_000 }, () =>
    Array.from({ length: random.below(18) }, () => alphabet[random.below(alphabet.length)]).join(
      '',
    ),
  )
  expect(faultsOf(texts)).toEqual([])
})
