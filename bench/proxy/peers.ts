/**
 * The servers that are compared, each before the same smtp-sink, each with one thread.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, portAnswers } from '../../test/support/ports.ts'
import { type Server, startOn } from './processes.ts'

/** The core of the servers; generator and sink have the other. */
export const serverCore = 0
/** See `serverCore`. */
export const loadCore = 1

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
  return { name: 'smtp-sink', port, process, stop: () => process.kill() }
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
  return { name: 'activemx', port, process, stop: () => process.kill() }
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
  return { name: 'HAProxy', port, process, stop: () => process.kill() }
}
