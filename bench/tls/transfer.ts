/**
 * How many handshakes with the mailhost does a shared session save on the transfer leg, and what
 * does a message cost?
 *
 * smtp-source → two activemx processes in turns → a mailhost that takes mail over STARTTLS only,
 * and counts: sessions of the daemon, sessions of each process, a session for each message; and
 * Postfix with its own reuse of TLS connections (tlsproxy and scache), which has its queue to keep
 * besides. Servers on core 0, the rest on core 1; each variant starts anew in each round.
 */
import { join } from 'node:path'
import { messageOf } from '../../src/base/errors.ts'
import type { Authority } from '../../test/tls/support/certificates.ts'
import { atMost, type BenchResult } from '../bench.ts'
import { startActivemx } from '../peers/proxies.ts'
import { loadCore, runOn, type Server, serverCore, serverOf, startOn } from '../processes.ts'
import { median } from '../statistics.ts'
import { type Mailhost, startMailhost, startPostfixQueue } from './programs.ts'

/** How much is sent. */
export interface TransferLoad {
  readonly rounds: number
  /** Of these, each process gets two. */
  readonly messagesPerBurst: number
}

interface Figure {
  /** Handshakes with the mailhost for 1,000 messages. */
  readonly handshakes: number
  readonly cpuUs: number
  readonly mailhostUs: number
}

const postfixName = 'Postfix, connection reuse'
const perMessage = 'a session a message'
const pooled = 'pooled in each process'
const shared = 'shared by the daemon'
const names = [shared, pooled, perMessage, postfixName] as const
const parallel = 10

/** The rows of the transfer leg. */
export async function transferRows(
  authority: Authority,
  folder: string,
  load: TransferLoad,
): Promise<BenchResult> {
  const mailhost = await startMailhost(authority.issue('mailhost.example.org'))
  const figures = new Map<string, Figure[]>()
  const notes: string[] = []
  try {
    for (let round = 0; round < load.rounds; round++) {
      for (const name of names) {
        try {
          const servers = await startVariant(name, folder, authority.caFile, mailhost.port)
          const figure = await measure(servers, mailhost, load)
          figures.set(name, [...(figures.get(name) ?? []), figure])
        } catch (fault) {
          notes.push(`${name}, round ${round}, left out: ${messageOf(fault)}`)
        }
      }
    }
  } finally {
    await mailhost.stop()
  }
  return { ...judge(figures), notes }
}

function judge(figures: ReadonlyMap<string, readonly Figure[]>): Omit<BenchResult, 'notes'> {
  const of = (name: string, key: keyof Figure): number =>
    median((figures.get(name) ?? []).map((figure) => figure[key]))
  const measurements = [...figures.keys()].flatMap((name) => [
    {
      group: 'transfer leg: handshakes for 1,000 messages',
      name,
      value: of(name, 'handshakes'),
      unit: 'handshakes',
    },
    { group: 'transfer leg: CPU a message', name, value: of(name, 'cpuUs'), unit: 'µs' },
    { group: 'transfer leg: of the mailhost', name, value: of(name, 'mailhostUs'), unit: 'µs' },
  ])
  const own = of(shared, 'handshakes')
  const bars = [
    atMost('handshakes, shared / pooled in each process', own / of(pooled, 'handshakes'), 1),
    atMost('handshakes, shared / a session a message', own / of(perMessage, 'handshakes'), 0.1),
  ]
  if (figures.has(postfixName)) {
    bars.push(
      atMost('handshakes, shared / Postfix with reuse', own / of(postfixName, 'handshakes'), 1),
    )
  }
  return { measurements, bars }
}

/** The servers of a variant: those that take mail first. */
async function startVariant(
  name: (typeof names)[number],
  folder: string,
  caFile: string,
  mailhostPort: number,
): Promise<readonly Server[]> {
  if (name === postfixName) return [await startPostfixReuse(mailhostPort)]
  const socket = join(folder, `tls-${mailhostPort}.sock`)
  const daemon = name === shared ? [startDaemonOn(socket)] : []
  const sessions = name === shared ? 'shared' : 'pooled'
  const lines = [
    `tls = "required"\nsessions = "${sessions}"\nca = "${caFile}"`,
    'servername = "mailhost.example.org"',
    ...(name === perMessage ? ['messages_per_session_max = 1'] : []),
  ]
  const options = {
    mailhost: lines.join('\n'),
    sections: `[tls_daemon]\nsocket = "${socket}"`,
  }
  const first = await startActivemx(folder, mailhostPort, options)
  return [first, await startActivemx(folder, mailhostPort, options), ...daemon]
}

function startDaemonOn(socket: string): Server {
  const words = ['dist/src/cli/activemx.js', 'tls', 'daemon', '--socket', socket, '--json']
  return serverOf('daemon', 0, startOn(serverCore, 'node', ...words))
}

function startPostfixReuse(mailhostPort: number): Promise<Server> {
  return startPostfixQueue(mailhostPort, {
    smtp_tls_security_level: 'encrypt',
    smtp_tls_connection_reuse: 'yes',
    smtp_connection_cache_destinations: `[127.0.0.1]:${mailhostPort}`,
  })
}

async function measure(
  servers: readonly Server[],
  mailhost: Mailhost,
  load: TransferLoad,
): Promise<Figure> {
  const ports = servers.filter(({ port }) => port !== 0).map(({ port }) => port)
  const [one = 0, other = one] = ports
  try {
    const start = await mailhost.counts()
    await burst(one, mailhost, load.messagesPerBurst)
    await burst(other, mailhost, load.messagesPerBurst)
    const before = cpuOf(servers)
    const peerBefore = mailhost.cpuMicroseconds()
    const bursts = [one, other, one, other]
    for (const port of bursts) await burst(port, mailhost, load.messagesPerBurst)
    const messages = bursts.length * load.messagesPerBurst
    const end = await mailhost.counts()
    const handshakes = end.full + end.resumed - start.full - start.resumed
    return {
      handshakes: (1000 * handshakes) / (end.messages - start.messages),
      cpuUs: (cpuOf(servers) - before) / messages,
      mailhostUs: (mailhost.cpuMicroseconds() - peerBefore) / messages,
    }
  } finally {
    for (const server of servers) await server.stop()
  }
}

/** Sends messages and waits until the mailhost has them. */
async function burst(port: number, mailhost: Mailhost, messages: number): Promise<void> {
  const before = await mailhost.counts()
  const words = ['-s', String(parallel), '-m', String(messages), '-l', '1024']
  const ends = ['-f', 'a@x.org', '-t', 'b@example.org', `127.0.0.1:${port}`]
  await runOn(loadCore, 'smtp-source', ...words, ...ends)
  await mailhost.takes(before.messages + messages)
}

function cpuOf(servers: readonly Server[]): number {
  return servers.reduce((sum, server) => sum + server.cpuMicroseconds(), 0)
}
