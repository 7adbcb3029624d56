/**
 * Question: what does a message cost on its way through the proxy, against a pass-through that
 * filters nothing, against Postfix's own before-queue proxy, and against Haraka's forwarding?
 *
 * smtp-source → server → smtp-sink, servers on core 0, the rest on core 1, rounds interleaved. CPU
 * microseconds of all threads of the server a message; the ratio is the median of the rounds'
 * ratios to HAProxy. Anything below 1.1 apart is noise. A series that fails is told and misses its
 * bar; the others go on. Takes about three minutes; --full has more rounds.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageOf } from '../src/base/errors.ts'
import { needsProgram } from '../test/support/needs.ts'
import {
  atLeast,
  atMost,
  type Bar,
  type BenchOptions,
  type BenchQuestion,
  type BenchResult,
  type Measurement,
} from './bench.ts'
import {
  postfixName,
  startActivemx,
  startHaproxy,
  startHarakaForward,
  startPostfixProxy,
  startSink,
} from './peers/proxies.ts'
import { loadCore, runOn, type Server } from './processes.ts'
import { median } from './statistics.ts'

/** One kind of load. */
interface Load {
  readonly label: string
  readonly octets: number
  readonly sessions: number
  readonly messages: number
  /** Sessions are used again (`smtp-source -d`). */
  readonly isReusing: boolean
  /** The most of HAProxy's CPU that the proxy may need; 0 = not judged. */
  readonly ratioMax: number
  /** The least of HAProxy's messages a second; 0 = not judged. */
  readonly rateMin: number
  /** The peers that look at mail take part: Postfix and Haraka. */
  readonly hasMailPeers: boolean
}

const usual = { octets: 1024, sessions: 20, messages: 4000, isReusing: false, rateMin: 0 } as const
const kilobyte = 1024
const megabyte = 1024 * kilobyte
const many = '1 KB, 200 sessions'
const reused = '1 KB, sessions reused'

const loads: readonly Load[] = [
  { ...usual, label: '1 KB, 20 sessions', ratioMax: 0.9, hasMailPeers: true },
  {
    ...usual,
    label: '10 KB, 20 sessions',
    octets: 10 * kilobyte,
    ratioMax: 0.9,
    hasMailPeers: true,
  },
  { ...usual, label: many, sessions: 200, ratioMax: 0.75, hasMailPeers: false },
  { ...usual, label: reused, messages: 8000, isReusing: true, ratioMax: 1, hasMailPeers: false },
  bulk(20, '1 MB', megabyte, 240, 1.3, 0),
  bulk(4, '1 MB', megabyte, 100, 0, 0),
  bulk(4, '10 MB', 10 * megabyte, 8, 0, 0.9),
]

function bulk(
  sessions: number,
  size: string,
  octets: number,
  messages: number,
  ratioMax: number,
  rateMin: number,
): Load {
  const label = `${size}, ${sessions} sessions`
  return { ...usual, label, octets, sessions, messages, ratioMax, rateMin, hasMailPeers: false }
}

/**
 * Messages before the first that counts. V8 compiles for some 15,000 messages, in which its
 * compiler takes a tenth of the CPU; a server runs for days.
 */
const warmUpMessages = 20_000

/** The most of a mail peer's CPU that the proxy may need. */
const ratioMaxOf: ReadonlyMap<string, number> = new Map([
  [postfixName, 0.3],
  ['Haraka', 0.1],
])

/** `npm run bench proxy`. */
export const proxy: BenchQuestion = {
  name: 'proxy',
  title: 'A message through the proxy: CPU microseconds',
  run,
}

async function run({ isQuick, isFull }: BenchOptions): Promise<BenchResult> {
  const missing = needsProgram('smtp-source', 'smtp-sink', 'haproxy', 'taskset')
  if (missing !== undefined) return { measurements: [], bars: [], notes: [missing] }
  const folder = mkdtempSync(join(tmpdir(), 'activemx-bench-'))
  const notes = [
    'every list, header filter, log and counters on',
    `warmed up by ${warmUpMessages} messages, Postfix and Haraka by a tenth`,
  ]
  const measurements: Measurement[] = []
  const bars: Bar[] = []
  const servers: Server[] = []
  try {
    const sink = await startSink()
    servers.push(sink, await startHaproxy(folder, sink.port))
    servers.push(await startActivemx(folder, sink.port))
    const optional = { [postfixName]: startPostfixProxy, Haraka: startHarakaForward }
    for (const [name, start] of Object.entries(optional)) {
      const peer = await start(sink.port, folder).catch((fault: unknown) => {
        notes.push(`${name} left out: ${messageOf(fault)}`)
        return undefined
      })
      if (peer !== undefined) servers.push(peer)
    }
    if (!isQuick) await warmUp(servers.slice(1))
    for (const load of loads) {
      const rivals = servers.slice(1, load.hasMailPeers ? servers.length : 3)
      const rounds = await compare(rivals, load, roundsOf(isQuick, isFull), isQuick ? 5 : 1)
      measurements.push(...rowsOf(rounds, load))
      bars.push(...barsOf(rounds, load))
      notes.push(...rounds.faults)
    }
    return { measurements, bars, notes }
  } finally {
    for (const server of servers.reverse()) await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function warmUp(rivals: readonly Server[]): Promise<void> {
  for (const server of rivals) {
    const load: Load = { ...usual, label: 'warm-up', ratioMax: 0, hasMailPeers: true }
    // A fault shows again where it counts.
    await send(server, load, warmUpOf(server.name)).catch(() => undefined)
  }
}

/** The slow ones need as long for a tenth of it. */
function warmUpOf(name: string): number {
  return ratioMaxOf.has(name) ? warmUpMessages / 10 : warmUpMessages
}

function roundsOf(isQuick: boolean, isFull: boolean): number {
  if (isQuick) return 2
  return isFull ? 9 : 3
}

/** One round of a server. */
interface Figure {
  /** CPU microseconds a message. */
  readonly cost: number
  /** Messages a second. */
  readonly rate: number
}

/** By server, a figure for each round; without those that failed. */
interface Rounds {
  readonly figures: ReadonlyMap<string, readonly Figure[]>
  readonly faults: readonly string[]
}

async function compare(
  servers: readonly Server[],
  load: Load,
  rounds: number,
  share: number,
): Promise<Rounds> {
  const messages = Math.ceil(load.messages / share)
  const figures = new Map(servers.map((server) => [server.name, [] as Figure[]]))
  const faults: string[] = []
  for (let round = -1; round < rounds; round++) {
    for (const server of round % 2 === 0 ? servers : [...servers].reverse()) {
      try {
        // The first round warms up: what counts is how a server runs for days. The slow get fewer.
        const isShort = ratioMaxOf.has(server.name)
        const figure = await send(server, load, isShort ? Math.ceil(messages / 5) : messages)
        if (round >= 0) figures.get(server.name)?.push(figure)
      } catch (fault) {
        faults.push(`FAILED ${load.label}, ${server.name}: ${messageOf(fault)}`)
      }
    }
  }
  return { figures, faults }
}

function rowsOf({ figures }: Rounds, { label, octets }: Load): readonly Measurement[] {
  return [...figures].flatMap(([name, all]) => {
    const cost = { group: label, name, value: median(all.map((one) => one.cost)), unit: 'µs' }
    if (octets < 10 * megabyte) return [cost]
    const rate = median(all.map((one) => one.rate * octets)) / 1e6
    return [cost, { group: `${label}, bulk`, name, value: rate, unit: 'MB/s' }]
  })
}

function barsOf({ figures, faults }: Rounds, load: Load): readonly Bar[] {
  const { label, ratioMax, rateMin } = load
  const own = figures.get('activemx') ?? []
  const ratioTo = (name: string, of: (figure: Figure) => number) => {
    const others = figures.get(name) ?? []
    return median(own.map((one, at) => of(one) / (of(others[at] ?? one) || 1)))
  }
  const cost = (one: Figure) => one.cost
  const bars: Bar[] = []
  if (ratioMax > 0) {
    bars.push(atMost(`${label}: CPU against HAProxy`, ratioTo('HAProxy', cost), ratioMax))
  }
  if (rateMin > 0) {
    const rate = ratioTo('HAProxy', (one) => one.rate)
    bars.push(atLeast(`${label}: MB/s against HAProxy`, rate, rateMin))
  }
  for (const [name, max] of ratioMaxOf) {
    if ((figures.get(name)?.length ?? 0) === 0) continue
    bars.push(atMost(`${label}: CPU against ${name}`, ratioTo(name, cost), max))
  }
  return faults.length === 0 ? bars : bars.map((bar) => ({ ...bar, holds: false }))
}

/** Sends messages through a server. */
async function send(server: Server, load: Load, messages: number): Promise<Figure> {
  const before = server.cpuMicroseconds()
  const startMs = performance.now()
  const reuse = load.isReusing ? ['-d'] : []
  await runOn(
    loadCore,
    'smtp-source',
    ...reuse,
    ...['-s', String(load.sessions), '-m', String(messages), '-l', String(load.octets)],
    ...['-f', 'a@x.org', '-t', 'b@example.org', `127.0.0.1:${server.port}`],
  )
  const seconds = (performance.now() - startMs) / 1000
  return { cost: (server.cpuMicroseconds() - before) / messages, rate: messages / seconds }
}
