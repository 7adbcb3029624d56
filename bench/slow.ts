/**
 * Question: what do thousands of slow clients do to an honest one, and how long do they last?
 *
 * Half of them say nothing behind the greeting, half send an octet a second and never a line; none
 * closes. Among them an honest client sends message after message. The server is on core 0, all
 * others on core 1. Once as usual, once under stress that lasts until the last of them is gone: by
 * its defaults it ends when 0.6 of the places are taken, and whoever is left has the usual time.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { needsProgram } from '../test/support/needs.ts'
import {
  atMost,
  type Bar,
  type BenchOptions,
  type BenchQuestion,
  type BenchResult,
  type Measurement,
} from './bench.ts'
import { startActivemx, startSink } from './peers/proxies.ts'
import { compilePeer, loadCore, runOn, type Server } from './processes.ts'

/** A way to serve, and how long slow clients may last there. */
interface Setting {
  readonly name: string
  /** Further sections of the configuration. */
  readonly sections: string
  readonly secondsMax: number
}

const usual: Setting = { name: 'as usual', sections: '', secondsMax: 60 }
const stressed: Setting = {
  name: 'under stress',
  sections: '[stress]\nat = 0.01\nuntil = 0.00001',
  secondsMax: 10,
}
/** A deadline fires up to a second late; who is still sending then is read for a moment. */
const lateSeconds = 1.7
const octetsMax = 32 * 1024

/** `npm run bench slow`. */
export const slow: BenchQuestion = {
  name: 'slow',
  title: 'An honest client among slow ones',
  run,
}

async function run({ isQuick }: BenchOptions): Promise<BenchResult> {
  const missing = needsProgram('smtp-sink', 'taskset', 'cc')
  if (missing !== undefined) return { measurements: [], bars: [], notes: [missing] }
  const folder = mkdtempSync(join(tmpdir(), 'activemx-bench-slow-'))
  const clients = isQuick ? 1000 : 10_000
  const measurements: Measurement[] = []
  const bars: Bar[] = []
  const sink = await startSink()
  try {
    const peers = { slow: compilePeer('slow', folder), honest: compilePeer('dialogue', folder) }
    for (const setting of isQuick ? [stressed] : [usual, stressed]) {
      const listen = 'sessions_per_worker_max = 20_000'
      const { sections } = setting
      const server = await startActivemx(folder, sink.port, { listen, sections })
      try {
        const told = await among(server, peers, clients)
        measurements.push(...rowsOf(setting, clients, told))
        bars.push(...barsOf(setting, clients, told))
      } finally {
        await server.stop()
      }
    }
  } finally {
    await sink.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  const notes = ['half of the slow clients are silent, half send an octet a second']
  return { measurements, bars, notes }
}

/** What a series tells. */
interface Told {
  /** Connect to the reply to EHLO, milliseconds. */
  readonly p50: number
  readonly p99: number
  /** From connect to end of the slow client that lasted longest. */
  readonly seconds: number
  readonly octetsEach: number
}

async function among(
  server: Server,
  peers: { readonly slow: string; readonly honest: string },
  clients: number,
): Promise<Told> {
  const honest = async () => {
    const said = await runOn(loadCore, peers.honest, String(server.port), '1000', '0')
    return said.split(/\s/).map((text) => Number(text) / 1000)
  }
  // What a process makes once is no client's.
  await honest()
  const before = server.memoryOctets()
  const words = ['-c', String(loadCore), peers.slow, String(server.port), String(clients)]
  const child = spawn('taskset', words, { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = once(child, 'close')
  const said = linesOf(child)
  if ((await said.next()).value !== 'ready') throw new Error('slow clients were not greeted')
  const [p50 = Number.NaN, p99 = Number.NaN] = await honest()
  const octetsEach = (server.memoryOctets() - before) / clients
  const seconds = Number((await said.next()).value) / 1000
  await closed
  return { p50, p99, seconds, octetsEach }
}

async function* linesOf(child: ChildProcess): AsyncGenerator<string> {
  let text = ''
  for await (const piece of child.stdout ?? []) {
    text += piece
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
      yield text.slice(0, end)
      text = text.slice(end + 1)
    }
  }
}

function rowsOf({ name }: Setting, clients: number, told: Told): readonly Measurement[] {
  const group = `${clients} slow clients, ${name}`
  return [
    { group, name: 'honest client, connect to EHLO reply, p50', value: told.p50, unit: 'ms' },
    { group, name: 'honest client, connect to EHLO reply, p99', value: told.p99, unit: 'ms' },
    { group, name: 'the last slow one is gone after', value: told.seconds, unit: 's' },
    { group, name: 'memory of a slow client', value: told.octetsEach, unit: 'octets' },
  ]
}

function barsOf({ name, secondsMax }: Setting, clients: number, told: Told): readonly Bar[] {
  const among = `among ${clients} slow clients, ${name}`
  return [
    atMost(`honest client ${among}, connect to EHLO reply, p99, ms`, told.p99, 1000),
    atMost(`the last one gone, ${among}, s`, told.seconds, secondsMax + lateSeconds),
    atMost(`memory each, ${among}, octets`, told.octetsEach, octetsMax),
  ]
}
