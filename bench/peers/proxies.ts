/**
 * The servers that are compared, each before the same smtp-sink, each with one thread.
 */
import { closeSync, mkdtempSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, portAnswers } from '../../test/support/ports.ts'
import { loadCore, type Server, serverCore, serverOf, startOn } from '../processes.ts'
import { startHaraka } from './haraka.ts'
import { startPostfix } from './postfix.ts'

/** Name of the slow peer. */
export const postfixName = 'Postfix proxy filter'

/** Starts the sink that all servers forward to. */
export async function startSink(): Promise<Server> {
  const port = await freePort()
  const process = startOn(
    loadCore,
    'smtp-sink',
    '-u',
    'nobody',
    '-m',
    '1000',
    `127.0.0.1:${port}`,
    '4096',
  )
  await portAnswers(port)
  return serverOf('smtp-sink', port, process)
}

/** How activemx is to serve, where not as usual. */
export interface ActivemxOptions {
  readonly name?: string
  /** Serving threads; as many cores. */
  readonly workers?: number
  /** Lines of the blacklist; 10,000 prefixes else. */
  readonly listed?: Iterable<string>
  /** Further lines of `[listen]`. */
  readonly listen?: string
  /** Further lines of `[mailhost]`. */
  readonly mailhost?: string
  /** Further sections. */
  readonly sections?: string
  /** Its memory is measured: garbage is collected each second, in every thread. */
  readonly isCollected?: boolean
}

const collecting = `data:text/javascript,
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
setFlagsFromString('--expose-gc')
setInterval(runInNewContext('gc'), 1000).unref()`

/** activemx as installed: lists, header filter, log and counters on. */
export async function startActivemx(
  folder: string,
  sinkPort: number,
  options: ActivemxOptions = {},
): Promise<Server> {
  const { name = 'activemx', workers = 1, listed = usualList() } = options
  const home = mkdtempSync(join(folder, 'activemx-'))
  const file = join(home, 'activemx.toml')
  const port = await freePort()
  writeLines(join(home, 'list.txt'), listed)
  writeFileSync(file, configOf(port, sinkPort, options))
  const cores = workers === 1 ? serverCore : `0-${workers - 1}`
  const program = ['dist/src/cli/activemx.js', 'serve', '--config', file]
  const flags = options.isCollected === true ? ['--import', encodeURI(collecting)] : []
  const child = startOn(cores, 'node', ...flags, ...program)
  await portAnswers(port)
  return serverOf(name, port, child)
}

function* usualList(): Iterable<string> {
  for (let at = 0; at < 10_000; at += 1) yield `198.${(at >> 8) & 63}.${at & 255}.0/24`
}

function writeLines(file: string, lines: Iterable<string>): void {
  const descriptor = openSync(file, 'w')
  let block = ''
  for (const line of lines) {
    block += `${line}\n`
    if (block.length < 1 << 20) continue
    writeSync(descriptor, block)
    block = ''
  }
  writeSync(descriptor, block)
  closeSync(descriptor)
}

function configOf(port: number, sinkPort: number, options: ActivemxOptions) {
  const { workers = 1, listen = '', mailhost = '', sections = '' } = options
  return `
name = "mx.example.org"
[listen]
smtp = ["127.0.0.1:${port}"]
workers = ${workers}
${listen}
per_address_max = 0
rate_max = ""
transactions_max = 0
[mailhost]
addresses = ["127.0.0.1:${sinkPort}"]
sessions_max = 200
${mailhost}
[recipients]
domains = ["example.org"]
[[lists.blacklist]]
file = "list.txt"
[tests.headers]
mode = "observe"
[log]
to = "log"
[store]
path = "store"
[control]
socket = "control.sock"
[process]
user = ""
[http]
address = ""
${sections}
`
}

/** HAProxy's TCP pass-through: the floor of those that filter nothing. */
export async function startHaproxy(folder: string, sinkPort: number): Promise<Server> {
  const port = await freePort()
  const file = join(folder, 'haproxy.cfg')
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option splice-auto
frontend px
  bind 127.0.0.1:${port} backlog 4096
  default_backend b
backend b
  server s 127.0.0.1:${sinkPort}
`,
  )
  const process = startOn(serverCore, 'haproxy', '-q', '-f', file)
  await portAnswers(port)
  return serverOf('HAProxy', port, process)
}

/** Haraka that forwards each message as it comes. */
export function startHarakaForward(sinkPort: number, folder: string): Promise<Server> {
  return startHaraka({
    core: serverCore,
    folder,
    plugins: ['rcpt_to.in_host_list', 'queue/smtp_forward'],
    files: { 'smtp_forward.ini': `host=127.0.0.1\nport=${sinkPort}\n` },
  })
}

/** Postfix with smtpd_proxy_filter: the before-queue proxy that it ships with. */
export function startPostfixProxy(sinkPort: number): Promise<Server> {
  return startPostfixProxyWith(sinkPort, {})
}

/** The same with further settings. */
export async function startPostfixProxyWith(
  sinkPort: number,
  settings: Readonly<Record<string, string>>,
): Promise<Server> {
  const port = await freePort()
  const server = startPostfix({
    name: postfixName,
    core: serverCore,
    port,
    services:
      `127.0.0.1:${port} inet n - n - 100 smtpd -o smtpd_proxy_filter=127.0.0.1:${sinkPort}\n` +
      'postlog unix-dgram n - n - 1 postlogd\nanvil unix - - n - 1 anvil\n' +
      'rewrite unix - - n - - trivial-rewrite\nproxymap unix - - n - - proxymap\n' +
      'tlsmgr unix - - n 1000? 1 tlsmgr\n',
    settings: {
      mynetworks: '127.0.0.0/8',
      // A process that ends takes its CPU time with it, uncounted.
      max_use: '1000000',
      relay_domains: 'example.org',
      local_recipient_maps: '',
      smtpd_peername_lookup: 'no',
      smtpd_client_connection_count_limit: '0',
      smtpd_relay_restrictions: 'permit_mynetworks, reject',
      ...settings,
    },
  })
  await portAnswers(port)
  return server
}
