/**
 * What several rows of the TLS bench start: the mailhost with STARTTLS, clients, Postfix's
 * services.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { packageRoot } from '../../src/addon/package-root.ts'
import { freePort, portAnswers } from '../../test/support/ports.ts'
import { follow, type Running } from '../../test/tls/support/processes.ts'
import { startPostfix } from '../peers/postfix.ts'
import { loadCore, type Server, serverAt, serverCore } from '../processes.ts'
import type { MailhostCounts } from './mailhost.ts'

/** A certificate chain and its key, as files. */
export interface CertificateFiles {
  readonly certificateFile: string
  readonly keyFile: string
}

/** The mailhost of bench/tls/mailhost.ts. */
export interface Mailhost extends Pick<Server, 'port' | 'cpuMicroseconds'> {
  counts(): Promise<MailhostCounts>
  /** Resolves when it has taken so many messages. */
  takes(messages: number): Promise<void>
  stop(): Promise<void>
}

const pollMs = 20

/** Runs a program of bench/tls on the core of the load. */
export function startProgram(name: string, ...words: readonly string[]): Running {
  const file = join(packageRoot(), 'dist/bench/tls', `${name}.js`)
  const given = ['-c', String(loadCore), process.execPath, file, ...words]
  return follow(spawn('taskset', given, { stdio: ['pipe', 'pipe', 'inherit'] }))
}

/** Starts a mailhost. */
export async function startMailhost(files: CertificateFiles): Promise<Mailhost> {
  const running = startProgram('mailhost', files.certificateFile, files.keyFile)
  const port = Number(await running.line())
  const counts = async (): Promise<MailhostCounts> => {
    running.say('')
    return JSON.parse(await running.line()) as MailhostCounts
  }
  return {
    ...serverAt('mailhost', port, running.pid),
    counts,
    async takes(messages) {
      while ((await counts()).messages < messages) {
        await new Promise((resolve) => setTimeout(resolve, pollMs))
      }
    },
    stop: () => running.end(),
  }
}

/**
 * Postfix that takes mail into its queue and sends it on. @param settings beside the usual ones.
 */
export async function startPostfixQueue(
  mailhostPort: number,
  settings: Readonly<Record<string, string>>,
): Promise<Server> {
  const port = await freePort()
  const services = [
    `127.0.0.1:${port} inet n - n - 100 smtpd`,
    'pickup unix n - n 60 1 pickup',
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'rewrite unix - - n - - trivial-rewrite',
    ...['bounce', 'defer', 'trace'].map((name) => `${name} unix - - n - 0 bounce`),
    'proxymap unix - - n - - proxymap',
    'relay unix - - n - 100 smtp',
    'smtp unix - - n - 100 smtp',
    'scache unix - - n - 1 scache',
    'tlsproxy unix - - n - 0 tlsproxy',
    'tlsmgr unix - - n 1000? 1 tlsmgr',
    'anvil unix - - n - 1 anvil',
    'postlog unix-dgram n - n - 1 postlogd',
  ]
  const server = startPostfix({
    name: 'Postfix',
    core: serverCore,
    port,
    services: `${services.join('\n')}\n`,
    settings: {
      mynetworks: '127.0.0.0/8',
      // A process that ends takes its CPU time with it, uncounted.
      max_use: '1000000',
      relay_domains: 'example.org',
      relayhost: `[127.0.0.1]:${mailhostPort}`,
      local_recipient_maps: '',
      smtp_host_lookup: 'native',
      smtpd_peername_lookup: 'no',
      smtpd_client_connection_count_limit: '0',
      smtpd_relay_restrictions: 'permit_mynetworks, reject',
      ...settings,
    },
  })
  await portAnswers(port)
  return server
}
