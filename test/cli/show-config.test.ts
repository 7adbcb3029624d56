/**
 * `show-config` prints settings as an operator writes them.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { settingsOf } from '../../src/config/differences.ts'
import { sections } from '../../src/config/explain.ts'
import { loadConfig, parseConfig } from '../../src/config/load.ts'
import { runCommand } from '../support/command-line.ts'

const text = `
name = "mx.example.net"
[listen]
smtp = ["192.0.2.1:25", "[2001:db8::1]:25"]
rate_max = "90/h"
stop_wait = "90s"
[mailhost]
addresses = ["192.0.2.9:25"]
[recipients]
domains = ["example.net"]
[body]
size_max = "30MB"
[cache]
`

test('what it prints is a configuration that says the same, every setting once', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'activemx-show-'))
  const file = join(folder, 'activemx.toml')
  writeFileSync(file, text)
  const { status, printed } = await runCommand('show-config', '--config', file)
  expect(status).toBe(0)
  const keys = printed.map((line) => line.split(' = ')[0])
  const single = sections().flatMap(({ settings }) => settings.map(({ key }) => key))
  expect(keys).toEqual(single.filter((key) => !key.includes('[')))
  const [before, after] = [loadConfig(file), parseConfig(printed.join('\n'), folder)]
  if (!before.ok || !after.ok) throw new Error(JSON.stringify([before, after]))
  expect(settingsOf(after.value)).toEqual(settingsOf(before.value))
  rmSync(folder, { recursive: true, force: true })
})
