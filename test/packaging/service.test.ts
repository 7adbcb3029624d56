/**
 * What docs/operating.md has an operator install: the unit is one to systemd, the line that makes
 * the user makes it. In folders of the test's own; the machine's users and units stay as they are.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { runCommand } from '../support/command-line.ts'
import {
  describeWith,
  findProgram,
  needsProgram,
  needsRoot,
  projectRoot,
} from '../support/needs.ts'
import { freePort } from '../support/ports.ts'
import { program } from '../support/proxy-program.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-service-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function textOf(file: string): string {
  return readFileSync(join(projectRoot, file), 'utf8')
}

const units = ['activemx.service', 'activemx-tls.service']

describeWith([needsProgram('systemd-analyze')], 'the units of examples', () => {
  test.each(units)('%s: systemd-analyze verify finds nothing wrong, and would', (name) => {
    // The program has to be there; where it is installed is docs/operating.md's.
    const unit = textOf(`examples/${name}`).replaceAll('/usr/bin/activemx', '/bin/true')
    expect(faultsOf(unit)).toEqual([])
    expect(faultsOf(unit.replace('ProtectSystem=', 'ProtectSistem='))).toHaveLength(1)
  })
})

test('proxy and TLS session daemon are one user and keep the folder of their sockets', () => {
  const shared = ['User', 'Group', 'RuntimeDirectory', 'RuntimeDirectoryPreserve']
  const [proxy, daemon] = units.map((name) =>
    shared.map((key) => new RegExp(`^${key}=.*$`, 'm').exec(textOf(`examples/${name}`))?.[0]),
  )
  expect(daemon).toEqual(proxy)
  expect(proxy).toContain('RuntimeDirectoryPreserve=yes')
})

test('the unit starts again what died, and not what a wrong configuration has ended', async () => {
  const unit = textOf('examples/activemx.service')
  const of = (name: string) =>
    [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map((m) => m[1])
  expect([of('Restart'), of('RestartSec')]).toEqual([['always'], ['1s']])
  // systemd looks at the status of the main process alone: what comes before it would be repeated.
  expect([of('RestartPreventExitStatus'), of('ExecStartPre')]).toEqual([['2'], []])
  writeFileSync(join(folder, 'wrong.toml'), 'name = "mx.example.test"\n')
  const { status } = await runCommand('serve', '--config', join(folder, 'wrong.toml'))
  expect(status).toBe(2)
})

describeWith([needsProgram('logrotate')], 'examples/activemx.logrotate', () => {
  test('logrotate takes it; path and user are those of the unit, the signal that of the docs', () => {
    const stanza = textOf('examples/activemx.logrotate')
    const unit = textOf('examples/activemx.service')
    expect(stanza).toContain(`/var/log/${/^LogsDirectory=(.*)$/m.exec(unit)?.[1]}/*.log {`)
    expect(stanza).toContain(`su ${/^User=(.*)$/m.exec(unit)?.[1]} `)
    expect(textOf('docs/log.md')).toContain('SIGUSR1')
    const log = join(folder, 'activemx.log')
    writeFileSync(log, 'a record\n')
    const { uid } = userInfo()
    const own = stanza
      .replaceAll('/var/log/activemx', folder)
      .replace(/^ *su .*$/m, uid === 0 ? 'su root root' : '')
      .replace(/systemctl kill .*$/m, (words) => `echo "${words}" > ${folder}/said`)
    writeFileSync(join(folder, 'stanza'), own, { mode: 0o600 })
    const words = ['--force', '--state', join(folder, 'state'), join(folder, 'stanza')]
    const made = spawnSync(findProgram('logrotate') ?? '', words, { encoding: 'utf8' })
    expect([made.status, made.stderr]).toEqual([0, ''])
    expect(existsSync(log)).toBe(false)
    expect(readFileSync(`${log}.1`, 'utf8')).toBe('a record\n')
    expect(readFileSync(join(folder, 'said'), 'utf8')).toMatch(/--signal=SIGUSR1 activemx\.service/)
  })
})

/** As systemd does: permits sockets of these families alone, becomes the program. seccomp(2). */
const confined = [
  'import ctypes, os, socket, struct, sys',
  'families = [getattr(socket, name) for name in sys.argv[1].split()]',
  'allow, refuse, count = 0x7fff0000, 0x00050000 | 97, len(families)',
  'steps = [(0x20, 0, 0, 0), (0x15, 1, 0, 41), (0x06, 0, 0, allow), (0x20, 0, 0, 16)]',
  'steps += [(0x15, count - at, 0, family) for at, family in enumerate(families)]',
  'steps += [(0x06, 0, 0, refuse), (0x06, 0, 0, allow)]',
  'octets = b"".join(struct.pack("HBBI", *step) for step in steps)',
  'kept = ctypes.create_string_buffer(octets)',
  'program = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(kept))',
  'prctl = ctypes.CDLL(None, use_errno=True).prctl',
  'prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4',
  'assert prctl(38, 1, 0, 0, 0) == 0',
  'held = ctypes.create_string_buffer(program)',
  'assert prctl(22, 2, ctypes.addressof(held), 0, 0) == 0, ctypes.get_errno()',
  'os.execv(sys.argv[2], sys.argv[2:])',
].join('\n')

const needsX64 = process.arch === 'x64' ? undefined : 'the filter is of x64'
describeWith([needsProgram('python3'), needsX64], 'the address families of the unit', () => {
  const [, families = ''] =
    /^RestrictAddressFamilies=(.*)$/m.exec(textOf('examples/activemx.service')) ?? []

  test.each([
    [families, 'ready'],
    [families.replace(' AF_NETLINK', ''), 'ADDRESSES'],
  ])('the service with %s: %s', { timeout: 60_000 }, async (permitted, ending) => {
    const file = join(folder, 'activemx.toml')
    const sections = [
      `listen.smtp = ["0.0.0.0:${await freePort()}"]`,
      'mailhost.addresses = ["127.0.0.1:9"]',
      'recipients.domains = ["example.test"]',
      'process.user = ""',
      'control.socket = "control.sock"',
    ]
    writeFileSync(file, `name = "mx.example.test"\n${sections.join('\n')}\n`)
    const words = [process.execPath, program, 'serve', '--config', file]
    const child = spawn('python3', ['-c', confined, permitted, ...words])
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
      if (!child.killed && said.includes('"what":"ready"')) child.kill('SIGTERM')
    })
    const [status] = (await once(child, 'close')) as [number]
    if (ending === 'ready') expect([said, status]).toEqual([expect.stringContaining(ending), 0])
    else expect([said, status]).toEqual([expect.stringContaining('permit AF_NETLINK'), 2])
  })
})

describeWith([needsProgram('useradd'), needsRoot()], 'the user of docs/operating.md', () => {
  test('the line that makes it makes the one of the unit, without a shell', () => {
    const [line = ''] = /^useradd .*$/m.exec(textOf('docs/operating.md')) ?? []
    const [, ...words] = line.split(' ')
    mkdirSync(join(folder, 'etc'))
    // Whether a user has a group of its own name is said here.
    copyFileSync('/etc/login.defs', join(folder, 'etc/login.defs'))
    for (const file of ['passwd', 'shadow', 'group', 'gshadow']) {
      writeFileSync(join(folder, 'etc', file), '')
    }
    const useradd = findProgram('useradd') ?? ''
    const made = spawnSync(useradd, ['--prefix', folder, ...words], { encoding: 'utf8' })
    expect([made.status, made.stderr]).toEqual([0, ''])
    const user = /^User=(.*)$/m.exec(textOf('examples/activemx.service'))?.[1]
    expect(readFileSync(join(folder, 'etc/passwd'), 'utf8')).toMatch(
      new RegExp(`^${user}:x:\\d+:\\d+::/var/lib/activemx:/usr/sbin/nologin$`, 'm'),
    )
    expect(readFileSync(join(folder, 'etc/group'), 'utf8')).toMatch(new RegExp(`^${user}:`, 'm'))
  })
})

/** What systemd says of the unit; other units of the machine are left out. */
function faultsOf(unit: string): readonly string[] {
  const path = join(folder, 'activemx.service')
  writeFileSync(path, unit)
  const program = findProgram('systemd-analyze') ?? ''
  const options = ['verify', '--man=no', '--recursive-errors=no', path]
  const { stderr } = spawnSync(program, options, { encoding: 'utf8' })
  return stderr.split('\n').filter((line) => line.includes('activemx.service'))
}
