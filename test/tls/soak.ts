/**
 * npm run soak:tls [-- --minutes N] [--applications 64] [--sessions 16] [--short]
 *
 * Application processes that all use the same shared sessions, each conversation under a lease,
 * every octet checked. Ends with 1 if an octet is wrong (crosstalk), if the share of one
 * application is more than 10 % from the mean, or if the daemon's memory or its handles grow from
 * the first half to the second. `--short`: shares and memory have wide limits; the rest is judged
 * as ever.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { makeAuthority } from './support/certificates.ts'
import { startPeer } from './support/peer.ts'
import { type Running, run, startDaemon } from './support/processes.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    applications: { type: 'string', default: '64' },
    sessions: { type: 'string', default: '16' },
    short: { type: 'boolean', default: false },
  },
})
const durationMs = Number(values.minutes) * 60_000
/** A few seconds on a busy machine are a handful of turns of its scheduler for each process. */
const tolerance = values.short ? 0.5 : 0.1
/**
 * Growth that a garbage collector's mood explains; a short run ends before its heap has settled.
 */
const growthMax = values.short ? 2 : 1.25

interface Sample {
  readonly octets: number
  readonly descriptors: number
}

function sampleOf(pid: number): Sample {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  const kibibytes = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0)
  return { octets: kibibytes * 1024, descriptors: descriptorsOf(pid) }
}

/** 0 where they may not be seen: the daemon is not dumpable, only root may look. */
function descriptorsOf(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length
  } catch {
    return 0
  }
}

async function main(): Promise<boolean> {
  const authority = makeAuthority()
  const peer = await startPeer(authority.issue('peer.test'), 'count')
  const daemon = await startDaemon()
  const words = [daemon.socket, String(peer.port), authority.caFile, values.sessions]
  const applications = await startAll(Number(values.applications), words)
  for (const application of applications) application.say('go')
  await sleep(durationMs / 2)
  const half = sampleOf(daemon.pid)
  await sleep(durationMs / 2)
  const end = sampleOf(daemon.pid)
  for (const application of applications) application.say('stop')
  const counts = await Promise.all(applications.map(async (one) => Number(await one.line())))
  const handshakes = peer.handshakes()
  await daemon.end()
  await peer.close()
  authority.remove()
  return judge(counts, half, end, handshakes)
}

async function startAll(count: number, words: readonly string[]): Promise<readonly Running[]> {
  const applications: Running[] = []
  for (let at = 0; at < count; at++) {
    const application = run('test/tls/support/soaker.js', [...words, String(at)])
    if ((await application.line()) !== 'ready') throw new Error(`application ${at} is not ready`)
    applications.push(application)
  }
  return applications
}

function judge(counts: readonly number[], half: Sample, end: Sample, handshakes: number): boolean {
  const total = counts.reduce((sum, count) => sum + count, 0)
  const mean = total / counts.length
  const spread = Math.max(...counts.map((count) => Math.abs(count - mean))) / mean
  const faulty = counts.filter((count) => !(count > 0)).length
  const growth = end.octets / half.octets
  const checks = [
    { what: 'applications that met a wrong octet or a fault', value: faulty, holds: faulty === 0 },
    { what: 'handshakes', value: handshakes, holds: handshakes === Number(values.sessions) },
    { what: 'largest distance from the mean share', value: spread, holds: spread <= tolerance },
    { what: "daemon's memory, second half / first", value: growth, holds: growth <= growthMax },
    {
      what: "daemon's descriptors, more than at half time",
      value: end.descriptors - half.descriptors,
      holds: end.descriptors <= half.descriptors,
    },
  ]
  console.log(`${counts.length} applications, ${values.sessions} sessions, ${total} conversations`)
  for (const { what, value, holds } of checks) {
    console.log(`${holds ? 'ok  ' : 'FAIL'} ${what}: ${Math.round(value * 1000) / 1000}`)
  }
  return checks.every(({ holds }) => holds)
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

process.exitCode = (await main()) ? 0 : 1
process.exit()
