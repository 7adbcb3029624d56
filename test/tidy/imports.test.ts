/**
 * Who may import whom: the table of ARCHITECTURE.md, checked on every import of src/.
 *
 * A folder has a layer. Files of three folders are split: their pure half lies lower than the half
 * that does I/O. A file may import any lower layer; inside layer 4 only its own folder, addon,
 * files, and types; layer 5 may import everything, and nobody below imports it.
 */
import ts from 'typescript'
import { expect, test } from 'vitest'
import { type Source, sources } from './sources.ts'

const folderLayers: Readonly<Record<string, number>> = {
  base: 0,
  smtp: 1,
  checks: 2,
  journey: 3,
  addon: 4,
  files: 4,
  io: 4,
  store: 4,
  probes: 4,
  transfer: 4,
  feeds: 4,
  log: 4,
  control: 4,
  mailhost: 4,
  config: 4,
  edge: 5,
  cli: 5,
}

/**
 * Folders with a pure half (layer 1): a file there is pure when it imports nothing above layer 1.
 */
const splitFolders = new Set(['tables', 'lists', 'tls'])

/** Folders of layer 4 that the rest of layer 4 may use. */
const sharedFolders = new Set(['addon', 'files'])

interface Import {
  readonly from: Source
  readonly target: string
  readonly isTypeOnly: boolean
}

const files = sources(/^src\/.*\.ts$/)
const importsOf = new Map(files.map((file) => [file.path, readImports(file)]))

test('every import goes down the layers of ARCHITECTURE.md', () => {
  expect([...importsOf.values()].flat().flatMap(faultOf)).toEqual([])
})

test('every folder of src/ has a layer', () => {
  const unknown = files.filter((file) => layerOf(file.path) === undefined).map((file) => file.path)
  expect(unknown).toEqual([])
})

/** Where threads, processes, users and the generated documents begin: nothing imports these. */
const entries =
  /^src\/(index|main|worker|cpu-worker|documentation|cli\/activemx)\.ts$|[/-](worker|entry)\.ts$/

test('every source but an entry is imported by another source', () => {
  const imported = new Set([...importsOf.values()].flat().map(({ target }) => target))
  const dead = files.filter(({ path }) => !imported.has(path) && !entries.test(path))
  expect(dead.map(({ path }) => path)).toEqual([])
})

test('the journey never waits: no await, no async, no promise', () => {
  const waiting = files
    .filter((file) => file.path.startsWith('src/journey/'))
    .filter((file) => /\bawait\s|\basync\s|\bnew Promise\b/.test(withoutComments(file.text)))
  expect(waiting.map((file) => file.path)).toEqual([])
})

function faultOf(found: Import): readonly string[] {
  const from = layerOf(found.from.path) ?? 0
  const says = `${found.from.path} -> ${found.target}`
  if (!found.target.startsWith('src/')) {
    const isOutside = !found.target.startsWith('test/') && !found.target.startsWith('bench/')
    if (!isOutside) return [`${says}: src/ imports no tests`]
    if (from === 0) return [`${says}: base imports nothing`]
    if (from === 3 && found.target !== 're2js') return [`${says}: the journey is pure`]
    if (from <= 2 && found.target.startsWith('node:')) return [`${says}: pure code has no node:*`]
    return []
  }
  const to = layerOf(found.target) ?? 0
  if (to < from || folderOf(found.from.path) === folderOf(found.target)) return []
  if (from === 5) return []
  if (from === 4 && to === 4) {
    const isAllowed = found.isTypeOnly || sharedFolders.has(folderOf(found.target))
    return isAllowed ? [] : [`${says}: parts of layer 4 know each other by type only`]
  }
  return [`${says}: layer ${from} imports layer ${to}`]
}

function layerOf(path: string): number | undefined {
  const folder = folderOf(path)
  if (folder === '') return 5
  if (!splitFolders.has(folder)) return folderLayers[folder]
  return isPure(path, new Set()) ? 1 : 4
}

/** A file of a split folder is pure when all it imports is pure or lower. */
function isPure(path: string, seen: Set<string>): boolean {
  if (seen.has(path)) return true
  seen.add(path)
  return (importsOf.get(path) ?? []).every((found) => {
    if (!found.target.startsWith('src/')) return false
    const folder = folderOf(found.target)
    if (splitFolders.has(folder)) return found.isTypeOnly || isPure(found.target, seen)
    return (folderLayers[folder] ?? 5) <= 1
  })
}

function folderOf(path: string): string {
  return /^src\/([^/]+)\//.exec(path)?.[1] ?? ''
}

function readImports(file: Source): readonly Import[] {
  const tree = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, false)
  const found: Import[] = []
  for (const node of tree.statements) {
    if (!ts.isImportDeclaration(node) && !ts.isExportDeclaration(node)) continue
    if (node.moduleSpecifier === undefined || !ts.isStringLiteral(node.moduleSpecifier)) continue
    const target = resolveImport(file.path, node.moduleSpecifier.text)
    found.push({ from: file, target, isTypeOnly: isTypeOnly(node) })
  }
  const visit = (node: ts.Node): void => {
    const isImport =
      ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
    const specifier = isImport ? node.arguments[0] : undefined
    if (specifier !== undefined && ts.isStringLiteral(specifier)) {
      const target = resolveImport(file.path, specifier.text)
      found.push({ from: file, target, isTypeOnly: false })
    }
    ts.forEachChild(node, visit)
  }
  visit(tree)
  return found
}

function isTypeOnly(node: ts.ImportDeclaration | ts.ExportDeclaration): boolean {
  if (ts.isExportDeclaration(node)) return node.isTypeOnly
  const clause = node.importClause
  if (clause === undefined) return false
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true
  const named = clause.namedBindings
  if (clause.name !== undefined || named === undefined || !ts.isNamedImports(named)) return false
  return named.elements.every((element) => element.isTypeOnly)
}

function resolveImport(from: string, specifier: string): string {
  if (!specifier.startsWith('.')) return specifier
  const url = new URL(specifier, `file:///${from}`)
  return decodeURIComponent(url.pathname.slice(1))
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '')
}
