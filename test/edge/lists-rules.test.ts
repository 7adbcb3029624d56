/**
 * Rules of the gate around a load: a table never stands under rules that are stricter than both
 * configurations, however short the moment.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Lists } from '../../src/edge/lists.ts'
import { type ClassRule, ruleOf } from '../../src/io/gate.ts'
import { testConfig } from '../support/running-proxy.ts'

const inBlack = '62.1.0.1'
const inWatched = '62.2.0.1'
const inBoth = '62.3.0.1'

let folder = ''
let lists: Lists | undefined
/** The rules that were in force when tables were published, and the table until then. */
let meanwhile: { readonly rules: readonly ClassRule[]; readonly classOfWatched: number }[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-rules-'))
  meanwhile = []
})
afterEach(async () => {
  await lists?.close()
  lists = undefined
  rmSync(folder, { recursive: true, force: true })
})

function configOf(actions: Readonly<Record<string, string>>, watched = inWatched) {
  writeFileSync(join(folder, 'black.txt'), `${inBlack}\n${inBoth}\n`)
  writeFileSync(join(folder, 'watched.txt'), `${watched}\n${inBoth}\n`)
  const blacklist = Object.entries(actions).map(([name, action]) => {
    return { name, file: join(folder, `${name}.txt`), action, change_max: 1 }
  })
  return testConfig([25], { lists: { blacklist } }, folder)
}

async function load(config: ReturnType<typeof configOf>): Promise<void> {
  if (lists !== undefined) {
    await lists.reload(config)
    return
  }
  lists = await Lists.open(config, {
    onReport: () => {},
    onFault: () => {},
    onRules: () => {
      const { gate, tables } = lists ?? {}
      const classOfWatched = tables?.blacklist.lookupClass(inWatched) ?? -1
      meanwhile.push({ rules: gate?.classRules ?? [], classOfWatched })
    },
    onChange: () => {},
  })
}

/** What becomes of a host of the table as it is now. */
function actionOf(address: string, rules = lists?.gate.classRules ?? []): string | undefined {
  const verdictClass = lists?.tables?.blacklist.lookupClass(address) ?? 0
  return verdictClass === 0 ? 'pass' : ruleOf(rules, verdictClass)?.action
}

test('an observed list that comes: its hosts are observed from its first moment on', async () => {
  await load(configOf({ black: 'refuse' }))
  await load(configOf({ black: 'refuse', watched: 'observe' }))
  expect(meanwhile.map(({ classOfWatched }) => classOfWatched)).toEqual([0])
  for (const rules of [meanwhile[0]?.rules, lists?.gate.classRules]) {
    expect(actionOf(inWatched, rules)).toBe('observe')
    expect(actionOf(inBlack, rules)).toBe('refuse')
  }
  expect(actionOf(inBoth)).toBe('refuse')
})

test('a list is switched to observe with a new host in it, and back without another', async () => {
  await load(configOf({ watched: 'refuse' }, '62.2.0.9'))
  await load(configOf({ watched: 'observe' }))
  expect(actionOf(inWatched, meanwhile.at(-1)?.rules)).toBe('observe')
  await load(configOf({ watched: 'refuse' }, '62.2.0.8'))
  expect(actionOf(inBoth, meanwhile.at(-1)?.rules)).toBe('observe')
  expect(actionOf(inBoth)).toBe('refuse')
})

test('a list goes: who is in an observed one alone is not taken for one of the others', async () => {
  await load(configOf({ black: 'refuse', watched: 'observe' }, inBoth))
  await load(configOf({ watched: 'observe' }, inBoth))
  expect(actionOf(inBoth, meanwhile.at(-1)?.rules)).toBe('observe')
  expect(actionOf(inBoth)).toBe('observe')
})

test('where all lists do the same the rules change with the tables, once', async () => {
  await load(configOf({ black: 'refuse' }))
  await load(configOf({ black: 'refuse', watched: 'refuse' }))
  expect(meanwhile).toEqual([])
})

test('a packed list without a name of its own: its hosts are observed as it says', async () => {
  writeFileSync(join(folder, 'watched.netset.gz'), gzipSync(`${inWatched}\n`))
  const file = 'watched.netset.gz'
  const reply = '554 5.7.1 Watched, {list}'
  const config = testConfig(
    [25],
    { lists: { blacklist: [{ file, action: 'observe', reply }] } },
    folder,
  )
  await load(config)
  expect(actionOf(inWatched)).toBe('observe')
  const verdictClass = lists?.tables?.blacklist.lookupClass(inWatched) ?? 0
  const rule = ruleOf(lists?.gate.classRules ?? [], verdictClass)
  expect(rule?.reply).toBe('554 5.7.1 Watched, watched\r\n')
})
