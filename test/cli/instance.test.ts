import {
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { OperatingError } from '../../src/base/errors.ts'
import { InstanceCommands } from '../../src/cli/instance-commands.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { Config } from '../../src/config/schema.ts'
import { type ControlServer, openControlServer } from '../../src/control/control-server.ts'
import { DynamicEntries } from '../../src/edge/dynamic-entries.ts'
import type { RunningProxy } from '../../src/edge/running-proxy.ts'
import { openSystemLog, type SystemLog } from '../../src/log/system-log.ts'
import { endHostVerdicts, hostCacheKey } from '../../src/probes/verdict-memory.ts'
import { DynamicList } from '../../src/store/dynamic-list.ts'
import { openStore } from '../../src/store/open-store.ts'
import { Store } from '../../src/store/store.ts'
import { VerdictStore } from '../../src/store/verdict-store.ts'
import { WhitelistStore } from '../../src/store/whitelist-store.ts'
import { runCommand } from '../support/command-line.ts'

const text = `
name = "mx1.example.net"
mailhost.addresses = ["127.0.0.1:1025"]
recipients.domains = ["example.net"]
control.socket = "control.sock"
log.to = "log"
listen.smtp = ["127.0.0.1:0"]
`

let folder = ''
let file = ''
let log: SystemLog
let store: Store
let server: ControlServer
let reloaded: Config[] = []
const changes: string[] = []
/** What the IP table holds. */
const held = new Set<string>()
let roomFor = Number.POSITIVE_INFINITY
let onRemoved: (prefix: string) => void = () => {}

const neverBlockReason = (prefix: string) =>
  prefix.startsWith('10.') ? 'touches 10.0.0.0/8: private use, RFC 1918' : ''

const proxy: RunningProxy = {
  addresses: ['127.0.0.1:2525'],
  commands: {},
  learnt: undefined,
  dynamic: new DynamicEntries(
    {
      neverBlockReason,
      enterDynamic: ({ prefix }) => {
        if (held.size === roomFor) throw new OperatingError('TABLE_ADDED_FULL', 'the table is full')
        changes.push(`add ${prefix}`)
        held.add(prefix)
      },
      removeDynamic: (prefix) => {
        changes.push(`remove ${prefix}`)
        held.delete(prefix)
        return prefix
      },
    },
    { onRemoved: (prefix) => onRemoved(prefix), onBarred: () => {}, onFault: () => {} },
  ),
  reload: async (config) => void reloaded.push(config),
  status: () => ({
    addresses: ['127.0.0.1:2525'],
    uptimeMs: 3_600_999,
    isStressed: false,
    threads: 1,
    gate: {} as ReturnType<RunningProxy['status']>['gate'],
    counters: {} as ReturnType<RunningProxy['status']>['counters'],
    lists: [],
    loading: { done: 1, total: 3, last: 'drop' },
    warnings: ['lists.allow_loopback = true: so'],
    mailhosts: [
      { address: '127.0.0.1:1025', sessions: 2, awayIn: 0 },
      { address: '127.0.0.1:1026', sessions: 0, awayIn: 1 },
    ],
    probes: { isOn: true, inFlight: 3, made: 40, refusedUs: 5 },
    tlsDaemon: { socket: '/run/tls.sock', code: 'refused', message: 'too old', lost: 2 },
    logDropped: 7,
  }),
  endThread: async () => {},
  stop: async () => {},
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-instance-'))
  file = join(folder, 'activemx.toml')
  writeFileSync(file, text)
  reloaded = []
  changes.length = 0
  held.clear()
  roomFor = Number.POSITIVE_INFINITY
  onRemoved = () => {}
  const config = loadedConfig()
  log = await openSystemLog(config)
  const root = openStore(join(folder, 'store'), () => {})
  store = new Store(root, { sizeMaxOctets: 2 ** 22, report: () => {} })
  const commands = new InstanceCommands(config, {
    file,
    load: () => loadConfig(file),
    log,
    proxy,
    learnt: { store, dynamic: new DynamicList(store), whitelist: new WhitelistStore(store) },
  })
  server = await openControlServer(config.control.socket, commands.handlers())
})
afterEach(async () => {
  await server.close()
  await store.close()
  await log.close()
  rmSync(folder, { recursive: true, force: true })
})

function loadedConfig(): Config {
  const loaded = loadConfig(file)
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.error))
  return loaded.value
}

describe('control socket', () => {
  test('is for its user alone, survives nonsense, and names its commands', async () => {
    expect(statSync(server.path).mode & 0o777).toBe(0o600)
    const socket = connect(server.path)
    let said = ''
    socket.setEncoding('utf8').on('data', (octets: string) => {
      said += octets
    })
    socket.write('nonsense\n{"command":"__proto__","arguments":{}}\n{"command":"status"}\n')
    await vi.waitFor(() => expect(said.split('\n')).toHaveLength(4))
    const kinds = said
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { kind: string }).kind)
    expect(kinds).toEqual(['fault', 'fault', 'answer'])
    socket.destroy()
  })

  test('a living instance’s socket is not taken; a dead one’s is', async () => {
    await expect(openControlServer(server.path, {})).rejects.toThrow(/another process listens/)
    const dying = await openControlServer(join(folder, 'dying.sock'), {})
    const stale = join(folder, 'stale.sock')
    renameSync(dying.path, stale)
    await dying.close()
    const other = await openControlServer(stale, {})
    await other.close()
    expect(existsSync(stale)).toBe(false)
  })

  test('a file that is no socket stays what it is', async () => {
    await expect(openControlServer(file, {})).rejects.toThrow(/is no socket; remove it or name/)
    expect(readFileSync(file, 'utf8')).toBe(text)
  })

  test('no instance: one line with the socket, status 2', async () => {
    const { status, warned } = await runCommand('status', '--socket', join(folder, 'none.sock'))
    expect(status).toBe(2)
    expect(warned).toHaveLength(1)
    expect(warned[0]).toMatch(
      /^activemx: control\.socket = .*none\.sock: .*is the instance running\? \(--socket, --config\)$/,
    )
  })
})

describe('commands', () => {
  test('status, as text and as JSON', async () => {
    const { status, printed } = await runCommand('status', '--config', file)
    expect(status).toBe(0)
    expect(printed).toContain('mailhost 127.0.0.1:1025: 2 sessions')
    expect(printed[0]).toMatch(/, up 1h, 1 serving threads$/)
    expect(printed).toContain('mailhost 127.0.0.1:1026: 0 sessions, away in 1 of 1 threads')
    expect(printed).toContain('warning: lists.allow_loopback = true: so')
    expect(printed).toContain('loading lists: 1 of 3, last drop')
    expect(printed).toContain('probes: on, 3 in flight, 40 made, 5 answered by a refusal of us')
    expect(printed).toContain('TLS daemon /run/tls.sock: does not serve: too old; lost 2 times')
    expect(printed).toContain('log: 7 records dropped')
    const json = await runCommand('status', '--config', file, '--json')
    expect(JSON.parse(json.printed[0] ?? '')).toMatchObject({ pid: process.pid, threads: 1 })
  })

  test('reload takes the file, says what changed and what needs a restart', async () => {
    writeFileSync(file, `${text}body.stray = "normalise"\nstore.path = "elsewhere"\n`)
    const { status, printed } = await runCommand('reload', '--config', file)
    expect(status).toBe(0)
    expect(printed).toEqual([
      'reloaded, lists and rules too; changed keys: body.stray',
      'needs a restart: store.path',
    ])
    expect(reloaded[0]?.body.stray).toBe('normalise')
    await vi.waitFor(() =>
      expect(readFileSync(join(folder, 'log'), 'utf8')).toMatch(
        /"event":"reload","ok":true,"changes":\["body\.stray"\],"faults":\[\],"restart":\["store\.path"\]/,
      ),
    )
  })

  test('reload of a wrong file: each fault, status 2, the last good one stays', async () => {
    writeFileSync(file, `${text}log.format = "xml"\n`)
    const socket = server.path
    const { status, warned } = await runCommand('reload', '--socket', socket)
    expect(status).toBe(2)
    expect(warned[0]).toMatch(/^activemx: log\.format = "xml": write one of/)
    expect(warned[1]).toMatch(/the last good configuration stays$/)
    expect(reloaded).toEqual([])
  })

  test('a reload that meets a bug of ours: told, and the next one is taken', async () => {
    let isBroken = true
    const load = () => {
      if (isBroken) throw new Error('broken')
      return loadConfig(file)
    }
    const commands = new InstanceCommands(loadedConfig(), {
      file,
      load,
      log,
      proxy,
      learnt: undefined,
    })
    expect(await commands.reload()).toMatchObject({ ok: false, faults: ['broken'] })
    isBroken = false
    expect(await commands.reload()).toMatchObject({ ok: true })
  })

  test('B23: the dynamic list by hand: add with reason and end, show, export, import, remove', async () => {
    const at = ['--socket', server.path]
    const added = await runCommand(
      'list',
      'dynamic',
      'add',
      '192.0.2.7',
      '--ttl',
      '1h',
      '--reason',
      'x',
      ...at,
    )
    expect(added).toEqual({ status: 0, printed: ['192.0.2.7 is in dynamic'], warned: [] })
    const wrong = await runCommand('list', 'dynamic', 'add', '192.0.2.300', ...at)
    expect(wrong.status).toBe(2)
    expect(wrong.warned).toEqual(['activemx: entry 192.0.2.300: write an address or network'])
    const barred = await runCommand('list', 'dynamic', 'add', '10.0.0.1', ...at)
    expect(barred.status).toBe(2)
    expect(barred.warned).toEqual([
      'activemx: entry 10.0.0.1/32: touches 10.0.0.0/8: private use, RFC 1918; ' +
        'enter a network outside it, or take it out of that list and run activemx reload',
    ])
    const source = join(folder, 'more.txt')
    writeFileSync(source, '# more\n2001:db8::/64 # block\nnonsense\n')
    const imported = await runCommand('list', 'dynamic', 'import', source, '--ttl', '0', ...at)
    expect(imported.status).toBe(1)
    expect(imported.warned[0]).toMatch(/more\.txt:3: skipped: entry nonsense/)
    store.flush()
    const shown = await runCommand('list', 'dynamic', 'show', ...at)
    expect(shown.printed[0]).toMatch(/^192\.0\.2\.7\/32 {2}until \d{4}-.*Z {2}x$/)
    expect((await runCommand('list', 'dynamic', 'export', ...at)).printed).toEqual([
      '192.0.2.7/32',
      '2001:db8::/64',
    ])
    expect((await runCommand('list', 'dynamic', 'remove', '192.0.2.7', ...at)).status).toBe(0)
    expect((await runCommand('list', 'dynamic', 'remove', '192.0.2.7', ...at)).status).toBe(1)
    expect(changes).toEqual(['add 192.0.2.7/32', 'add 2001:db8::/64', 'remove 192.0.2.7/32'])
    expect((await runCommand('list', 'drop', 'show', ...at)).warned[0]).toMatch(
      /no list of this instance has that name/,
    )
  })

  test('an import of many: each bad line by its own number, all the others in the store', async () => {
    const at = ['--socket', server.path]
    const source = join(folder, 'many.txt')
    const lines = Array.from({ length: 2500 }, (_, index) =>
      index % 1000 === 3 ? 'x'.repeat(70_000) : `u${index}@example.net # ${index}`,
    )
    writeFileSync(source, lines.join('\r\n'))
    const transact = vi.spyOn(store, 'transact')
    const imported = await runCommand('list', 'whitelist', 'import', source, '--json', ...at)
    expect(imported.status).toBe(1)
    expect(imported.printed).toEqual(['{"added":2497,"refused":3}'])
    const named = imported.warned.map(
      (line) => /many\.txt:(\d+): skipped: entry x+: /.exec(line)?.[1],
    )
    expect(named).toEqual(['4', '1004', '2004'])
    expect(transact.mock.calls.length).toBeLessThan(10)
    const whitelist = new WhitelistStore(store)
    expect(whitelist.size).toBe(2497)
    expect(whitelist.find('u2499@example.net')?.source).toBe('operator')
  })

  test('an import into a full table keeps what was added before, and says why it ends', async () => {
    const at = ['--socket', server.path]
    const source = join(folder, 'more.txt')
    writeFileSync(source, '192.0.2.1\n192.0.2.2\n192.0.2.3\n')
    roomFor = 2
    const { status, warned } = await runCommand('list', 'dynamic', 'import', source, ...at)
    expect([status, warned]).toEqual([2, ['activemx: the table is full']])
    const kept = [...new DynamicList(store).entries(0)].map(({ prefix }) => prefix)
    expect(kept).toEqual(['192.0.2.1/32', '192.0.2.2/32'])
  })

  test('an end beyond all dates is shown as none; words without end are refused', async () => {
    const at = ['--socket', server.path]
    await runCommand('list', 'dynamic', 'add', '192.0.2.7', '--ttl', '99999999d', ...at)
    const shown = await runCommand('list', 'dynamic', 'show', ...at)
    expect([shown.status, shown.printed]).toEqual([0, ['192.0.2.7/32']])
    const words = ['list', 'dynamic', 'add', '192.0.2.8', '--reason', 'x'.repeat(1001), ...at]
    const { status, warned } = await runCommand(...words)
    expect([status, warned]).toEqual([2, ['activemx: reason: write at most 1000 characters']])
  })

  test('above size_max: a listed host is removed, table and verdict', async () => {
    const at = ['--socket', server.path]
    const verdicts = new VerdictStore(store, 1_000_000)
    const verdict = { fact: 'accepts-all', foundAtMs: 1, untilMs: 1e13 } as const
    const key = hostCacheKey('62.1.2.7', { relay: true, dialup: false })
    verdicts.put(key, verdict)
    for (let index = 0; !store.isFull && index < 200_000; index++) {
      verdicts.put(`u:${index}`, verdict)
      if (index % 1000 === 999) await verdicts.flushed()
    }
    expect(store.isFull).toBe(true)
    const learning = { prefix: '62.1.2.7/32', reason: 'open-relay', evidence: [], ttlMs: 0 }
    proxy.dynamic.keepIn(new DynamicList(store), Date.now())
    proxy.dynamic.learn(learning, Date.now())
    expect((await runCommand('list', 'dynamic', 'show', ...at)).printed).toContain(
      '62.1.2.7/32  not in the store: goes with a restart',
    )
    onRemoved = (prefix) => endHostVerdicts(verdicts, prefix, 0)
    const removed = await runCommand('list', 'dynamic', 'remove', '62.1.2.7', ...at)
    expect(removed.printed).toEqual(['62.1.2.7 is no longer in dynamic'])
    expect([...held]).toEqual([])
    expect(verdicts.get(key, 0)).toBeUndefined()
    expect((await runCommand('list', 'dynamic', 'remove', '62.1.2.7', ...at)).status).toBe(1)
    const added = await runCommand('list', 'dynamic', 'add', '62.1.2.8', ...at)
    expect(added.status).toBe(2)
    expect(added.warned).toEqual([
      'activemx: entry 62.1.2.8/32: not added, store.size_max = 4194304 octets is used: ' +
        'raise it and restart, or take verdicts away with activemx cache flush',
    ])
    expect([...held]).toEqual([])
    await verdicts.flush('')
    expect((await runCommand('list', 'dynamic', 'add', '62.1.2.8', ...at)).status).toBe(0)
  })

  test('B7: the whitelist by hand', async () => {
    const at = ['--socket', server.path]
    expect((await runCommand('list', 'whitelist', 'add', 'Bob@Remote.Example', ...at)).status).toBe(
      0,
    )
    expect((await runCommand('list', 'whitelist', 'export', ...at)).printed).toEqual([
      'bob@remote.example',
    ])
    expect((await runCommand('list', 'whitelist', 'add', 'nobody', ...at)).status).toBe(2)
    const why = ['--ttl', '1h', '--reason', 'a friend']
    await runCommand('list', 'whitelist', 'add', 'eve@remote.example', ...why, ...at)
    const shown = await runCommand('list', 'whitelist', 'show', ...at)
    expect(shown.printed).toEqual([
      'bob@remote.example  operator',
      expect.stringMatching(/^eve@remote\.example {2}until \d{4}-.*Z {2}a friend$/),
    ])
    expect(
      (await runCommand('list', 'whitelist', 'remove', 'bob@remote.example', ...at)).status,
    ).toBe(0)
  })

  test('a list is exported whole, however long; a form that is none is misuse', async () => {
    const at = ['--socket', server.path]
    const addresses = Array.from({ length: 20_001 }, (_, index) => `u${index}@remote.example`)
    const place = { inode: 1, offset: 1, head: '' }
    new WhitelistStore(store).enter(addresses, 'mail.log', place, Date.now())
    const exported = await runCommand('list', 'whitelist', 'export', ...at)
    expect(exported.printed).toEqual(addresses.toSorted())
    const json = ['list', 'whitelist', 'export', '--format', 'json', ...at]
    expect(JSON.parse((await runCommand(...json)).printed.join(''))).toHaveLength(20_001)
    const csv = await runCommand('list', 'whitelist', 'export', '--format', 'csv', ...at)
    expect([csv.status, csv.warned.length]).toEqual([2, 1])
  })

  test('entries that no store keeps are shown whole, part by part', async () => {
    const dynamic = new DynamicEntries(
      { neverBlockReason: () => '', enterDynamic: () => {}, removeDynamic: (prefix) => prefix },
      { onRemoved: () => {}, onBarred: () => {}, onFault: () => {} },
    )
    const all = Array.from({ length: 20_001 }, (_, at) => `62.0.${at >> 8}.${at & 255}/32`)
    for (const prefix of all) {
      dynamic.learn({ prefix, reason: 'open-relay', evidence: [], ttlMs: 0 }, Date.now())
    }
    const parts = { file, load: () => loadConfig(file), log, learnt: undefined }
    const commands = new InstanceCommands(loadedConfig(), {
      ...parts,
      proxy: { ...proxy, dynamic },
    })
    const handlers = commands.handlers()
    const sizes: number[] = []
    const counted = await openControlServer(join(folder, 'counted.sock'), {
      'list-show': async (given, stream) => {
        const part = (await handlers['list-show']?.(given, stream)) as readonly unknown[]
        sizes.push(part.length)
        return part
      },
    })
    const at = ['--socket', counted.path]
    expect((await runCommand('list', 'dynamic', 'export', ...at)).printed).toEqual(all)
    expect(sizes).toEqual([10_000, 10_000, 1, 0])
    const json = (await runCommand('list', 'dynamic', 'show', '--json', ...at)).printed.join('')
    const reason = 'not in the store: goes with a restart'
    expect(JSON.parse(json).at(-1)).toEqual({ entry: all.at(-1), expiresAtMs: 0, reason })
    await counted.close()
  })

  test('an instance of before an upgrade, which knows no parts of a list: it is shown once', async () => {
    let asked = 0
    const old = await openControlServer(join(folder, 'old.sock'), {
      'list-show': () => {
        if (++asked > 2) throw new Error('asked without end')
        return [{ entry: '192.0.2.7/32' }]
      },
    })
    const { status, printed } = await runCommand('list', 'dynamic', 'export', '--socket', old.path)
    expect([status, printed]).toEqual([0, ['192.0.2.7/32']])
    await old.close()
  })

  test('trace shows the records of a network until the client hangs up', async () => {
    const socket = connect(server.path)
    let said = ''
    socket.setEncoding('utf8').on('data', (octets: string) => {
      said += octets
    })
    socket.write('{"command":"trace","arguments":{"source":"192.0.2.0/24"}}\n')
    await vi.waitFor(() => expect(log.log.isTraced('192.0.2.7')).toBe(true))
    const record = { event: 'pregreet', time: 0, port: 1, octets: 3, action: 'refuse' } as const
    log.log.record({ ...record, client: '192.0.2.7' })
    log.log.record({ ...record, client: '192.0.3.7' })
    await vi.waitFor(() => expect(said).toContain('pregreet'))
    expect(said).not.toContain('192.0.3.7')
    socket.destroy()
    await vi.waitFor(() => expect(log.log.isTraced('192.0.2.7')).toBe(false))
    expect((await runCommand('trace', '--source', 'x', '--socket', server.path)).status).toBe(2)
  })
})

describe('configuration commands', () => {
  test('check-config: right, wrong, and a file that is not there', async () => {
    writeFileSync(file, `${text}process.user = "nobody"\n`)
    expect((await runCommand('check-config', '--config', file)).status).toBe(0)
    writeFileSync(
      file,
      `${text}process.user = "nobody"\ntls.certificate = "c.pem"\ntls.key = "k.pem"\n`,
    )
    const missing = await runCommand('check-config', '--config', file)
    expect(missing.status).toBe(2)
    expect(missing.warned).toHaveLength(2)
    expect(missing.warned[0]).toMatch(/tls\.certificate = ".*c\.pem": not readable: ENOENT/)
    writeFileSync(file, `${text}greet_dely = 1\nlog.format = "xml"\n`)
    const wrong = await runCommand('check-config', '--config', file)
    expect(wrong.status).toBe(2)
    expect(wrong.warned).toHaveLength(2)
  })

  test('show-config: all, what differs, and what a setting means', async () => {
    const all = await runCommand('show-config', '--config', file)
    expect(all.printed).toContain('listen.greet_delay = "0s"')
    const some = await runCommand('show-config', '--config', file, '--non-default')
    expect(some.printed.map((line) => line.split(' ')[0])).toEqual([
      'name',
      'listen.smtp',
      'mailhost.addresses',
      'recipients.domains',
      'log.to',
      'control.socket',
    ])
    const one = await runCommand('show-config', '--explain', 'lists.blacklist[0].every')
    expect(one.printed[0]).toMatch(
      /^lists\.blacklist\[\]\.every: time\n.*\ndefault: "1h"\nat least: 1m\n/,
    )
    const table = await runCommand('show-config', '--explain', 'lists.blacklist')
    expect(table.printed[0]).toMatch(
      /^\[\[lists\.blacklist\]\]: Addresses .*\n(.*\n)*lists\.blacklist\[\]\.every: time\n/,
    )
    const none = await runCommand('show-config', '--explain', 'listen.greet_delai')
    expect(none.status).toBe(2)
    expect(none.warned[0]).toMatch(/did you mean listen\.greet_delay\?$/)
  })
})
