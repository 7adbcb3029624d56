/**
 * Try-out: the proxy with nothing configured, so that a newcomer sees it work in a minute.
 *
 * It listens on loopback only, stands before an embedded mailhost that files mail in `var/mail/` of
 * the folder it was started in, takes mail for example.test, and has an example list that refuses a
 * loopback address.
 */

import { mkdirSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import { packageRoot } from '../addon/package-root.ts'
import { OperatingError } from '../base/errors.ts'
import { buildConfig, faultLine, type LoadedConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { newFatal } from '../edge/running-proxy.ts'
import { openSyslogOverTls } from '../edge/tls-syslog.ts'
import { openSystemLog } from '../log/system-log.ts'
import { startMailhost } from '../mailhost/mailhost.ts'
import { serve } from '../main.ts'
import type { Terminal } from './command.ts'
import { openInstanceControl } from './instance-control.ts'

/** What may be chosen, for tests. */
export interface TryOutOptions {
  /** Port 0 takes a free one. */
  readonly port?: number
  /** Another way of serving. */
  readonly serve?: typeof serve
}

/** A running try-out. */
export interface TryOut {
  readonly port: number
  /** Resolves with the fault when it cannot go on. */
  readonly failed: Promise<OperatingError>
  stop(): Promise<void>
}

/** The loopback address that the example list refuses. */
export const listedAddress = '127.0.0.66'

/** Starts the try-out and prints what to try next. */
export async function startTryOut(
  terminal: Terminal,
  folder: string,
  options: TryOutOptions = {},
): Promise<TryOut> {
  const mail = join(folder, 'var/mail')
  mkdirSync(mail, { recursive: true })
  const mailhost = await startMailhost({
    address: '127.0.0.1',
    port: 0,
    folder: mail,
    sizeOctetsMax: 60_000_000,
  })
  /** What runs, in order: the last begun ends first, also where the next thing fails. */
  const ends = [() => mailhost.stop()]
  const stop = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end()
  }
  try {
    const load = () => tryOutConfig(folder, mailhost.port, options.port ?? 2525)
    const config = configOf(load())
    const log = await openSystemLog(config, openSyslogOverTls)
    ends.push(() => log.close())
    const fatal = newFatal()
    const proxy = await (options.serve ?? serve)(config, log, fatal)
    ends.push(() => proxy.stop())
    const control = await openInstanceControl(config, { file: '', load, log, proxy })
    ends.push(() => control.server.close())
    const port = Number(proxy.addresses[0]?.split(':').pop())
    const shown = relative(process.cwd(), mail) || '.'
    for (const line of introduction(port, shown)) terminal.print(line)
    return { port, failed: fatal.failed, stop }
  } catch (fault) {
    await stop()
    throw fault
  }
}

function tryOutConfig(folder: string, mailhostPort: number, port: number): LoadedConfig {
  const lists = join(packageRoot(), 'examples/lists')
  return buildConfig(
    {
      name: 'mx.example.test',
      listen: { smtp: [`127.0.0.1:${port}`], workers: 1 },
      mailhost: { addresses: [`127.0.0.1:${mailhostPort}`] },
      recipients: { domains: ['example.test'] },
      lists: {
        allow_loopback: true,
        blacklist: [{ name: 'example', file: join(lists, 'blacklist.txt') }],
      },
      store: { path: 'var/store' },
      control: { socket: 'var/control.sock' },
      process: { user: '' },
    },
    folder,
  )
}

function configOf(loaded: LoadedConfig): Config {
  if (loaded.ok) return loaded.value
  throw new OperatingError('TRY_OUT', loaded.error.map(faultLine).join('; '))
}

function introduction(port: number, mail: string): readonly string[] {
  const command = commandOf(process.argv[1] ?? '')
  const server = `swaks --server 127.0.0.1:${port} --from you@sender.example`
  return [
    '',
    `activemx try-out: listening on 127.0.0.1:${port}, mail for example.test is filed in ${mail}/new/`,
    '',
    'A message that is delivered:',
    `  ${server} --to me@example.test`,
    'A listed address, refused before it may speak (554):',
    `  ${server} --to me@example.test --local-interface ${listedAddress}`,
    'A recipient that is not ours (550):',
    `  ${server} --to me@elsewhere.example`,
    '',
    'What it is doing, and what it knows of an address:',
    `  ${command} status; ${command} lookup ${listedAddress}`,
    '',
    'The log follows, one record per verdict. Ctrl-C ends.',
    '',
  ]
}

/** How to say this command line again: by its name where it is installed, else by its file. */
function commandOf(script: string): string {
  return basename(script) === 'activemx' ? 'activemx' : `node ${relative(process.cwd(), script)}`
}
