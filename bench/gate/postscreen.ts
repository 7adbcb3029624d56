/**
 * The peer: Postfix's postscreen with an access list, in an instance of the bench's own.
 *
 * Its log goes through postlogd to /dev/null, as in its usual operation. Needs root and Postfix.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cpuOfTree, freePort, type Server } from './processes.ts'

const services = `
postlog unix-dgram n - n - 1 postlogd
anvil unix - - n - 1 anvil
dnsblog unix - - n - 0 dnsblog
tlsproxy unix - - n - 0 tlsproxy
smtpd pass - - n - 100 smtpd
`

/** Starts postscreen on a core; every address of 127.10.0.0/16 is refused. */
export async function startPostscreen(core: number): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), 'activemx-bench-postfix-'))
  const port = await freePort()
  chmodSync(folder, 0o755)
  for (const name of ['conf', 'spool', 'data']) mkdirSync(join(folder, name))
  execFileSync('chown', ['postfix', join(folder, 'data')])
  writeFileSync(join(folder, 'conf/main.cf'), mainConfiguration(folder))
  writeFileSync(
    join(folder, 'conf/master.cf'),
    `127.0.0.1:${port} inet n - n - 1 postscreen${services}`,
  )
  writeFileSync(join(folder, 'conf/access.cidr'), '127.10.0.0/16 reject\n127.0.0.0/8 permit\n')
  const postfix = (...words: string[]) =>
    execFileSync('taskset', ['-c', String(core), 'postfix', '-c', join(folder, 'conf'), ...words], {
      stdio: 'ignore',
    })
  postfix('start')
  const master = Number(readFileSync(join(folder, 'spool/pid/master.pid'), 'latin1').trim())
  return {
    port,
    cpuMicroseconds: () => cpuOfTree(master),
    stop: async () => {
      postfix('stop')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function mainConfiguration(folder: string): string {
  const settings = {
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
    mynetworks: '127.0.0.0/32',
    maillog_file: '/dev/null',
    maillog_file_prefixes: '/dev',
    disable_dns_lookups: 'yes',
    postscreen_access_list: `cidr:${join(folder, 'conf/access.cidr')}`,
    postscreen_denylist_action: 'drop',
    postscreen_greet_wait: '1s',
    postscreen_cache_map: '',
    postscreen_client_connection_count_limit: '100000',
    postscreen_pre_queue_limit: '20000',
    postscreen_post_queue_limit: '20000',
  }
  return Object.entries(settings)
    .map(([name, value]) => `${name} = ${value}\n`)
    .join('')
}
