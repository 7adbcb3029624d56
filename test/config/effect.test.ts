/**
 * Every setting has an effect: its name in the program stands somewhere outside src/config/.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { schema } from '../../src/config/schema.ts'
import type { Children } from '../../src/config/setting.ts'
import { projectRoot } from '../support/needs.ts'

/** Settings of the live page, which is still to come. */
const awaited = ['http.tokenFile']

test('no setting is only read and checked', () => {
  const program = programText()
  const unread = settingNames(schema, '').filter(([, name]) => {
    return !new RegExp(`\\b${name}\\b`).test(program)
  })
  const names = unread.map(([path]) => path.replace(/^stress\./, ''))
  expect(names.filter((name) => !awaited.includes(name))).toEqual([])
})

/** Path and name of each in the program. */
function settingNames(children: Children, path: string): readonly (readonly [string, string])[] {
  return Object.entries(children).flatMap(([name, node]) => {
    if (node.kind === 'setting') return [[`${path}${name}`, name] as const]
    return settingNames(node.children, `${path}${name}.`)
  })
}

function programText(): string {
  const source = join(projectRoot, 'src')
  return readdirSync(source, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .filter((entry) => !entry.parentPath.includes('src/config'))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
    .join('\n')
}
