/**
 * Debian's exim4 as a sending client: own configuration, spool and log, every message to one
 * smarthost. `.ci/exim4` unpacks the program; nothing of the system's mail is touched. Needs root.
 *
 * `send` queues a message and tries to deliver it before it returns; what is deferred waits for
 * `runQueue`. The queue run takes no heed of the retry times, so that a test decides when to try
 * again.
 */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Need, projectRoot } from './needs.ts'
import { runProgram } from './programs.ts'

const program = join(projectRoot, 'out/exim4/usr/sbin/exim4')

/** An exim4 before a smarthost. */
export interface Exim {
  /** Queues a message and tries once to deliver it. */
  send(from: string, to: readonly string[], message: string): Promise<void>
  /** Tries everything that is in the queue. */
  runQueue(): Promise<void>
  /** Messages in the queue. */
  queued(): Promise<number>
  /** The main log so far. */
  log(): string
  /** Where its main log is. */
  readonly logFile: string
  remove(): void
}

/** exim4 as `.ci/exim4` unpacks it. */
export function needsExim(): Need {
  return existsSync(program) ? undefined : 'no exim4 below out/exim4: run .ci/exim4'
}

/** Sets an exim4 up before `port` of this machine. */
export function newExim(port: number): Exim {
  const folder = mkdtempSync(join(tmpdir(), 'activemx-exim-'))
  chmodSync(folder, 0o755)
  const [uid, gid] = ['-u', '-g'].map((which) =>
    Number(execFileSync('id', [which, 'Debian-exim'], { encoding: 'utf8' })),
  )
  for (const name of ['spool', 'log']) {
    mkdirSync(join(folder, name))
    chownSync(join(folder, name), uid ?? 0, gid ?? 0)
  }
  const configuration = join(folder, 'exim.conf')
  writeFileSync(configuration, configurationOf(folder, port))
  const run = async (words: readonly string[], input = '') => {
    const { status, output } = await runProgram(program, ['-C', configuration, ...words], input)
    if (status !== 0) throw new Error(`exim4 ${words.join(' ')}: status ${status}: ${output}`)
    return output
  }
  return {
    send: async (from, to, message) =>
      void (await run(['-odf', '-oi', '-f', from, ...to], message)),
    runQueue: async () => void (await run(['-qff'])),
    queued: async () => Number(await run(['-bpc'])),
    log: () => readFileSync(join(folder, 'log/mainlog'), 'utf8'),
    logFile: join(folder, 'log/mainlog'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

function configurationOf(folder: string, port: number): string {
  return `primary_hostname = client.example
exim_path = ${program}
spool_directory = ${folder}/spool
log_file_path = ${folder}/log/%slog
keep_environment =
tls_advertise_hosts =
local_interfaces =
no_message_logs
begin routers
smarthost:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = proxy
begin transports
proxy:
  driver = smtp
  port = ${port}
  hosts_avoid_tls = *
  hosts_try_fastopen =
begin retry
* * F,2h,1s
`
}
