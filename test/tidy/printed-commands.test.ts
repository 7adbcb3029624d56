/**
 * Commands that the pages print are commands that the program has, with the options that it takes;
 * scripts of npm are those of the package.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runCommand } from '../support/command-line.ts'
import { projectRoot } from '../support/needs.ts'

const pages = [
  ...['README.md', 'CONTRIBUTING.md', 'ARCHITECTURE.md', 'examples/activemx.service'],
  ...['examples/activemx.toml'],
  ...readdirSync(join(projectRoot, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]

/** What stands in backquotes or in a block, `\|` of tables read as "or". */
function commandsOf(program: string): readonly { readonly page: string; readonly words: string }[] {
  return pages.flatMap((page) => {
    const text = readFileSync(join(projectRoot, page), 'utf8').replaceAll('\\|', '|')
    const spans = [...text.matchAll(/`([^`]+)`/g)].map(([, span = '']) => span)
    const lines = text.split('\n').map((line) => line.replace(/^(?:Exec\w+=)?\/usr\/bin\//, ''))
    const all = [...spans.map((span) => span.replaceAll(/\s+/g, ' ')), ...lines]
    return all
      .flatMap((one) => one.split(/ && |; /))
      .filter((one) => one.startsWith(`${program} `))
      .map((one) => ({ page, words: one.replace(/ +#.*/, '') }))
  })
}

/** Undefined where there is no such command: the help is that of the one above it then. */
async function helpOf(...words: readonly string[]): Promise<string | undefined> {
  const { printed } = await runCommand(...words, '--help')
  const help = printed.join('\n')
  return help.startsWith(`Usage: ${['activemx', ...words].join(' ')} `) ? help : undefined
}

/** The help of the command that the words name, of the one below it where there is one. */
async function helpFor(first: string, second: string): Promise<string | undefined> {
  const help = await helpOf(first)
  if (help === undefined || !help.includes('\nCommands:')) return help
  const each = second.split('|').map((name) => helpOf(first, name))
  const below = await Promise.all(each)
  return below.includes(undefined) ? undefined : below.join('\n')
}

test('each `activemx …` of the pages is a command with options that it takes', async () => {
  const found = commandsOf('activemx')
  expect(found.length).toBeGreaterThan(35)
  const wrong: string[] = []
  for (const { page, words } of found) {
    const [, first = '', second = ''] = words.split(' ')
    if (first.startsWith('-') || /^[A-Z…]/.test(first)) continue
    const help = await helpFor(first, second)
    const options = words.match(/--[a-z][a-z-]*/g) ?? []
    const unknown = options.filter((option) => help?.includes(option) !== true)
    if (help === undefined || unknown.length > 0) wrong.push(`${page}: ${words}: ${unknown}`)
  }
  expect(wrong).toEqual([])
})

test('each `npm run …` of the pages is a script of the package', () => {
  const { scripts } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'))
  const found = commandsOf('npm').filter(({ words }) => words.startsWith('npm run '))
  expect(found.length).toBeGreaterThan(5)
  const unknown = found.filter(({ words }) => scripts[words.split(' ')[2] ?? ''] === undefined)
  expect(unknown).toEqual([])
})
