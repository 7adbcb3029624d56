/**
 * No export is there for nobody: another source, a test, a bench or the generator of the pages
 * names it. A type may also stand in the signature of what its own file exports.
 */
import { expect, test } from 'vitest'
import { type Source, sources } from './sources.ts'

const all = sources(/^(src|test|bench|examples)\/.*\.ts$|^docs\/.*\.mjs$/)
const words = new Map(all.map((file) => [file.path, wordsOf(file.text)]))

test('every export is used by another file', () => {
  const exporting = all.filter(({ path }) => path.startsWith('src/'))
  expect(exporting.flatMap(unusedExports)).toEqual([])
})

function unusedExports({ path, text }: Source): readonly string[] {
  const others = all.filter((file) => file.path !== path)
  const found = text.matchAll(/^export (?:async )?(const|function|class|interface|type)\*? (\w+)/gm)
  return [...found].flatMap(([, kind = '', name = '']) => {
    const isType = kind === 'interface' || kind === 'type'
    const isSigned = isType && (words.get(path)?.get(name) ?? 0) > 1
    const isUsed = isSigned || others.some((file) => words.get(file.path)?.has(name))
    return isUsed ? [] : [`${path}: ${name}`]
  })
}

/** How often each word stands in the code. */
function wordsOf(text: string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '')
  for (const [word] of code.matchAll(/\w+/g)) counts.set(word, (counts.get(word) ?? 0) + 1)
  return counts
}
