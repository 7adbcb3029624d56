/**
 * Clocks: `nowMs` and `now` are of the one that nobody sets, `wallMs` and `wallNow` of the wall.
 */
import { expect, test } from 'vitest'
import { sources } from './sources.ts'

/** A name of the one clock and a reading of the other in one line. */
const mixed = [
  /\bnow(?:Ms)?\b(?!\().*\bDate\.now\b/i,
  /\bsince\w*Ms = Date\.now\b/i,
  /\bwall\w*\b.*\bperformance\.now\b/i,
]

test('what waits reads no wall clock, and what is written down no other', () => {
  const lines = sources(/^src\/.*\.ts$/).flatMap(({ path, text }) =>
    text.split('\n').map((line, index) => ({ line, place: `${path}:${index + 1}` })),
  )
  const wrong = lines.filter(({ line }) => mixed.some((kind) => kind.test(line)))
  expect(wrong.map(({ place, line }) => `${place}: ${line.trim()}`)).toEqual([])
})

test('of the journey and of the transfer nothing reads a clock', () => {
  const reading = sources(/^src\/(journey|transfer)\/.*\.ts$/).filter(({ text }) =>
    /\bDate\.now\b|\bperformance\.now\b|\bnew Date\(\)/.test(text),
  )
  expect(reading.map(({ path }) => path)).toEqual([])
})
