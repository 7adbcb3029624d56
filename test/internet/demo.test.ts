/**
 * `npm run demo` as its reader runs it: to its end, until q, until a signal, into a pipe that
 * closes. However it ends, no process, no temporary file and no file beside it is left.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freshCopy } from '../packaging/fresh-copy.ts'
import { describeWith, findProgram, needsProgram, projectRoot } from '../support/needs.ts'

const program = join(projectRoot, 'dist/test/internet/demo.js')
const longSeconds = 600
let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-demo-test-'))
  mkdirSync(join(folder, 'tmp'))
  mkdirSync(join(folder, 'here'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** The demo, alone in a process group, with a temporary and a working folder of its own. */
class Demo {
  output = ''
  readonly #child: ChildProcess
  readonly #ended: Promise<number | NodeJS.Signals | null>

  constructor(...words: readonly string[]) {
    this.#child = spawn(words[0] ?? '', words.slice(1), {
      cwd: join(folder, 'here'),
      env: { ...process.env, TMPDIR: join(folder, 'tmp'), NODE_DISABLE_COMPILE_CACHE: '1' },
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8')
      stream?.on('data', (text: string) => {
        this.output += text
      })
    }
    this.#ended = new Promise((resolve) => {
      this.#child.once('close', (status, signal) => resolve(status ?? signal))
    })
  }

  /** Resolves once the text stands in the output; fails when the demo ends before. */
  async hasSaid(text: string): Promise<void> {
    const said = new Promise<void>((resolve) => {
      const look = (): void => {
        if (!this.output.includes(text)) return
        this.#child.stdout?.off('data', look)
        resolve()
      }
      this.#child.stdout?.on('data', look)
      look()
    })
    await Promise.race([said, this.#ended])
    expect(this.output).toContain(text)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  type(keys: string): void {
    this.#child.stdin?.write(keys)
  }

  stopReading(): void {
    this.#child.stdout?.destroy()
  }

  /** Its exit status, once nothing of it is left. */
  async end(): Promise<number | NodeJS.Signals | null> {
    const status = await this.#ended
    expect(() => process.kill(-(this.#child.pid ?? 0), 0), 'a process is left').toThrow('ESRCH')
    expect(readdirSync(join(folder, 'tmp')), 'temporary files').toEqual([])
    expect(readdirSync(join(folder, 'here')), 'files').toEqual([])
    return status
  }
}

const demo = (seconds: number): Demo => new Demo(process.execPath, program, `${seconds}`)

/** What may become of a letter in this world, by the network of its client. */
const outcomes: Readonly<Record<string, readonly string[]>> = {
  '127.1.0': ['delivered', 'forged sender'],
  '127.2.7': ['dialup', 'known by now'],
  '127.3.0': ['open relay', 'known by now'],
  '127.66.0': ['blacklist'],
}

interface Row {
  readonly outcome: string
  readonly client: string
  readonly sender: string
}

function rowsOf(output: string): Row[] {
  return output.split('\n').flatMap((line) => {
    const parts = /^(\S.{15})(127\.\S+) +<([^>]*)>/.exec(line)
    if (parts === null) return []
    const [, outcome = '', client = '', sender = ''] = parts
    return [{ outcome: outcome.trim(), client, sender }]
  })
}

function sumsOf(output: string): Record<string, number> {
  const line = output.split('\n').findLast((each) => each.includes(' · ')) ?? ''
  const sums = line.split(' · ').map((sum) => {
    const at = sum.lastIndexOf(' ')
    return [sum.slice(0, at), Number(sum.slice(at + 1))] as const
  })
  return Object.fromEntries(sums)
}

describeWith([needsProgram('npm')], '`npm run demo` in a fresh copy', () => {
  test('Show 4: builds, runs, ends by itself, leaves nothing', async () => {
    const copy = freshCopy()
    try {
      symlinkSync(join(projectRoot, 'build'), join(copy.path, 'build'))
      const before = filesIn(copy.path)
      const run = new Demo('npm', '--prefix', copy.path, 'run', 'demo', '--', '4')
      expect(await run.end()).toBe(0)
      expect(rowsOf(run.output).length).toBeGreaterThan(10)
      expect(sumsOf(run.output)['delivered']).toBeGreaterThan(0)
      expect(filesIn(copy.path)).toEqual(before)
    } finally {
      copy.remove()
    }
  }, 240_000)
})

/** What lies at the top of the copy; what is built lies below dist. */
function filesIn(path: string): readonly string[] {
  return readdirSync(path).toSorted()
}

describe('the demo', () => {
  test('ends by itself; each letter ends as its world says, the counts agree, no probe sent a message', async () => {
    const run = demo(8)
    expect(await run.end()).toBe(0)
    const rows = rowsOf(run.output)
    expect(rows.length).toBeGreaterThan(50)
    for (const { outcome, client, sender } of rows) {
      const network = client.slice(0, client.lastIndexOf('.'))
      expect(outcomes[network], `${client} ${outcome}`).toContain(outcome)
      const isForged = sender.startsWith('user')
      if (network === '127.1.0') expect(outcome === 'forged sender').toBe(isForged)
    }
    const sums = sumsOf(run.output)
    const counted = (outcome: string) => rows.filter((row) => row.outcome === outcome).length
    for (const outcome of new Set(rows.map((row) => row.outcome))) {
      expect(sums[outcome], outcome).toBe(counted(outcome))
    }
    const listed = run.output.split('\n').filter((line) => line.startsWith('→ listed')).length
    expect(sums['listed by feedback']).toBe(listed)
    expect(listed).toBeGreaterThan(0)
    const last = /holds (\d+) messages; (\d+) probes were made, (\d+) of them/.exec(run.output)
    expect(Number(last?.[1])).toBe(counted('delivered'))
    expect(Number(last?.[2])).toBeGreaterThan(0)
    expect(Number(last?.[3])).toBe(0)
  })

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    '%s ends it in order, and a second one does no harm',
    async (signal) => {
      const run = demo(longSeconds)
      await run.hasSaid('delivered')
      run.signal(signal)
      run.signal(signal)
      expect(await run.end()).toBe(0)
      expect(run.output).toMatch(/0 of them sent a message\n$/)
    },
  )

  test('a signal before its world stands ends it too', async () => {
    const run = demo(longSeconds)
    await run.hasSaid('An evening')
    run.signal('SIGTERM')
    expect(await run.end()).toBe(0)
  })

  test('nobody reads its output any more: it ends without a complaint', async () => {
    const run = demo(longSeconds)
    await run.hasSaid('delivered')
    run.stopReading()
    expect(await run.end()).toBe(0)
    const line = `"${process.execPath}" "${program}" ${longSeconds} | head -n 12`
    const piped = new Demo('bash', '-c', `set -o pipefail; ${line}`)
    expect(await piped.end()).toBe(0)
    expect(piped.output.split('\n')).toHaveLength(13)
  })
})

describeWith([needsProgram('script')], 'the demo on a terminal', () => {
  test.each([
    ['q', 'q'],
    ['Ctrl-C', '\x03'],
  ])('%s ends it', async (_name, keys) => {
    const line = `"${process.execPath}" "${program}" ${longSeconds}`
    const run = new Demo(findProgram('script') ?? '', '-qfec', line, '/dev/null')
    await run.hasSaid('delivered')
    run.type(keys)
    expect(await run.end()).toBe(0)
    expect(run.output).toContain('0 of them sent a message')
  })
})
