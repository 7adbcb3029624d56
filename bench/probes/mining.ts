/**
 * A large mail log mined by the command itself, in a process of its own that is killed half-way and
 * begun again: how long, in how much memory, and is every address there, once?
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openStore } from '../../src/store/open-store.ts'
import { Store } from '../../src/store/store.ts'
import { WhitelistStore } from '../../src/store/whitelist-store.ts'

/** What it came to. */
export interface MiningMeasure {
  readonly addresses: number
  /** Both runs. */
  readonly seconds: number
  /** The largest that the process was, without the mapped store. */
  readonly memoryMb: number
  readonly storeMb: number
}

const recipientsOfMessage = 50
const program = 'dist/src/cli/activemx.js'

/** Mines a Postfix log with so many recipients into a store below the folder. */
export async function mineMany(folder: string, addresses: number): Promise<MiningMeasure> {
  const log = join(folder, 'maillog')
  const config = join(folder, 'mining.toml')
  const path = join(folder, 'mined')
  writeLog(log, addresses)
  writeFileSync(
    config,
    `name = "mx.home.example"
listen.smtp = ["127.0.0.1:2525"]
mailhost.addresses = ["127.0.0.1:2526"]
recipients.domains = ["home.example"]
store.path = ${JSON.stringify(path)}
`,
  )
  const startMs = performance.now()
  const halfOctets = 20_000_000 * (addresses / 2_000_000)
  const killed = await run(log, config, () => sizeOf(join(path, 'data.mdb')) > halfOctets)
  const whole = await run(log, config, () => false)
  const seconds = (performance.now() - startMs) / 1000
  if (killed.status === 0 || whole.status !== 0) throw new Error('not killed, or failed')
  const store = new Store(openStore(path, ignore), { sizeMaxOctets: 2 ** 40, report: ignore })
  const whitelist = new WhitelistStore(store)
  const last = `u${addresses - 1}@d${(addresses - 1) % 1000}.example`
  const count = whitelist.has(last) ? whitelist.size : 0
  await store.close()
  const memoryMb = Math.max(killed.memoryMb, whole.memoryMb)
  return { addresses: count, seconds, memoryMb, storeMb: sizeOf(join(path, 'data.mdb')) / 1e6 }
}

/** Runs the command to its end, or kills it as soon as `isEnough`. */
async function run(log: string, config: string, isEnough: () => boolean) {
  const words = [program, 'whitelist', 'mine', log, '--config', config]
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'inherit'] })
  let memoryMb = 0
  const timer = setInterval(() => {
    memoryMb = Math.max(memoryMb, memoryOf(child.pid ?? 0))
    if (isEnough()) child.kill('SIGKILL')
  }, 50)
  const [status] = (await once(child, 'close')) as [number | null]
  clearInterval(timer)
  return { status, memoryMb }
}

/** Messages of ours to many recipients each, none of them twice. */
function writeLog(log: string, addresses: number): void {
  writeFileSync(log, '')
  let lines: string[] = []
  for (let index = 0; index < addresses; index++) {
    const id = `Q${Math.floor(index / recipientsOfMessage).toString(16)}`
    const stamp = 'Nov 22 12:00:00 mx postfix'
    const isFirst = index % recipientsOfMessage === 0
    if (isFirst) lines.push(`${stamp}/qmgr[1]: ${id}: from=<ann@home.example>, size=900, nrcpt=50`)
    const to = `to=<u${index}@d${index % 1000}.example>`
    lines.push(`${stamp}/smtp[2]: ${id}: ${to}, relay=mx[192.0.2.1]:25, status=sent (250 ok)`)
    if ((index + 1) % recipientsOfMessage === 0) lines.push(`${stamp}/qmgr[1]: ${id}: removed`)
    if (lines.length < 50_000 && index < addresses - 1) continue
    appendFileSync(log, `${lines.join('\n')}\n`)
    lines = []
  }
}

/** Memory of its own: what it has mapped of the store may go at any time. */
function memoryOf(pid: number): number {
  try {
    const found = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    return Number(found?.[1] ?? 0) / 1000
  } catch {
    // It has ended meanwhile.
    return 0
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

function ignore(): void {}
