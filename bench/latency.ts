/**
 * Question: how long does a client wait for the proxy?
 *
 * dialogue → server → smtp-sink, servers on core 0, the rest on core 1, rounds interleaved: from
 * connect to the reply to EHLO with one client at a time, and from connect to the reply that takes
 * a message of 1 KB at half of the rate that the proxy reaches, messages coming at even times
 * whatever became of the earlier ones. What the sink says directly stands beside it. Medians of the
 * rounds' percentiles.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { needsProgram } from '../test/support/needs.ts'
import { atMost, type BenchOptions, type BenchQuestion, type BenchResult } from './bench.ts'
import { startActivemx, startHaproxy, startSink } from './peers/proxies.ts'
import { compilePeer, loadCore, runOn, type Server } from './processes.ts'
import { median } from './statistics.ts'

/** Percentiles of one wait, microseconds. */
type Wait = readonly [p50: number, p99: number, p999: number]

/** What one series tells. */
interface Waits {
  readonly ehlo: Wait
  readonly taken: Wait
}

/** By name of the server, its rounds. */
type Rounds = ReadonlyMap<string, readonly Waits[]>

const direct = 'direct to the sink'

/** `npm run bench latency`. */
export const latency: BenchQuestion = {
  name: 'latency',
  title: 'How long a client waits: microseconds',
  run,
}

async function run({ isQuick, isFull }: BenchOptions): Promise<BenchResult> {
  const missing = needsProgram('smtp-source', 'smtp-sink', 'haproxy', 'taskset', 'cc')
  if (missing !== undefined) return { measurements: [], bars: [], notes: [missing] }
  const folder = mkdtempSync(join(tmpdir(), 'activemx-bench-latency-'))
  const servers: Server[] = []
  try {
    const dialogue = compilePeer('dialogue', folder)
    const sink = await startSink()
    servers.push(sink, await startHaproxy(folder, sink.port))
    const activemx = await startActivemx(folder, sink.port)
    servers.push(activemx)
    const messages = isQuick ? 1000 : 4000
    const rate = Math.round((await rateOf(activemx, messages)) / 2)
    const rounds = isFull ? 9 : 3
    const alone = await compare(servers, dialogue, [messages, 0], rounds)
    const loaded = await compare(servers, dialogue, [messages, rate], rounds)
    return resultOf(alone, loaded, rate)
  } finally {
    for (const server of servers.reverse()) await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Messages a second that a server reaches with 20 sessions, after it has warmed up. */
async function rateOf({ port }: Server, messages: number): Promise<number> {
  const words = ['-s', '20', '-m', String(messages), '-l', '1024', '-f', 'a@x.org']
  const send = () =>
    runOn(loadCore, 'smtp-source', ...words, '-t', 'b@example.org', `127.0.0.1:${port}`)
  await send()
  const startMs = performance.now()
  await send()
  return (messages * 1000) / (performance.now() - startMs)
}

async function compare(
  servers: readonly Server[],
  dialogue: string,
  [messages, rate]: readonly [number, number],
  rounds: number,
): Promise<Rounds> {
  const waits = new Map(servers.map((server) => [nameOf(server), [] as Waits[]]))
  for (let round = 0; round < rounds; round++) {
    for (const server of round % 2 === 0 ? servers : [...servers].reverse()) {
      const words = [server.port, messages, rate].map(String)
      const [ehlo, taken] = (await runOn(loadCore, dialogue, ...words)).trim().split('\n')
      waits.get(nameOf(server))?.push({ ehlo: waitOf(ehlo), taken: waitOf(taken) })
    }
  }
  return waits
}

function nameOf({ name }: Server): string {
  return name === 'smtp-sink' ? direct : name
}

function waitOf(line = ''): Wait {
  const [p50 = Number.NaN, p99 = Number.NaN, p999 = Number.NaN] = line.split(' ').map(Number)
  return [p50, p99, p999]
}

function resultOf(alone: Rounds, loaded: Rounds, rate: number): BenchResult {
  const ehlo = (name: string) => medianOf(alone, name, ({ ehlo }) => ehlo[1])
  const added = (name: string) => {
    const own = loaded.get(name) ?? []
    const others = loaded.get(direct) ?? []
    return median(own.map(({ taken }, at) => taken[1] - (others[at]?.taken[1] ?? Number.NaN)))
  }
  const bars = [
    atMost('connect to EHLO reply, p99, µs', ehlo('activemx'), 1000),
    atMost('added to a message at half load, p99, µs', added('activemx'), 2000),
  ]
  return {
    measurements: [
      ...rowsOf(alone, 'connect to EHLO reply, one at a time', ({ ehlo }) => ehlo),
      ...rowsOf(alone, 'connect to message taken, one at a time', ({ taken }) => taken),
      ...rowsOf(loaded, 'connect to message taken, half load', ({ taken }) => taken),
    ],
    bars,
    notes: [
      `half load: ${rate} messages a second`,
      `HAProxy adds at half load, p99: ${Math.round(added('HAProxy'))} µs`,
    ],
  }
}

function rowsOf(rounds: Rounds, group: string, of: (waits: Waits) => Wait) {
  return [...rounds.keys()].flatMap((name) =>
    (['p50', 'p99', 'p99.9'] as const).map((rank, at) => ({
      group: `${group}, ${rank}`,
      name,
      value: medianOf(rounds, name, (waits) => of(waits)[at] ?? Number.NaN),
      unit: 'µs',
    })),
  )
}

function medianOf(rounds: Rounds, name: string, of: (waits: Waits) => number): number {
  return median((rounds.get(name) ?? []).map(of))
}
