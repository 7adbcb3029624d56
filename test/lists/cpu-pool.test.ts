import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { newCpuPool } from '../../src/cpu-pool.ts'
import { describeWith, needsProgram, projectRoot } from '../support/needs.ts'

describeWith([needsProgram('setpriv', 'nice')], 'threads of a process of low priority', () => {
  test('start, though nobody but root may raise a priority', () => {
    const pool = pathToFileURL(join(projectRoot, 'dist/src/cpu-pool.js')).href
    const program = `
      import { newCpuPool } from '${pool}'
      const pool = newCpuPool(1)
      await pool.run('loadImage', {}).catch((fault) => console.log('ran:', fault.message))
      await pool.close()`
    const rights = ['--bounding-set=-sys_nice', '--inh-caps=-sys_nice']
    const words = ['nice', '-n', '19', process.execPath, '--input-type=module', '-e', program]
    const isRoot = process.getuid?.() === 0
    const [command = '', ...rest] = isRoot ? ['setpriv', ...rights, ...words] : words
    const { status, stdout, stderr } = spawnSync(command, rest, { encoding: 'utf8' })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain('ran:')
  })
})

test('a thread that cannot start fails every task that waits, not the process', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'activemx-pool-'))
  const entry = join(folder, 'entry.mjs')
  writeFileSync(entry, `import './gone.mjs'`)
  const pool = newCpuPool(1, entry)
  try {
    const asked = await Promise.allSettled([pool.run('one', {}), pool.run('two', {})])
    const failed = { status: 'rejected', reason: { code: 'CPU_THREAD' } }
    expect(asked).toMatchObject([failed, failed])
    writeFileSync(join(folder, 'gone.mjs'), '')
    writeFileSync(entry, `import './gone.mjs'\nexport const one = () => 'done'`)
    expect(await pool.run('one', {})).toBe('done')
  } finally {
    await pool.close()
    rmSync(folder, { recursive: true, force: true })
  }
})
