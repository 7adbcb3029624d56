/**
 * kill -9 of the proxy or the mailhost at random under load: nothing acknowledged is lost, nothing
 * arrives cut. Promise 1; Show 4 of the main job.
 *
 * The proxy runs as a program before a Postfix of the tests' own. Clients send numbered messages and
 * note which were acknowledged, killers kill and start again; in the end every acknowledged message
 * must be filed, whole. `ACTIVEMX_KILL_MESSAGES` sets the count (100,000 by `npm run test:kills`).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { describeWith, needsProgram, needsRoot, projectRoot } from '../support/needs.ts'
import { freePort, portAnswers } from '../support/ports.ts'
import { type Postfix, startPostfix } from '../support/postfix.ts'
import { Random } from '../support/random.ts'
import { SmtpClient } from '../support/smtp-client.ts'

const messages = Number(process.env['ACTIVEMX_KILL_MESSAGES'] ?? 10_000)
const clients = 20
const killsMax = Math.max(10, messages / 500)

describeWith([needsProgram('postfix'), needsRoot()], 'kill -9 under load', () => {
  test(`${messages} messages: none acknowledged and lost, none cut`, {
    timeout: 3_600_000,
  }, async () => {
    const postfix = await startPostfix(['maillog_file = /dev/null', 'maillog_file_prefixes = /dev'])
    const proxy = await KillableProxy.start(postfix.port)
    const ledger = new Set<number>()
    try {
      let next = 0
      const take = () => (next < messages ? next++ : undefined)
      const isOver = () => next >= messages
      const senders = Array.from({ length: clients }, () => sendAll(proxy.port, take, ledger))
      const kills = await killAtRandom(proxy, postfix, isOver)
      await Promise.all(senders)
      expect(kills).toBeGreaterThan(0)
      await judge(postfix, ledger)
    } finally {
      await proxy.end()
      postfix.remove()
    }
  })
})

/** Every acknowledged number is filed, and no message is cut. */
async function judge(postfix: Postfix, ledger: ReadonlySet<number>): Promise<void> {
  const filed = () =>
    new Set(postfix.messages().map((text) => Number(/^X-Number: (\d+)/m.exec(text)?.[1])))
  const lost = () => {
    const numbers = filed()
    return [...ledger].filter((number) => !numbers.has(number))
  }
  await expect.poll(lost, { timeout: 300_000, interval: 2_000 }).toEqual([])
  for (const text of postfix.messages()) expect(text).toMatch(/\nend of message \d+\n*$/)
}

/** Sends numbers until there are no more; each until it is acknowledged or was refused for good. */
async function sendAll(
  port: number,
  take: () => number | undefined,
  ledger: Set<number>,
): Promise<void> {
  for (let number = take(); number !== undefined; number = take()) {
    while (!(await sendOne(port, number))) await sleep(20)
    ledger.add(number)
  }
}

/** True when the message was acknowledged. */
async function sendOne(port: number, number: number): Promise<boolean> {
  try {
    const client = await SmtpClient.open(port)
    const said = await client.saysAll(
      'EHLO client.example',
      `MAIL FROM:<${number}@x.example>`,
      'RCPT TO:<b@example.test>',
      'DATA',
    )
    if (!said.startsWith('354')) {
      client.leave()
      return false
    }
    const body = `${'x'.repeat(70)}\r\n`.repeat(number % 40)
    const reply = await client.says(
      `X-Number: ${number}\r\n\r\n${body}end of message ${number}\r\n.`,
    )
    client.leave()
    return reply.startsWith('250')
  } catch {
    // Killed in between: nothing was acknowledged.
    return false
  }
}

/** Kills one of the two every second or so until the load is over. @returns how often. */
async function killAtRandom(
  proxy: KillableProxy,
  postfix: Postfix,
  isOver: () => boolean,
): Promise<number> {
  const random = new Random(2026)
  let kills = 0
  while (!isOver() && kills < killsMax) {
    await sleep(300 + random.below(1_000))
    if (random.below(4) === 0) {
      postfix.kill()
      await postfix.start()
    } else await proxy.killAndStart()
    kills++
  }
  return kills
}

/** A proxy as a program of its own. */
class KillableProxy {
  readonly port: number
  readonly #folder: string
  #process: ChildProcess

  static async start(mailhostPort: number): Promise<KillableProxy> {
    const folder = mkdtempSync(join(tmpdir(), 'activemx-kills-'))
    const port = await freePort()
    writeFileSync(
      join(folder, 'activemx.toml'),
      `name = "mx.example.test"
[listen]
smtp = ["127.0.0.1:${port}"]
workers = 2
per_address_max = 0
rate_max = ""
[mailhost]
addresses = ["127.0.0.1:${mailhostPort}"]
retry = "500ms"
[recipients]
domains = ["example.test"]
[tests.headers]
mode = "off"
[log]
to = "log"
[process]
user = ""
[store]
path = "store"
[control]
socket = "control.sock"
[http]
address = ""
`,
    )
    const proxy = new KillableProxy(port, folder)
    await portAnswers(port)
    return proxy
  }

  constructor(port: number, folder: string) {
    this.port = port
    this.#folder = folder
    this.#process = this.#spawn()
  }

  async killAndStart(): Promise<void> {
    this.#process.kill('SIGKILL')
    await new Promise((resolve) => this.#process.once('close', resolve))
    this.#process = this.#spawn()
    await portAnswers(this.port)
  }

  async end(): Promise<void> {
    this.#process.kill('SIGKILL')
    await new Promise((resolve) => this.#process.once('close', resolve))
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #spawn(): ChildProcess {
    const program = join(projectRoot, 'dist/src/cli/activemx.js')
    const words = ['serve', '--config', join(this.#folder, 'activemx.toml')]
    return spawn(process.execPath, [program, ...words], { stdio: 'ignore' })
  }
}
