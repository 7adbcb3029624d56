/**
 * Generated pages are up to date, and the example configuration is right.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { sections } from '../../src/config/explain.ts'
import { faultLine, loadConfig, parseConfig } from '../../src/config/load.ts'
import { configurationPage, logFieldTables } from '../../src/documentation.ts'
import { runCommand } from '../support/command-line.ts'
import { projectRoot } from '../support/needs.ts'

function page(name: string): string {
  return readFileSync(join(projectRoot, 'docs', name), 'utf8')
}

test('docs/configuration.md is what the schema says: npm run docs', () => {
  expect(page('configuration.md')).toBe(configurationPage())
})

test('the tables of docs/log.md are what the log writes: npm run docs', () => {
  expect(page('log.md').split('<!-- fields -->')[1]).toBe(`\n\n${logFieldTables()}`)
})

test('every setting is documented in a sentence', () => {
  const bare = sections().flatMap(({ settings }) =>
    settings.filter(({ setting }) => setting.doc.length < 10).map(({ key }) => key),
  )
  expect(bare).toEqual([])
})

test('examples/activemx.toml passes the check', () => {
  const loaded = loadConfig(join(projectRoot, 'examples/activemx.toml'))
  expect(loaded.ok ? [] : loaded.error.map(faultLine)).toEqual([])
})

test('examples/activemx.toml passes the check with everything in it switched on', () => {
  const text = readFileSync(join(projectRoot, 'examples/activemx.toml'), 'utf8')
  const whole = text.replaceAll(/^# (?=\[|[a-z_]+ = )/gm, '')
  const loaded = parseConfig(whole, '/etc/activemx')
  expect(loaded.ok ? [] : loaded.error.map(faultLine)).toEqual([])
  expect(whole.match(/^\[\[/gm)).toHaveLength(4)
})

test('docs/commands.md names every command that the program has', async () => {
  const { printed } = await runCommand('--help')
  const names = [...printed.join('\n').matchAll(/^ {2}([a-z][a-z-]+)/gm)].map(
    ([, name = '']) => name,
  )
  expect(names.length).toBeGreaterThan(5)
  const text = page('commands.md')
  expect(names.filter((name) => name !== 'help' && !text.includes(`\`activemx ${name}`))).toEqual(
    [],
  )
})
