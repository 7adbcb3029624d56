/**
 * Sizes: a function fits one screen, a file holds one idea, a line fits its window.
 */
import ts from 'typescript'
import { expect, test } from 'vitest'
import { type Source, sources } from './sources.ts'

const fileLinesMax = 500
const functionLinesMax = 70
const lineColumnsMax = 100

const typescript = sources(/^(src|test|bench|examples)\/.*\.ts$/)
const native = sources(/^native\/.*\.(cpp|hpp)$/)

test(`no file is longer than ${fileLinesMax} lines`, () => {
  const long = [...typescript, ...native].filter((file) => linesOf(file.text) > fileLinesMax)
  expect(long.map((file) => `${file.path}: ${linesOf(file.text)} lines`)).toEqual([])
})

test(`no function is longer than ${functionLinesMax} lines`, () => {
  const code = typescript.filter((file) => !file.path.endsWith('.test.ts'))
  expect(code.flatMap(longFunctions)).toEqual([])
})

test(`no line of native code is longer than ${lineColumnsMax} columns`, () => {
  expect(native.flatMap((file) => longLines(file, /./))).toEqual([])
})

test(`no line of a comment is longer than ${lineColumnsMax} columns`, () => {
  expect(typescript.flatMap((file) => longLines(file, /^\s*(\/\*\*|\*|\/\/) /))).toEqual([])
})

test('no native function is longer than the limit', () => {
  expect(native.flatMap(longNativeFunctions)).toEqual([])
})

/** Places of the lines of a kind that are too long. Code is the formatter's: it breaks no text. */
function longLines(file: Source, kind: RegExp): readonly string[] {
  return file.text
    .split('\n')
    .map((line, index) => ({ line, place: `${file.path}:${index + 1}` }))
    .filter(({ line }) => [...line].length > lineColumnsMax && kind.test(line))
    .map(({ place }) => place)
}

function longFunctions(file: Source): readonly string[] {
  const tree = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, true)
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const first = tree.getLineAndCharacterOfPosition(node.getStart()).line
      const last = tree.getLineAndCharacterOfPosition(node.getEnd()).line
      // Contract suites and classes of tests are one call that holds many small functions.
      const isSuite = file.path.startsWith('test/')
      const lines = last - first + 1
      if (lines > functionLinesMax && !isSuite) found.push(`${file.path}:${first + 1}: ${lines}`)
    }
    ts.forEachChild(node, visit)
  }
  visit(tree)
  return found
}

/**
 * A body opens with a line that ends in `) … {`, no control flow, and ends where its braces
 * balance.
 */
function longNativeFunctions(file: Source): readonly string[] {
  const found: string[] = []
  const lines = file.text.split('\n')
  for (const [start, line] of lines.entries()) {
    if (!/\)[^;]*\{$/.test(line)) continue
    if (/^\s*(\} )?(if|for|while|switch|else|namespace|struct|class|union|enum)\b/.test(line))
      continue
    const length = balancedLines(lines, start)
    if (length > functionLinesMax) found.push(`${file.path}:${start + 1}: ${length}`)
  }
  return found
}

/** Lines from `start` to the one that closes the brace opened there. */
function balancedLines(lines: readonly string[], start: number): number {
  let open = 0
  for (let at = start; at < lines.length; at++) {
    for (const character of lines[at] ?? '') {
      if (character === '{') open++
      else if (character === '}') open--
    }
    if (open <= 0) return at - start + 1
  }
  return lines.length - start
}

function linesOf(text: string): number {
  return text.split('\n').length - 1
}
