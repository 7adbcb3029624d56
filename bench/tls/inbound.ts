/**
 * What does a message cost that comes in over STARTTLS, with a full handshake and with a ticket?
 *
 * 1 KiB, a connection for each message, eight at once; the server passes it on in the clear to a
 * mailhost that takes everything. Against Postfix smtpd, once before a queue and once as a
 * before-queue proxy, and against Haraka's forwarding. Servers on core 0, clients and mailhost on
 * core 1, rounds interleaved; CPU over all processes of the server; ratios are the median of the
 * rounds' ratios.
 */
import { readFileSync } from 'node:fs'
import { messageOf } from '../../src/base/errors.ts'
import type { Authority } from '../../test/tls/support/certificates.ts'
import { atMost, type Bar, type BenchResult } from '../bench.ts'
import { startHaraka } from '../peers/haraka.ts'
import { startActivemx, startPostfixProxyWith } from '../peers/proxies.ts'
import { type Server, serverCore } from '../processes.ts'
import { median } from '../statistics.ts'
import {
  type CertificateFiles,
  type Mailhost,
  startMailhost,
  startPostfixQueue,
  startProgram,
} from './programs.ts'

/** How much is sent. */
export interface InboundLoad {
  readonly rounds: number
  readonly messages: number
}

const own = 'activemx'
const queueName = 'Postfix smtpd and queue'
const proxyName = 'Postfix smtpd_proxy_filter'
const harakaName = 'Haraka'
const kinds = ['full', 'resumed'] as const
/** Those that take milliseconds a message get fewer. */
const slowShare = 0.25

type Figures = ReadonlyMap<string, number[]>

/** The rows of the inbound leg. */
export async function inboundRows(
  authority: Authority,
  folder: string,
  load: InboundLoad,
): Promise<BenchResult> {
  const files = authority.issue('mx.example.org')
  const mailhost = await startMailhost(files)
  const servers = new Map<string, Server>()
  const notes: string[] = []
  try {
    for (const [name, start] of Object.entries(contenders(folder, files, mailhost.port))) {
      try {
        servers.set(name, await start())
      } catch (fault) {
        notes.push(`${name} left out: ${messageOf(fault)}`)
      }
    }
    const figures = await takeTurns(servers, mailhost, authority.caFile, load, notes)
    return { ...judge(figures), notes }
  } finally {
    for (const server of servers.values()) await server.stop()
    await mailhost.stop()
  }
}

function contenders(folder: string, files: CertificateFiles, mailhostPort: number) {
  const { certificateFile, keyFile } = files
  const postfixTls = {
    smtpd_tls_security_level: 'may',
    smtpd_tls_cert_file: certificateFile,
    smtpd_tls_key_file: keyFile,
  }
  const sections = `[tls]\ncertificate = "${certificateFile}"\nkey = "${keyFile}"`
  return {
    [own]: () => startActivemx(folder, mailhostPort, { sections }),
    [queueName]: () => startPostfixQueue(mailhostPort, postfixTls),
    [proxyName]: () => startPostfixProxyWith(mailhostPort, postfixTls),
    [harakaName]: () =>
      startHaraka({
        core: serverCore,
        folder,
        plugins: ['tls', 'rcpt_to.in_host_list', 'queue/smtp_forward'],
        files: {
          'tls_key.pem': readFileSync(keyFile, 'utf8'),
          'tls_cert.pem': readFileSync(certificateFile, 'utf8'),
          'smtp_forward.ini': `host=127.0.0.1\nport=${mailhostPort}\n`,
        },
      }),
  }
}

async function takeTurns(
  servers: ReadonlyMap<string, Server>,
  mailhost: Mailhost,
  caFile: string,
  load: InboundLoad,
  notes: string[],
): Promise<Figures> {
  const figures = new Map<string, number[]>()
  for (let round = -1; round < load.rounds; round++) {
    for (const [name, server] of round % 2 === 0 ? servers : [...servers].reverse()) {
      const share = name === own ? 1 : slowShare
      const messages = Math.ceil(load.messages * share)
      for (const kind of kinds) {
        try {
          const { cost, resumed } = await deliver(server, mailhost, caFile, messages, kind)
          const key = `${name}, ${kind}`
          if (kind === 'resumed' && resumed < messages && round === 0) {
            notes.push(`${name} took ${resumed} of ${messages} tickets`)
          }
          // The first round warms up.
          if (round >= 0) figures.set(key, [...(figures.get(key) ?? []), cost])
        } catch (fault) {
          notes.push(`FAILED ${name}, ${kind}: ${messageOf(fault)}`)
        }
      }
    }
  }
  return figures
}

/** @returns CPU microseconds a message, and how many handshakes were resumed. */
async function deliver(
  server: Server,
  mailhost: Mailhost,
  caFile: string,
  messages: number,
  kind: (typeof kinds)[number],
): Promise<{ readonly cost: number; readonly resumed: number }> {
  const { messages: before } = await mailhost.counts()
  const cpu = server.cpuMicroseconds()
  const words = ['deliver', String(server.port), caFile, String(messages), kind]
  const clients = startProgram('clients', ...words)
  const resumed = Number(await clients.line())
  // One more, which fetched the ticket.
  await mailhost.takes(before + messages + 1)
  return { cost: (server.cpuMicroseconds() - cpu) / (messages + 1), resumed }
}

function judge(figures: Figures): Omit<BenchResult, 'notes'> {
  const measurements = [...figures].map(([key, values]) => {
    const [name = '', kind = ''] = key.split(', ')
    return { group: `a message in, ${kind}`, name, value: median(values), unit: 'µs' }
  })
  const bars: Bar[] = []
  for (const kind of kinds) {
    const limits = [
      [proxyName, 0.6],
      [queueName, 0.6],
      [harakaName, 0.2],
    ] as const
    for (const [name, limit] of limits) {
      const others = figures.get(`${name}, ${kind}`)
      if (others === undefined) continue
      const ratios = (figures.get(`${own}, ${kind}`) ?? []).map(
        (value, at) => value / (others[at] ?? Number.NaN),
      )
      bars.push(atMost(`a message in, ${kind}: activemx / ${name}`, median(ratios), limit))
    }
  }
  return { measurements, bars }
}
