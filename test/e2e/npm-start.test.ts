/**
 * `npm start` in a fresh copy, as a newcomer does it: each printed line does what is printed above
 * it. Show 1 of the main job.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { freshCopy } from '../packaging/fresh-copy.ts'
import { describeWith, needsProgram, projectRoot } from '../support/needs.ts'
import { runProgram } from '../support/programs.ts'

/** A network of its own, where that may be had: the port that is printed is always free there. */
const ownNetwork = ['--net', '--', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh']

describeWith([needsProgram('swaks', 'npm')], 'npm start without a configuration', () => {
  let copy: ReturnType<typeof freshCopy>
  let child: ChildProcess
  let printed = ''
  let hasOwnNetwork = false

  beforeAll(async () => {
    copy = freshCopy()
    symlinkSync(join(projectRoot, 'build'), join(copy.path, 'build'))
    hasOwnNetwork = (await runProgram('unshare', [...ownNetwork, 'true'])).status === 0
    const words = hasOwnNetwork ? ['unshare', ...ownNetwork, 'npm', 'start'] : ['npm', 'start']
    // A process group of its own: a terminal's Ctrl-C goes to all of it.
    child = spawn(words[0] ?? '', words.slice(1), { cwd: copy.path, detached: true })
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        printed += text
      })
    }
    await vi.waitFor(() => expect(printed).toContain('"what":"ready"'), { timeout: 60_000 })
  }, 90_000)

  afterAll(() => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid ?? 0))
    copy.remove()
  })

  /** Runs the line that is printed under a heading, as it stands. */
  async function runPrinted(heading: string): Promise<string> {
    const lines = printed.split('\n')
    const at = lines.findIndex((line) => line.startsWith(heading))
    const words = ['sh', '-c', `cd '${copy.path}' && ${lines[at + 1]?.trim()}`]
    const inside = ['--net', '--target', String(child.pid), '--', ...words]
    const [name = '', ...rest] = hasOwnNetwork ? ['nsenter', ...inside] : words
    return (await runProgram(name, rest)).output
  }

  function records(event: string): readonly Record<string, unknown>[] {
    const lines = printed.split('\n').filter((line) => line.startsWith('{'))
    return lines.map((line) => JSON.parse(line)).filter((record) => record.event === event)
  }

  test('a message that is delivered lies in var/mail/new, and the log has its verdict', async () => {
    expect(await runPrinted('A message that is delivered')).toContain('250 2.0.0 Filed')
    const folder = join(copy.path, 'var/mail/new')
    const texts = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'))
    expect(texts).toEqual([expect.stringContaining('This is a test mailing')])
    const verdict = {
      action: 'pass',
      sender: 'you@sender.example',
      recipients: ['me@example.test'],
    }
    await expect.poll(() => records('verdict')).toMatchObject([verdict])
  })

  test('a listed address gets the 554, and the log has its verdict', async () => {
    expect(await runPrinted('A listed address')).toMatch(/^<\*\* 554 5\.7\.1 .*127\.0\.0\.66/m)
    const verdict = { action: 'refuse', client: '127.0.0.66', finding: 'blacklist' }
    await expect.poll(() => records('verdict').at(-1)).toMatchObject(verdict)
  })

  test('a recipient that is not ours gets the 550', async () => {
    expect(await runPrinted('A recipient that is not ours')).toMatch(/^<\*\* 550 5\.7\.1 /m)
  })

  test('what it is doing, and what it knows of an address', async () => {
    const said = await runPrinted('What it is doing')
    expect(said).toContain('listening on 127.0.0.1:2525')
    expect(said).toMatch(/^127\.0\.0\.66: refuse: listed in example/m)
  })

  test('Ctrl-C ends it', async () => {
    const ended = once(child, 'close')
    process.kill(-(child.pid ?? 0), 'SIGINT')
    await ended
    expect(records('service').at(-1)).toMatchObject({ what: 'stop' })
  })
})
