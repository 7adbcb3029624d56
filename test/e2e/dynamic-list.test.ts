/**
 * The list `dynamic` of a running instance: an operator's entry works at once in the gate, outlives
 * a kill, and its removal works at once (B23, the operator's half).
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { projectRoot } from '../support/needs.ts'

const program = join(projectRoot, 'dist/src/cli/activemx.js')
let folder = ''
let child: ChildProcess | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-dynamic-'))
  writeFileSync(
    join(folder, 'activemx.toml'),
    `
name = "mx.example.net"
listen.smtp = ["127.0.0.1:0"]
listen.workers = 1
mailhost.addresses = ["127.0.0.1:1"]
recipients.domains = ["example.net"]
lists.allow_loopback = true
control.socket = "control.sock"
store.path = "store"
log.to = "log"
process.user = ""
`,
  )
})

afterEach(async () => {
  await kill()
  rmSync(folder, { recursive: true, force: true })
})

test('B23 an entry refuses at connect at once, outlives kill -9, and goes at once', {
  timeout: 120_000,
}, async () => {
  expect(await greetingOf(await startInstance())).toMatch(/^220 /)
  list('add', '127.0.0.9', '--reason', 'flood')
  expect(await greetingOf(portOf())).toMatch(/^554 5\.7\.1 /)

  await kill()
  expect(await greetingOf(await startInstance())).toMatch(/^554 5\.7\.1 /)
  list('remove', '127.0.0.9/32')
  expect(await greetingOf(portOf())).toMatch(/^220 /)
})

function list(...words: readonly string[]): void {
  const [verb = '', ...rest] = words
  const config = ['--config', join(folder, 'activemx.toml')]
  execFileSync(process.execPath, [program, 'list', 'dynamic', verb, ...rest, ...config])
}

/** Starts the instance; resolves with its port when it serves and can be asked. */
async function startInstance(): Promise<number> {
  rmSync(join(folder, 'log'), { force: true })
  const words = [program, 'serve', '--config', join(folder, 'activemx.toml')]
  child = spawn(process.execPath, words, { stdio: 'ignore' })
  const wait = { timeout: 60_000, interval: 200 }
  await vi.waitFor(() => list('show'), wait)
  return vi.waitFor(portOf, wait)
}

/** The port of the `ready` record; throws while there is none. */
function portOf(): number {
  const [, port] = /listening on [\d.]+:(\d+)/.exec(readFileSync(join(folder, 'log'), 'utf8')) ?? []
  if (port === undefined) throw new Error('not ready yet')
  return Number(port)
}

async function kill(): Promise<void> {
  const ended = child
  child = undefined
  if (ended === undefined || ended.exitCode !== null) return
  const gone = new Promise((resolve) => ended.once('exit', resolve))
  ended.kill('SIGKILL')
  await gone
}

/** The first line that a client from 127.0.0.9 gets. */
function greetingOf(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.9' })
    socket.once('data', (octets) => {
      socket.destroy()
      resolve(octets.toString('latin1'))
    })
    socket.once('error', reject)
  })
}
