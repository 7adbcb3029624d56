/**
 * What does one TLS session for many processes cost, against a handshake for each message and
 * against an open session of one's own?
 *
 * A message is two exchanges (1 KiB out, 32 octets back). Application, daemon and peer are
 * processes of their own; each variant runs in a fresh application, interleaved A B C A B C, and
 * ratios are the median of the rounds' ratios, as the machine changes its pace. CPU of the daemon
 * is read from /proc.
 *
 * Every hop crosses to the other of two cores, as with cores to spare: waking another core is most
 * of what a hop costs, and the kernel's own placement changes from run to run (on one core for all,
 * the same exchanges take a third of the time). So there are two peers: the application's and the
 * daemon's.
 *
 * The latency through the daemon is compared with `sum`: the same call on an own session and then a
 * bare echo, timed together. Those are three processes on two cores and four hops, as on the
 * daemon's way; two runs of two processes each find both cores' caches warm.
 */
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Authority } from '../../test/tls/support/certificates.ts'
import { newFolder, run, startDaemon } from '../../test/tls/support/processes.ts'
import { atLeast, atMost, type Bar, type BenchResult, type Measurement } from '../bench.ts'
import { serverAt } from '../processes.ts'
import { median } from '../statistics.ts'

interface Figures {
  readonly cpuUs: number
  readonly secondsEach: number
  readonly p50Us: number
  readonly p99Us: number
  readonly daemonUs: number
  readonly peerUs: number
}

type Mode = (typeof modes)[number]
type Round = Readonly<Record<Mode, Figures>>

const applicationCore = 0
const otherCore = 1
const modes = ['handshake', 'own', 'unix', 'sum', 'shared', 'bulk'] as const
/** Messages of a round; of `bulk`, megabytes. */
const counts: Readonly<Record<Mode, number>> = {
  handshake: 250,
  own: 2500,
  unix: 5000,
  sum: 5000,
  shared: 2500,
  bulk: 300,
}

/** The rows of the shared session. @param share of the usual messages. */
export async function sessionRows(
  authority: Authority,
  { rounds, share }: { readonly rounds: number; readonly share: number },
): Promise<BenchResult> {
  const all: Round[] = []
  const bench = await newBench(authority)
  try {
    for (let round = 0; round < rounds; round++) {
      const figures = new Map<Mode, Figures>()
      for (const mode of modes) {
        figures.set(mode, await bench.trial(mode, Math.ceil(counts[mode] * share)))
      }
      all.push(Object.fromEntries(figures) as Round)
    }
  } finally {
    await bench.end()
  }
  return { measurements: measurementsOf(all), bars: barsOf(all), notes: [] }
}

function measurementsOf(rounds: readonly Round[]): readonly Measurement[] {
  const of = (mode: Mode, key: keyof Figures): number =>
    median(rounds.map((round) => round[mode][key]))
  const cpuKeys = { application: 'cpuUs', daemon: 'daemonUs', peer: 'peerUs' } as const
  const cpu = (['handshake', 'own', 'shared'] as const).flatMap((mode) =>
    Object.entries(cpuKeys).map(([name, key]) => {
      return { group: `CPU per message, ${mode}`, name, value: of(mode, key), unit: 'µs' }
    }),
  )
  const group = 'latency of one exchange'
  const latency = (['own', 'shared', 'unix', 'sum'] as const).flatMap((mode) => [
    { group, name: `${mode} p50`, value: of(mode, 'p50Us'), unit: 'µs' },
    { group, name: `${mode} p99`, value: of(mode, 'p99Us'), unit: 'µs' },
  ])
  const bulk = 1 / of('bulk', 'secondsEach')
  return [
    ...cpu,
    ...latency,
    { group: 'bulk', name: 'through the daemon', value: bulk, unit: 'MB/s' },
  ]
}

function barsOf(rounds: readonly Round[]): readonly Bar[] {
  const ratio = (of: (round: Round) => number): number => median(rounds.map(of))
  const both = ({ shared }: Round): number => shared.cpuUs + shared.daemonUs
  return [
    atLeast(
      'handshake per message / application and daemon, CPU',
      ratio((round) => round.handshake.cpuUs / both(round)),
      10,
    ),
    atLeast(
      'handshake per message / application, CPU',
      ratio(({ handshake, shared }) => handshake.cpuUs / shared.cpuUs),
      25,
    ),
    atMost(
      'application shared / own open session, CPU',
      ratio(({ shared, own }) => shared.cpuUs / own.cpuUs),
      1,
    ),
    atMost(
      'p50 shared / own and bare Unix echo',
      ratio(({ shared, sum }) => shared.p50Us / sum.p50Us),
      1,
    ),
    atLeast(
      'bulk through the daemon, MB/s',
      ratio(({ bulk }) => 1 / bulk.secondsEach),
      200,
    ),
  ]
}

async function newBench(authority: Authority) {
  const identity = authority.issue('peer.test')
  const folder = newFolder()
  let peers = 0
  const newPeer = async (core: number) => {
    const echo = join(folder, `echo-${peers++}.sock`)
    const files = [identity.certificateFile, identity.keyFile]
    const running = run('bench/tls/peer.js', [...files, echo])
    pin(running.pid, core)
    return { running, echo, port: await running.line() }
  }
  const near = await newPeer(otherCore)
  const far = await newPeer(applicationCore)
  const echo = await newPeer(otherCore)
  const daemon = await startDaemon()
  pin(daemon.pid, otherCore)
  return {
    async trial(mode: Mode, count: number): Promise<Figures> {
      const peer = mode === 'shared' || mode === 'bulk' ? far : near
      const socket = mode === 'unix' || mode === 'sum' ? echo.echo : daemon.socket
      const words = [mode, peer.port, authority.caFile, socket, String(count)]
      const application = run('bench/tls/application.js', words)
      pin(application.pid, applicationCore)
      const others = [daemon.pid, peer.running.pid].map((pid) => serverAt('', 0, pid))
      await application.line()
      const before = others.map((one) => one.cpuMicroseconds())
      application.say('go')
      const own = JSON.parse(await application.line()) as Figures
      const after = others.map((one) => one.cpuMicroseconds())
      await application.gone
      const [daemonUs = 0, peerUs = 0] = after.map(
        (value, at) => (value - (before[at] ?? 0)) / count,
      )
      return { ...own, daemonUs, peerUs }
    },
    async end(): Promise<void> {
      await Promise.all([daemon, near.running, far.running, echo.running].map((one) => one.end()))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Keeps a process and its threads, also those to come, on a core. */
function pin(pid: number, core: number): void {
  execFileSync('taskset', ['-acp', String(core), String(pid)], { stdio: 'ignore' })
}
