/**
 * The packed package with its prebuilt addon serves an install that runs no scripts and has no
 * compiler.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { freshCopy, run } from './fresh-copy.ts'

describe('npm pack', () => {
  const copy = freshCopy()
  const target = mkdtempSync(join(tmpdir(), 'activemx-install-'))
  afterAll(() => {
    copy.remove()
    rmSync(target, { recursive: true, force: true })
  })

  test('installs with --ignore-scripts into an empty folder and answers a lookup', {
    timeout: 600_000,
  }, () => {
    run(copy.path, 'npm', 'pack', '--pack-destination', target)
    const tarball = readdirSync(target).find((name) => name.endsWith('.tgz')) ?? ''
    writeFileSync(join(target, 'package.json'), '{"private":true,"type":"module"}')
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']
    run(target, 'npm', 'install', ...flags, `./${tarball}`)
    expect(lookUp(target)).toEqual({ isNative: true, lists: ['drop'] })
  })
})

function lookUp(folder: string): unknown {
  const script = `
    import { IpTable } from 'activemx'
    const table = IpTable.fromPrefixes([{ prefix: '192.0.2.0/24', list: 'drop' }])
    const { lists } = table.lookup('192.0.2.7')
    console.log(JSON.stringify({ isNative: table.handle > 0, lists }))`
  return JSON.parse(run(folder, process.execPath, '--input-type=module', '-e', script))
}
