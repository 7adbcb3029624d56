/**
 * The servers that are compared, each before the same smtp-sink, each with one thread.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, portAnswers } from '../../test/support/ports.ts'
import { startPostfix } from '../gate/postfix-instance.ts'
import { type Server, serverOf, startOn } from './processes.ts'

/** The core of the servers; generator and sink have the other. */
export const serverCore = 0
/** See `serverCore`. */
export const loadCore = 1

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

/** activemx as installed: lists, header filter, log and counters on. */
export async function startActivemx(folder: string, sinkPort: number): Promise<Server> {
  const port = await freePort()
  const file = join(folder, 'activemx.toml')
  const list = join(folder, 'list.txt')
  writeFileSync(
    list,
    Array.from({ length: 10_000 }, (_, at) => `198.${(at >> 8) & 63}.${at & 255}.0/24`).join('\n'),
  )
  writeFileSync(file, activemxConfig(port, sinkPort, list))
  const process = startOn(serverCore, 'node', 'dist/src/cli/activemx.js', 'serve', '--config', file)
  await portAnswers(port)
  return serverOf('activemx', port, process)
}

function activemxConfig(port: number, sinkPort: number, list: string): string {
  return `
name = "mx.example.org"
[listen]
smtp = ["127.0.0.1:${port}"]
workers = 1
per_address_max = 0
rate_max = ""
transactions_max = 0
[mailhost]
addresses = ["127.0.0.1:${sinkPort}"]
sessions_max = 200
[recipients]
domains = ["example.org"]
[[lists.blacklist]]
file = "${list}"
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

/** Postfix with smtpd_proxy_filter: the before-queue proxy that it ships with. */
export async function startPostfixProxy(sinkPort: number): Promise<Server> {
  const port = await freePort()
  const server = startPostfix({
    core: serverCore,
    port,
    services:
      `127.0.0.1:${port} inet n - n - 100 smtpd -o smtpd_proxy_filter=127.0.0.1:${sinkPort}\n` +
      'postlog unix-dgram n - n - 1 postlogd\nanvil unix - - n - 1 anvil\n' +
      'rewrite unix - - n - - trivial-rewrite\nproxymap unix - - n - - proxymap\n',
    settings: {
      mynetworks: '127.0.0.0/8',
      // A process that ends takes its CPU time with it, uncounted.
      max_use: '1000000',
      relay_domains: 'example.org',
      local_recipient_maps: '',
      smtpd_peername_lookup: 'no',
      smtpd_client_connection_count_limit: '0',
      smtpd_relay_restrictions: 'permit_mynetworks, reject',
    },
  })
  await portAnswers(port)
  return { name: postfixName, ...server }
}
