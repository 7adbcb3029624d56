/**
 * A Postfix instance of a bench's own, on one core, its log to /dev/null through postlogd. Needs
 * root and Postfix.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Server, serverAt } from '../processes.ts'

/** What the instance is made of. */
export interface PostfixParts {
  readonly name: string
  readonly core: number
  readonly port: number
  /** master.cf. */
  readonly services: string
  /** main.cf beside what every instance needs. */
  readonly settings: Readonly<Record<string, string>>
  /** Further files of the configuration folder, by name. */
  readonly files?: Readonly<Record<string, string>>
}

/** Starts the instance; `FOLDER` in settings is its configuration folder. */
export function startPostfix(parts: PostfixParts): Server {
  const { name: own, core, port, services, settings, files } = parts
  const folder = mkdtempSync(join(tmpdir(), 'activemx-bench-postfix-'))
  chmodSync(folder, 0o755)
  for (const name of ['conf', 'spool', 'data']) mkdirSync(join(folder, name))
  execFileSync('chown', ['postfix', join(folder, 'data')])
  const conf = join(folder, 'conf')
  const main = Object.entries({ ...settingsOf(folder), ...settings })
    .map(([name, value]) => `${name} = ${value.replaceAll('FOLDER', conf)}\n`)
    .join('')
  for (const [name, text] of Object.entries({ 'main.cf': main, 'master.cf': services, ...files })) {
    writeFileSync(join(conf, name), text)
  }
  const postfix = (...words: string[]) =>
    execFileSync('taskset', ['-c', String(core), 'postfix', '-c', conf, ...words], {
      stdio: 'ignore',
    })
  postfix('start')
  const master = Number(readFileSync(join(folder, 'spool/pid/master.pid'), 'latin1').trim())
  return {
    ...serverAt(own, port, master),
    stop: async () => {
      postfix('stop')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function settingsOf(folder: string): Readonly<Record<string, string>> {
  return {
    compatibility_level: '3.6',
    queue_directory: join(folder, 'spool'),
    data_directory: join(folder, 'data'),
    command_directory: '/usr/sbin',
    daemon_directory: '/usr/lib/postfix/sbin',
    mail_owner: 'postfix',
    setgid_group: 'postdrop',
    inet_protocols: 'ipv4',
    myhostname: 'mx.example.org',
    mydestination: '',
    maillog_file: '/dev/null',
    maillog_file_prefixes: '/dev',
    disable_dns_lookups: 'yes',
  }
}
