/**
 * A Postfix mailhost of the tests' own: own configuration, queue and log, a free high port.
 *
 * It takes mail for example.test and files it in a Maildir below its folder; our loopback address
 * is in its mynetworks and may send XFORWARD and XCLIENT, as a mailhost behind a proxy has it. The
 * system's Postfix is not touched. Needs root and Debian's postfix package.
 */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort, portAnswers } from './ports.ts'

const startTries = 60
const startRetryMs = 500

/** A running Postfix. */
export interface Postfix {
  readonly port: number
  /** Whole text of its log so far. */
  log(): string
  /** Where its log is. */
  readonly logFile: string
  /** \`postfix logrotate\`: the log gets another name and is compressed, a new one begins. */
  rotate(): void
  /** Texts of the messages filed so far. */
  messages(): readonly string[]
  /** Starts again after `stop` or a kill, on the same port and queue. */
  start(): Promise<void>
  stop(): void
  /** kill -9 of the master and all that it runs. */
  kill(): void
  /** Stops and removes everything. */
  remove(): void
}

/** How a Postfix is set up beside its main.cf. */
export interface PostfixParts {
  /** What is said to it before it greets: a PROXY header where it wants one. */
  readonly opening?: string
  /** postscreen takes the connections and hands them on. */
  readonly hasPostscreen?: boolean
}

/** Starts a Postfix; `settings` are lines of main.cf that override the rest. */
export async function startPostfix(
  settings: readonly string[] = [],
  { opening = '', hasPostscreen = false }: PostfixParts = {},
): Promise<Postfix> {
  const folder = mkdtempSync(join(tmpdir(), 'activemx-postfix-'))
  chmodSync(folder, 0o755)
  const port = await freePort()
  const [uid, gid] = ['-u', '-g'].map((which) => numberOf('id', [which, 'postfix']))
  for (const name of ['conf', 'spool', 'data', 'mail']) mkdirSync(join(folder, name))
  for (const name of ['data', 'mail']) chownSync(join(folder, name), uid ?? 0, gid ?? 0)
  const main = [...mainLines(folder, uid ?? 0, gid ?? 0), ...settings]
  writeFileSync(join(folder, 'conf/main.cf'), `${main.join('\n')}\n`)
  writeFileSync(join(folder, 'conf/master.cf'), `${masterLines(port, hasPostscreen).join('\n')}\n`)
  const run = (...words: readonly string[]) =>
    execFileSync('/usr/sbin/postfix', ['-c', join(folder, 'conf'), ...words], { stdio: 'pipe' })
  // After a kill the lock of the old master is held until the last of its children has gone.
  const start = async () => {
    await untilDone(() => run('start'), startTries)
    await portAnswers(port, '127.0.0.1', opening)
  }
  await start()
  return {
    port,
    log: () => readIfThere(join(folder, 'maillog')),
    logFile: join(folder, 'maillog'),
    rotate: () => void run('logrotate'),
    messages: () => filed(join(folder, 'mail/inbox/new')),
    start,
    stop: () => void run('stop'),
    kill: () => killGroup(join(folder, 'spool/pid/master.pid')),
    remove: () => {
      stopQuietly(run)
      // Its logger says its last words behind the master's end, into a file that it makes anew.
      rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
    },
  }
}

/** Tries until it does not throw; the last fault is thrown. */
async function untilDone(action: () => unknown, tries: number): Promise<void> {
  for (let left = tries; ; left--) {
    try {
      action()
      return
    } catch (fault) {
      if (left <= 1) throw fault
      await sleep(startRetryMs)
    }
  }
}

function mainLines(folder: string, uid: number, gid: number): readonly string[] {
  return [
    'compatibility_level = 3.6',
    `queue_directory = ${folder}/spool`,
    `data_directory = ${folder}/data`,
    `maillog_file = ${folder}/maillog`,
    `maillog_file_prefixes = ${tmpdir()}`,
    'command_directory = /usr/sbin',
    'daemon_directory = /usr/lib/postfix/sbin',
    'mail_owner = postfix',
    'setgid_group = postdrop',
    'inet_interfaces = 127.0.0.1',
    'inet_protocols = ipv4',
    'myhostname = mailhost.example.test',
    'mydestination =',
    'mynetworks = 127.0.0.1/32',
    'local_recipient_maps =',
    'alias_maps =',
    'virtual_mailbox_domains = example.test, other.test',
    `virtual_mailbox_base = ${folder}/mail`,
    'virtual_mailbox_maps = static:inbox/',
    `virtual_uid_maps = static:${uid}`,
    `virtual_gid_maps = static:${gid}`,
    `virtual_minimum_uid = 1`,
    'smtpd_peername_lookup = no',
    'smtpd_authorized_xforward_hosts = 127.0.0.0/8',
    'smtpd_authorized_xclient_hosts = 127.0.0.0/8',
    'smtpd_client_connection_count_limit = 0',
    'smtpd_client_connection_rate_limit = 0',
    'message_size_limit = 60000000',
    'mailbox_size_limit = 0',
    'virtual_mailbox_limit = 0',
    'smtpd_recipient_restrictions = check_recipient_access inline:{ {nobody@example.test = 550 5.1.1 no such user} {later@example.test = 450 4.2.0 mailbox busy} }, permit_mynetworks, reject_unauth_destination',
    'disable_dns_lookups = yes',
  ]
}

function masterLines(port: number, hasPostscreen: boolean): readonly string[] {
  const way = hasPostscreen
    ? [
        `127.0.0.1:${port} inet n - n - 1 postscreen`,
        'smtpd pass - - n - 100 smtpd',
        'dnsblog unix - - n - 0 dnsblog',
        'tlsproxy unix - - n - 0 tlsproxy',
      ]
    : [`127.0.0.1:${port} inet n - n - 100 smtpd`]
  return [
    ...way,
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'rewrite unix - - n - - trivial-rewrite',
    'bounce unix - - n - 0 bounce',
    'defer unix - - n - 0 bounce',
    'trace unix - - n - 0 bounce',
    'proxymap unix - - n - - proxymap',
    'smtp unix - - n - - smtp',
    'error unix - - n - - error',
    'retry unix - - n - - error',
    'discard unix - - n - - discard',
    'virtual unix - n n - - virtual',
    'anvil unix - - n - 1 anvil',
    'tlsmgr unix - - n 1000? 1 tlsmgr',
    'postlog unix-dgram n - n - 1 postlogd',
  ]
}

function numberOf(program: string, words: readonly string[]): number {
  return Number(execFileSync(program, [...words], { encoding: 'utf8' }))
}

function readIfThere(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}

function filed(folder: string): readonly string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder).map((name) => readFileSync(join(folder, name), 'latin1'))
}

/** The daemons of Postfix are in the process group of their master. */
function killGroup(pidFile: string): void {
  process.kill(-Number(readFileSync(pidFile, 'utf8').trim()), 'SIGKILL')
}

function stopQuietly(run: (...words: readonly string[]) => unknown): void {
  try {
    run('abort')
  } catch {
    // It was stopped before: `postfix abort` says so by its status.
  }
}
