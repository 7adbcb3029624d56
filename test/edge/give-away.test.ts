/**
 * What root gives to the service's user, and what it must not: links, files of several names, and
 * whatever is put in the place of a folder while it is being walked.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { giveAway } from '../../src/edge/give-away.ts'
import { describeWith, needsRoot } from '../support/needs.ts'

const owner = { uid: 65534, gid: 65534 }

describeWith([needsRoot()], 'giveAway', () => {
  let folder = ''
  const at = (name: string) => join(folder, name)
  const ownersOf = (...names: readonly string[]) => names.map((name) => statSync(at(name)).uid)

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'activemx-give-'))
    for (const name of ['tree', 'tree/in', 'secret']) mkdirSync(at(name))
    for (const name of ['tree/file', 'tree/in/file', 'secret/file', 'secret/linked']) {
      writeFileSync(at(name), 'x', { mode: 0o600 })
    }
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  test('a tree whole, a folder with its files, a file alone; what is missing is passed over', () => {
    giveAway(at('none'), owner, 'tree')
    giveAway(at('tree'), owner, 'file')
    expect(ownersOf('tree', 'tree/file')).toEqual([owner.uid, 0])
    giveAway(at('tree'), owner, 'folder')
    expect(ownersOf('tree/file', 'tree/in', 'tree/in/file')).toEqual([owner.uid, 0, 0])
    giveAway(at('tree'), owner, 'tree')
    expect(ownersOf('tree/in', 'tree/in/file')).toEqual([owner.uid, owner.uid])
  })

  test('links and files of several names stay as they are, and no descriptor is left open', () => {
    symlinkSync(at('secret'), at('tree/link'))
    symlinkSync(at('secret/file'), at('tree/in/link'))
    linkSync(at('secret/linked'), at('tree/linked'))
    const open = readdirSync('/proc/self/fd').length
    giveAway(at('tree'), owner, 'tree')
    giveAway(at('tree/link'), owner, 'tree')
    expect(ownersOf('secret', 'secret/file', 'secret/linked')).toEqual([0, 0, 0])
    expect(readdirSync('/proc/self/fd')).toHaveLength(open)
  })

  test('a folder that is swapped for a link again and again: nothing behind the link is given', async () => {
    symlinkSync(at('secret'), at('link'))
    const swap =
      'mv -T tree/in kept && mv -T link tree/in && mv -T tree/in link && mv -T kept tree/in'
    const swapping = spawn('sh', ['-c', `touch begun; while [ ! -e end ]; do ${swap}; done`], {
      cwd: folder,
    })
    const ended = once(swapping, 'close')
    await expect.poll(() => existsSync(at('begun')), { timeout: 30_000 }).toBe(true)
    for (let walks = 0; walks < 2_000; walks++) giveAway(at('tree'), owner, 'tree')
    writeFileSync(at('end'), '')
    await ended
    expect(ownersOf('secret', 'secret/file', 'secret/linked')).toEqual([0, 0, 0])
  }, 120_000)
})
