/**
 * Question: what does a message cost on its way through the proxy, against a pass-through that filters
 * nothing?
 *
 * smtp-source → server → smtp-sink, servers on core 0, the rest on core 1, rounds interleaved. CPU
 * microseconds of all threads of the server a message; the ratio is the median of the rounds' ratios
 * to HAProxy. Anything below 1.1 apart is noise.
 */
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
import { loadCore, startActivemx, startHaproxy, startSink } from './proxy/peers.ts'
import { cpuMicroseconds, runOn, type Server } from './proxy/processes.ts'

/** One kind of load. */
interface Load {
  readonly label: string
  readonly octets: number
  readonly sessions: number
  readonly messages: number
  /** Sessions are used again (`smtp-source -d`). */
  readonly isReusing: boolean
  /** The most of HAProxy's CPU that the proxy may need. */
  readonly ratioMax: number
}

const loads: readonly Load[] = [
  {
    label: '1 KB, 20 sessions',
    octets: 1024,
    sessions: 20,
    messages: 5000,
    isReusing: false,
    ratioMax: 0.9,
  },
  {
    label: '10 KB, 20 sessions',
    octets: 10_240,
    sessions: 20,
    messages: 5000,
    isReusing: false,
    ratioMax: 0.9,
  },
  {
    label: '1 KB, 200 sessions',
    octets: 1024,
    sessions: 200,
    messages: 5000,
    isReusing: false,
    ratioMax: 0.75,
  },
  {
    label: '1 KB, sessions reused',
    octets: 1024,
    sessions: 20,
    messages: 10_000,
    isReusing: true,
    ratioMax: 1,
  },
  {
    label: '1 MB, 4 sessions',
    octets: 1_048_576,
    sessions: 4,
    messages: 100,
    isReusing: false,
    ratioMax: 1.3,
  },
]

/** `npm run bench proxy`. */
export const proxy: BenchQuestion = {
  name: 'proxy',
  title: 'A message through the proxy: CPU microseconds',
  run,
}

async function run({ isQuick }: BenchOptions): Promise<BenchResult> {
  const missing = needsProgram('smtp-source', 'smtp-sink', 'haproxy', 'taskset')
  if (missing !== undefined) return { measurements: [], bars: [], notes: [missing] }
  const folder = mkdtempSync(join(tmpdir(), 'activemx-bench-'))
  const sink = await startSink()
  const servers = [await startHaproxy(folder, sink.port), await startActivemx(folder, sink.port)]
  try {
    const measurements: Measurement[] = []
    const bars: Bar[] = []
    for (const load of loads) {
      const { costs, ratio } = await compare(servers, load, isQuick ? 2 : 7, isQuick ? 5 : 1)
      measurements.push(...costs)
      bars.push(atMost(`${load.label}: CPU against HAProxy`, ratio, load.ratioMax))
    }
    return { measurements, bars, notes: ['every list, header filter, log and counters on'] }
  } finally {
    for (const server of [...servers, sink]) server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function compare(
  servers: readonly Server[],
  load: Load,
  rounds: number,
  share: number,
): Promise<{ readonly costs: readonly Measurement[]; readonly ratio: number }> {
  const messages = Math.ceil(load.messages / share)
  const figures = new Map(servers.map((server) => [server.name, [] as number[]]))
  for (const server of servers) await send(server, load, Math.ceil(messages / 5))
  for (let round = 0; round < rounds; round++) {
    for (const server of round % 2 === 0 ? servers : [...servers].reverse()) {
      figures.get(server.name)?.push(await send(server, load, messages))
    }
  }
  const costs = [...figures].map(([name, values]) => ({
    group: load.label,
    name,
    value: median(values),
    unit: 'µs',
  }))
  const floor = figures.get('HAProxy') ?? []
  const own = figures.get('activemx') ?? []
  return { costs, ratio: median(own.map((value, at) => value / (floor[at] ?? 1))) }
}

/** Sends messages through a server. @returns its CPU microseconds a message. */
async function send(server: Server, load: Load, messages: number): Promise<number> {
  const pid = server.process.pid ?? 0
  const before = cpuMicroseconds(pid)
  const reuse = load.isReusing ? ['-d'] : []
  await runOn(
    loadCore,
    'smtp-source',
    ...reuse,
    ...['-s', String(load.sessions), '-m', String(messages), '-l', String(load.octets)],
    ...['-f', 'a@x.org', '-t', 'b@example.org', `127.0.0.1:${server.port}`],
  )
  return (cpuMicroseconds(pid) - before) / messages
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}
