/**
 * Question: does a message cost the same among many connections, before long lists, on more
 * threads; and what does a connection that says nothing hold?
 *
 * smtp-source → activemx → smtp-sink, 1 KB, 20 sessions; CPU microseconds of all threads a message,
 * the ratio in the median of rounds, what is compared taking turns. Memory is what is private to
 * the process, before and after, while garbage is collected each second: how much of it lies about
 * is chance. Two workers share two cores with generator and sink, so that no
 * rate tells their worth: what a message costs does, since a core is full when its time is used up.
 * --full has a blacklist of 10 M prefixes.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { needsProgram } from '../test/support/needs.ts'
import {
  atMost,
  type BenchOptions,
  type BenchQuestion,
  type BenchResult,
  type Measurement,
} from './bench.ts'
import { startActivemx, startSink } from './peers/proxies.ts'
import { compilePeer, loadCore, runOn, type Server } from './processes.ts'
import { median } from './statistics.ts'

/** Cost of a message by what it was measured among, a figure for each round. */
type Costs = ReadonlyMap<string, readonly number[]>

/** A way to prepare a series: what is to be told of it, and how to undo it. */
interface Setting {
  readonly name: string
  readonly server: Server
  readonly idle: number
}

const million = 1_000_000
/** Flat: what differs by less is noise of the machine. */
const flatMax = 1.1

/** `npm run bench scale`. */
export const scale: BenchQuestion = {
  name: 'scale',
  title: 'Many connections, long lists, two threads: CPU µs a message',
  run,
}

async function run({ isQuick, isFull }: BenchOptions): Promise<BenchResult> {
  const missing = needsProgram('smtp-source', 'smtp-sink', 'taskset', 'cc')
  if (missing !== undefined) return { measurements: [], bars: [], notes: [missing] }
  const folder = mkdtempSync(join(tmpdir(), 'activemx-bench-scale-'))
  const servers: Server[] = []
  const started = async (server: Promise<Server>): Promise<Server> => {
    servers.push(await server)
    return server
  }
  const connections = isQuick ? 1000 : 10_000
  const rounds = isQuick ? 2 : 5
  try {
    const hold = compilePeer('hold', folder)
    const sink = await started(startSink())
    const listen = 'sessions_per_worker_max = 20_000'
    const collected = (more = ''): Promise<Server> => {
      const options = { listen: `${listen}\n${more}`, isCollected: true }
      return started(startActivemx(folder, sink.port, options))
    }
    const idle = {
      session: await heldBy(await collected(), hold, connections, 'greeted'),
      silent: await heldBy(await collected(), hold, connections, 'waiting'),
      gate: await heldBy(await collected('greet_delay = "60s"'), hold, connections, 'waiting'),
    }
    const one = await started(startActivemx(folder, sink.port, { listen }))
    const crowded = await compare(hold, rounds, [
      { name: 'no other connection', server: one, idle: 0 },
      { name: `${connections} idle connections`, server: one, idle: connections },
    ])
    const entries = isFull ? 10 * million : isQuick ? million / 10 : million
    const none = await started(startActivemx(folder, sink.port, { listed: [] }))
    const long = await started(startActivemx(folder, sink.port, { listed: addresses(entries) }))
    const listed = await compare(hold, rounds, [
      { name: 'nothing listed', server: none, idle: 0 },
      { name: `${entries.toLocaleString('en')} addresses listed`, server: long, idle: 0 },
    ])
    const two = await started(startActivemx(folder, sink.port, { workers: 2 }))
    const threads = await compare(hold, rounds, [
      { name: 'one worker', server: none, idle: 0 },
      { name: 'two workers', server: two, idle: 0 },
    ])
    return resultOf(connections, idle, [crowded, listed, threads])
  } finally {
    for (const server of servers.reverse()) await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * Octets that each of many connections holds, the larger of two measurements: garbage of before
 * that goes while they come would speak for them. As many have come and gone before: what a process
 * makes once, and the garbage of its start, are no connection's.
 */
async function heldBy(
  server: Server,
  hold: string,
  connections: number,
  kind: 'greeted' | 'waiting',
): Promise<number> {
  const dismiss = await startHold(hold, server, connections, kind)
  await dismiss()
  const before = await settledMemory(server)
  let held = 0
  for (let round = 0; round < 2; round += 1) {
    const end = await startHold(hold, server, connections, kind)
    held = Math.max(held, (await settledMemory(server)) - before)
    await end()
  }
  return held / connections
}

/** What a process that has nothing to do holds: garbage that lived long goes in steps. */
async function settledMemory(server: Server): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let second = 0; second < 5; second += 1) {
    await sleep(1000)
    least = Math.min(least, server.memoryOctets())
  }
  return least
}

/** Opens connections that say nothing more; the answer ends them. */
async function startHold(
  hold: string,
  { port }: Server,
  connections: number,
  kind: 'greeted' | 'waiting',
): Promise<() => Promise<void>> {
  const words = ['-c', String(loadCore), hold, String(port), String(connections), kind]
  const child = spawn('taskset', words, { stdio: ['pipe', 'pipe', 'inherit'] })
  const closed = once(child, 'close')
  const [first] = await Promise.race([once(child.stdout, 'data'), closed])
  if (String(first).trim() !== 'ready') throw new Error(`${words.join(' ')}: ended with ${first}`)
  await sleep(500)
  return async () => {
    child.stdin.end()
    await closed
    // The server hears of the ends now.
    await sleep(500)
  }
}

async function compare(hold: string, rounds: number, settings: readonly Setting[]): Promise<Costs> {
  const costs = new Map(settings.map(({ name }) => [name, [] as number[]]))
  for (const { server } of settings) await send(server, 4000)
  for (let round = 0; round < rounds; round++) {
    for (const { name, server, idle } of round % 2 === 0 ? settings : [...settings].reverse()) {
      const end = idle === 0 ? undefined : await startHold(hold, server, idle, 'greeted')
      costs.get(name)?.push(await send(server, 4000))
      await end?.()
    }
  }
  return costs
}

/** Sends messages; CPU microseconds each. */
async function send(server: Server, messages: number): Promise<number> {
  const before = server.cpuMicroseconds()
  const words = ['-s', '20', '-m', String(messages), '-l', '1024', '-f', 'a@x.org']
  await runOn(
    loadCore,
    'smtp-source',
    ...words,
    ...['-t', 'b@example.org', `127.0.0.1:${server.port}`],
  )
  return (server.cpuMicroseconds() - before) / messages
}

/** Addresses spread over 16.0.0.0/4, none of them 127.0.0.1. */
function* addresses(count: number): Iterable<string> {
  const step = Math.floor(2 ** 28 / count)
  for (let at = 0; at < count; at += 1) {
    const value = 2 ** 28 + at * step
    yield [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
  }
}

/** Octets of an idle connection. */
interface Idle {
  /** Behind EHLO. */
  readonly session: number
  /** Behind the greeting. */
  readonly silent: number
  /** Before it. */
  readonly gate: number
}

function resultOf(connections: number, idle: Idle, comparisons: readonly Costs[]): BenchResult {
  const group = `${connections} idle connections`
  const rows = comparisons.flatMap((costs) =>
    [...costs].map(([name, values]) => ({
      group: [...costs.keys()].join(' and '),
      name,
      value: median(values),
      unit: 'µs',
    })),
  )
  const measurements: Measurement[] = [
    { group, name: 'behind EHLO', value: idle.session, unit: 'octets each' },
    { group, name: 'behind the greeting', value: idle.silent, unit: 'octets each' },
    { group, name: 'in the gate', value: idle.gate, unit: 'octets each' },
    ...rows,
  ]
  const [crowded, listed, threads] = comparisons.map(growth)
  return {
    measurements,
    bars: [
      atMost('idle session, octets', idle.session, 1024),
      atMost('silent client, octets', idle.silent, 1024),
      atMost('connection in the gate, octets', idle.gate, 512),
      atMost(`a message among ${connections} connections, ×`, crowded ?? Number.NaN, flatMax),
      atMost('a message before a long list, ×', listed ?? Number.NaN, flatMax),
      // Two threads at this cost each do 2 / 1.11 = 1.8 times what one does.
      atMost('a message with two workers, ×', threads ?? Number.NaN, 1 / 0.9),
    ],
    notes: ['two workers: 1.8 times the messages of one while a message costs at most 1.11 times'],
  }
}

/** Median of the rounds' ratios of the second to the first. */
function growth(costs: Costs): number {
  const [first = [], second = []] = [...costs.values()]
  return median(second.map((value, round) => value / (first[round] ?? Number.NaN)))
}
