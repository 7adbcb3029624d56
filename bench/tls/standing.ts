/**
 * What does an idle client over TLS hold of the server's memory, and is the daemon fair to many
 * applications?
 *
 * Idle: activemx with one worker, clients behind STARTTLS and their second EHLO; private pages of
 * the process before and after. Fair: the soak of test/tls/soak.ts, every octet checked; it judges
 * by itself what else may not happen.
 */
import type { Authority } from '../../test/tls/support/certificates.ts'
import { run } from '../../test/tls/support/processes.ts'
import { atMost, type BenchResult } from '../bench.ts'
import { startActivemx } from '../peers/proxies.ts'
import { startProgram } from './programs.ts'

const kilobyte = 1024
/** Until what the handshakes left behind is swept up. */
const settleMs = 3000

/** The row of idle clients. */
export async function idleRow(
  authority: Authority,
  folder: string,
  connections: number,
): Promise<BenchResult> {
  const { certificateFile, keyFile } = authority.issue('mx.example.org')
  const sections = `[tls]\ncertificate = "${certificateFile}"\nkey = "${keyFile}"`
  // Nobody is there: no message is sent.
  const nobody = 9
  const listen = 'sessions_per_worker_max = 20000'
  const server = await startActivemx(folder, nobody, { sections, listen })
  const clients = startProgram(
    'clients',
    'hold',
    String(server.port),
    authority.caFile,
    String(connections),
  )
  try {
    const before = server.memoryOctets()
    await clients.line()
    await new Promise((resolve) => setTimeout(resolve, settleMs))
    const each = (server.memoryOctets() - before) / connections / kilobyte
    const name = `${connections} connections`
    const group = 'idle over TLS: memory a connection'
    const bars = [atMost(`idle over TLS, KB a connection (${connections})`, each, 32)]
    return { measurements: [{ group, name, value: each, unit: 'KB' }], bars, notes: [] }
  } finally {
    clients.child.stdin?.end()
    await clients.gone
    await server.stop()
  }
}

/** How many use the daemon at once. */
export interface FairLoad {
  readonly applications: number
  readonly sessions: number
  readonly minutes: number
}

/** The row of fairness. */
export async function fairRow({ applications, sessions, minutes }: FairLoad): Promise<BenchResult> {
  const words = ['--applications', String(applications), '--sessions', String(sessions)]
  const soak = run('test/tls/soak.js', [...words, '--minutes', String(minutes)])
  const lines: string[] = []
  for (;;) {
    const line = await soak.line().catch(() => undefined)
    if (line === undefined) break
    lines.push(line)
  }
  const figureOf = (what: string): number =>
    Number(lines.find((line) => line.includes(what))?.split(': ')[1] ?? Number.NaN)
  const share = figureOf('mean share')
  const claim = `${applications} applications × ${sessions} sessions`
  const conversations = Number(/(\d+) conversations/.exec(lines[0] ?? '')?.[1] ?? Number.NaN)
  return {
    measurements: [
      { group: 'fairness', name: `${claim}: from the mean`, value: share * 100, unit: '%' },
      {
        group: 'fairness',
        name: `${claim}: conversations`,
        value: conversations / (minutes * 60),
        unit: '/s',
      },
    ],
    bars: [
      atMost(`${claim}: largest distance from the mean share`, share, 0.1),
      atMost(`${claim}: applications with a wrong octet`, figureOf('wrong octet'), 0),
    ],
    notes: lines.filter((line) => line.startsWith('FAIL')),
  }
}
