/**
 * What does one TLS session for many processes cost, against a handshake for each message and against
 * an open session of one's own?
 *
 * A message is two exchanges (1 KiB out, 32 octets back). Application, daemon and peer are processes of
 * their own; each variant runs in a fresh application, interleaved A B C A B C. CPU of the daemon and
 * the peer is read from /proc.
 */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { makeAuthority } from '../test/tls/support/certificates.ts'
import { newFolder, run, startDaemon } from '../test/tls/support/processes.ts'
import { atLeast, atMost, type Measurement } from './bench.ts'

interface Figures {
  readonly cpuUs: number
  readonly secondsEach: number
  readonly p50Us: number
  readonly p99Us: number
  readonly daemonUs: number
  readonly peerUs: number
}

type Mode = 'handshake' | 'own' | 'shared' | 'bulk' | 'unix'

const microsecondsPerTick = 10_000

/** The question, in the shape that the runner knows. */
export const tls = {
  name: 'tls',
  title: 'One TLS session for many processes',
  async run({ isQuick }: { readonly isQuick: boolean }) {
    const counts = { handshake: 200, own: 2000, shared: 2000, unix: 4000, bulk: 200 } as const
    const scale = isQuick ? 1 : 10
    const all = new Map<Mode, Figures[]>()
    const bench = await newBench()
    try {
      for (let round = 0; round < (isQuick ? 2 : 5); round++) {
        for (const mode of ['handshake', 'own', 'shared', 'unix', 'bulk'] as const) {
          const figures = await bench.trial(mode, counts[mode] * scale)
          all.set(mode, [...(all.get(mode) ?? []), figures])
        }
      }
    } finally {
      await bench.end()
    }
    return judge(all)
  },
}

function judge(all: ReadonlyMap<Mode, readonly Figures[]>) {
  const of = (mode: Mode, key: keyof Figures): number =>
    median((all.get(mode) ?? []).map((figures) => figures[key]))
  const both = of('shared', 'cpuUs') + of('shared', 'daemonUs')
  const handshake = of('handshake', 'cpuUs')
  const bulk = 1 / of('bulk', 'secondsEach')
  const measurements: Measurement[] = []
  for (const mode of ['handshake', 'own', 'shared'] as const) {
    for (const [name, key] of [
      ['application', 'cpuUs'],
      ['daemon', 'daemonUs'],
      ['peer', 'peerUs'],
    ] as const) {
      measurements.push({
        group: `CPU per message, ${mode}`,
        name,
        value: of(mode, key),
        unit: 'µs',
      })
    }
  }
  for (const mode of ['own', 'shared', 'unix'] as const) {
    const group = 'latency of one exchange'
    measurements.push({ group, name: `${mode} p50`, value: of(mode, 'p50Us'), unit: 'µs' })
    measurements.push({ group, name: `${mode} p99`, value: of(mode, 'p99Us'), unit: 'µs' })
  }
  measurements.push({ group: 'bulk', name: 'through the daemon', value: bulk, unit: 'MB/s' })
  const bars = [
    atLeast('handshake per message / application and daemon, CPU', handshake / both, 10),
    atLeast('handshake per message / application, CPU', handshake / of('shared', 'cpuUs'), 25),
    atMost(
      'application shared / own open session, CPU',
      of('shared', 'cpuUs') / of('own', 'cpuUs'),
      1,
    ),
    atMost(
      'p50 shared / (own + bare Unix echo)',
      of('shared', 'p50Us') / (of('own', 'p50Us') + of('unix', 'p50Us')),
      1,
    ),
    atLeast('bulk through the daemon, MB/s', bulk, 200),
  ]
  return { measurements, bars, notes: ['EC P-256 certificate, TLS 1.3, loopback'] }
}

async function newBench() {
  const authority = makeAuthority()
  const identity = authority.issue('peer.test')
  const folder = newFolder()
  const echo = join(folder, 'echo.sock')
  const peer = run('bench/tls/peer.js', [identity.certificateFile, identity.keyFile, echo])
  const port = await peer.line()
  const daemon = await startDaemon()
  return {
    async trial(mode: Mode, count: number): Promise<Figures> {
      const socket = mode === 'unix' ? echo : daemon.socket
      const words = [mode, port, authority.caFile, socket, String(count)]
      const application = run('bench/tls/application.js', words)
      await application.line()
      const before = [daemon.pid, peer.pid].map(cpuUsOf)
      application.say('go')
      const own = JSON.parse(await application.line()) as Figures
      const after = [daemon.pid, peer.pid].map(cpuUsOf)
      await application.gone
      const [daemonUs = 0, peerUs = 0] = after.map(
        (value, at) => (value - (before[at] ?? 0)) / count,
      )
      return { ...own, daemonUs, peerUs }
    },
    async end(): Promise<void> {
      await Promise.all([daemon.end(), peer.end()])
      authority.remove()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** User and system time of a process so far. proc(5), fields 14 and 15 of stat. */
function cpuUsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * microsecondsPerTick
}

function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[values.length >> 1] ?? Number.NaN
}
