/**
 * Every mechanism of docs/mechanisms.md is shown by a test that names it in its title.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { expect, test } from 'vitest'
import { projectRoot } from '../support/needs.ts'
import { type Source, sources } from './sources.ts'

const page = readFileSync(join(projectRoot, 'docs/mechanisms.md'), 'utf8')
const idsOfPage = [...page.matchAll(/^\| ([AB]\d+) +\|/gm)].map((match) => match[1] ?? '')
const testFiles = sources(/^test\/.*\.(ts|smtp)$/)
const titles = testFiles.filter(({ path }) => !path.startsWith('test/tidy/')).flatMap(titlesOf)

test('the page names each mechanism once', () => {
  const numbered = (head: string, count: number) =>
    Array.from({ length: count }, (_, index) => `${head}${index + 1}`)
  expect(idsOfPage).toEqual([...numbered('B', 28), ...numbered('A', 20)])
})

test.each(idsOfPage)('%s stands in the title of a test', (id) => {
  const word = new RegExp(`\\b${id}\\b`)
  expect(titles.filter((title) => word.test(title)).length).toBeGreaterThan(0)
})

/** Titles of tests and suites, labels of their cases, and the titles of transcripts. */
function titlesOf(file: Source): readonly string[] {
  if (file.path.endsWith('.smtp')) {
    return file.text.split('\n').filter((line) => line.startsWith('## '))
  }
  const tree = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, true)
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && isOfTest(node.expression)) {
      for (const argument of node.arguments) {
        if (ts.isStringLiteralLike(argument)) found.push(argument.text)
        else if (ts.isTemplateExpression(argument)) found.push(argument.getText())
      }
    }
    const isLabel = ts.isPropertyAssignment(node) && node.name.getText() === 'label'
    if (isLabel && ts.isStringLiteralLike(node.initializer)) found.push(node.initializer.text)
    ts.forEachChild(node, visit)
  }
  visit(tree)
  return found
}

/** `test(…)`, `describeWith(…)`, `test.each(…)(…)`. */
function isOfTest(callee: ts.Expression): boolean {
  return /^(test|describe|describeWith)\b/.test(callee.getText())
}
