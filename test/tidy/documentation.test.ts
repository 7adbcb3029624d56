/**
 * Every source says what it is, every export says what it gives, every dependency says why it is
 * here.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { expect, test } from 'vitest'
import { projectRoot } from '../support/needs.ts'
import { type Source, sources } from './sources.ts'

const typescript = sources(/^src\/.*\.ts$/)

test('every source starts with a comment that says what it is', () => {
  const silent = typescript.filter((file) => !/^(#!.*\n)?\/\*\*/.test(file.text))
  const silentNative = sources(/^native\/.*\.(cpp|hpp)$/).filter((file) => !/^\/\//.test(file.text))
  expect([...silent, ...silentNative].map((file) => file.path)).toEqual([])
})

test('every export is documented', () => {
  expect(typescript.flatMap(undocumentedExports)).toEqual([])
})

test('every dependency is named in docs/dependencies.md', () => {
  const manifest = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'))
  const page = readFileSync(join(projectRoot, 'docs/dependencies.md'), 'utf8')
  const names = [
    ...Object.keys(manifest.dependencies ?? {}),
    ...Object.keys(manifest.devDependencies ?? {}),
    ...Object.keys(manifest.peerDependencies ?? {}),
  ]
  expect(names.filter((name) => !page.includes(`\`${name}\``))).toEqual([])
})

test('no test is singled out, and every skip carries its reason', () => {
  const tests = sources(/^test\/.*\.ts$/).filter((file) => !file.path.startsWith('test/tidy/'))
  const faults = tests.flatMap((file) =>
    file.text.split('\n').flatMap((line, index) => {
      const isOnly = /\b(test|it|describe)(\.\w+)*\.only\b/.test(line)
      const isBareSkip =
        /\b(test|it|describe)\.(skip|todo|fails|skipIf|runIf)\b/.test(line) &&
        !/skipped: |reason/.test(line)
      return isOnly || isBareSkip ? [`${file.path}:${index + 1}`] : []
    }),
  )
  expect(faults).toEqual([])
})

test('no folder or file is named after nothing', () => {
  const vague = /(^|[/-])(utils?|helpers?|common|manager|misc)([/.-]|$)/
  const named = sources(/^(src|native|test|bench)\//).filter((file) => vague.test(file.path))
  expect(named.map((file) => file.path)).toEqual([])
})

function undocumentedExports(file: Source): readonly string[] {
  const tree = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, true)
  return tree.statements.filter(isUndocumentedExport).map((node) => {
    const line = tree.getLineAndCharacterOfPosition(node.getStart()).line + 1
    return `${file.path}:${line}`
  })
}

function isUndocumentedExport(node: ts.Statement): boolean {
  if (!ts.canHaveModifiers(node)) return false
  const isExported = ts.getModifiers(node)?.some((m) => m.kind === ts.SyntaxKind.ExportKeyword)
  return isExported === true && ts.getJSDocCommentsAndTags(node).length === 0
}
