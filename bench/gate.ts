/**
 * Question: what does it cost to refuse a listed host at connect?
 *
 * CPU time a connection over all threads and processes of the server, on core 0, with connections
 * arriving from core 1; the contenders take turns, and ratios are taken within a turn, because
 * machine and load change from one to the next. The limit is a bare C loop that does nothing else.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atMost, type BenchOptions, type BenchQuestion, type BenchResult } from './bench.ts'
import { startHaraka } from './peers/haraka.ts'
import { startPostscreen } from './peers/postscreen.ts'
import { compilePeer, loadCore, runOn, type Server, serverCore, startReady } from './processes.ts'
import { median } from './statistics.ts'

/** Refusals reach the log in batches: the last one belongs to the turn that caused it. */
const settleMs = 300

const blockedName = 'activemx, JavaScript blocked 50 of 60 ms'

/** Haraka's plugin that refuses at connect. */
const deny = `exports.hook_connect = (next) => next(DENYDISCONNECT, '5.7.1 Refused')\n`

interface Contender {
  readonly name: string
  readonly inFlight: number
  /** Share of a turn's connections: the slow ones get fewer. */
  readonly share: number
  readonly start: () => Promise<Server>
}

/** `npm run bench gate`. */
export const gate: BenchQuestion = {
  name: 'gate',
  title: 'Refusing a listed host at connect: CPU µs a connection',
  run,
}

async function run({ isQuick }: BenchOptions): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'activemx-bench-gate-'))
  const servers = new Map<Contender, Server>()
  const notes: string[] = []
  try {
    const arrive = compilePeer('arrive', folder)
    for (const contender of contenders(compilePeer('refuse', folder), folder)) {
      const server = await contender.start().catch((error: unknown) => {
        notes.push(`${contender.name} left out: ${String(error)}`)
        return undefined
      })
      if (server !== undefined) servers.set(contender, server)
    }
    const turns = await takeTurns(servers, arrive, isQuick ? 2 : 7, isQuick ? 4_000 : 20_000)
    return resultOf(turns, notes)
  } finally {
    for (const server of servers.values()) await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

function contenders(refuse: string, folder: string): readonly Contender[] {
  const start =
    (...words: string[]) =>
    () =>
      startReady(words, serverCore)
  const activemx = (mode: string) =>
    start(process.execPath, 'dist/bench/gate/activemx-server.js', 'PORT', mode)
  const nodemailer = 'dist/bench/peers/nodemailer-server.js'
  return [
    {
      name: 'bare C',
      inFlight: 64,
      share: 1,
      start: start(refuse, 'PORT'),
    },
    { name: 'activemx', inFlight: 64, share: 1, start: activemx('logged') },
    { name: 'activemx, no log', inFlight: 64, share: 1, start: activemx('silent') },
    { name: 'activemx, reset', inFlight: 64, share: 1, start: activemx('reset') },
    { name: blockedName, inFlight: 64, share: 1, start: activemx('blocked') },
    { name: 'postscreen', inFlight: 64, share: 0.25, start: () => startPostscreen(serverCore) },
    {
      name: 'nodemailer smtp-server',
      inFlight: 1_000,
      share: 0.25,
      start: start(process.execPath, nodemailer, 'PORT'),
    },
    {
      name: 'Haraka',
      inFlight: 64,
      share: 0.05,
      start: () => startHaraka({ core: serverCore, folder, plugins: ['deny'], code: { deny } }),
    },
  ]
}

/** CPU µs a connection, by name, one figure a turn. The first turn warms up and is not kept. */
type Turns = ReadonlyMap<string, readonly number[]>

async function takeTurns(
  servers: ReadonlyMap<Contender, Server>,
  arrive: string,
  count: number,
  connections: number,
): Promise<Turns> {
  const turns = new Map<string, number[]>()
  for (let turn = 0; turn <= count; turn += 1) {
    const order = turn % 2 === 0 ? [...servers] : [...servers].reverse()
    for (const [{ name, inFlight, share }, server] of order) {
      const number = Math.round(connections * share)
      const before = server.cpuMicroseconds()
      const words = [server.port, number, inFlight].map(String)
      await runOn(loadCore, arrive, ...words)
      await new Promise((resolve) => setTimeout(resolve, settleMs))
      const each = (server.cpuMicroseconds() - before) / number
      if (turn > 0) turns.set(name, [...(turns.get(name) ?? []), each])
    }
  }
  return turns
}

function resultOf(turns: Turns, notes: readonly string[]): BenchResult {
  const measurements = [...turns].flatMap(([name, values]) => [
    { group: 'CPU a connection', name, value: median(values), unit: 'µs' },
    { group: 'times bare C', name, value: ratio(turns, name, 'bare C'), unit: '×' },
  ])
  const bars = [
    atMost('activemx with log, × bare C', ratio(turns, 'activemx', 'bare C'), 1.1),
    atMost('activemx, reset, × bare C', ratio(turns, 'activemx, reset', 'bare C'), 1),
    atMost(`${blockedName}, × free`, ratio(turns, blockedName, 'activemx'), 1.1),
  ]
  if (turns.has('postscreen')) {
    bars.push(
      atMost('activemx with log, × postscreen', ratio(turns, 'activemx', 'postscreen'), 0.3),
    )
  }
  return { measurements, bars, notes }
}

/** Median of the ratios within each turn. */
function ratio(turns: Turns, name: string, other: string): number {
  const others = turns.get(other) ?? []
  return median((turns.get(name) ?? []).map((value, turn) => value / (others[turn] ?? Number.NaN)))
}
