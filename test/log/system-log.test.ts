import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { logSinkOctetsMax } from '../../src/base/limits.ts'
import { buildConfig } from '../../src/config/load.ts'
import type { Config } from '../../src/config/schema.ts'
import type { LogSink } from '../../src/log/sink.ts'
import { openLocalSyslog } from '../../src/log/syslog-sink.ts'
import { openSystemLog, SystemLog } from '../../src/log/system-log.ts'
import { openThreadLog } from '../../src/log/thread-log.ts'
import { describeWith, needsProgram } from '../support/needs.ts'
import { someTime, verdictRecord } from './records.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-log-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function config(log: Record<string, unknown> = {}): Config {
  const loaded = buildConfig(
    {
      name: 'mx1.example.net',
      mailhost: { addresses: ['127.0.0.1:1025'] },
      recipients: { domains: ['example.net'] },
      log,
    },
    folder,
  )
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.error))
  return loaded.value
}

/** Octets of the heap that are in use. */
function heldOctets(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  return process.memoryUsage().heapUsed
}

/** A sink in memory whose room the test decides. */
function memorySink(): LogSink & { lines: string[]; waitingOctets: number } {
  return {
    lines: [],
    waitingOctets: 0,
    waiting() {
      return this.waitingOctets
    },
    write(lines: string) {
      this.lines.push(...lines.split('\n').filter((line) => line !== ''))
    },
    reopen() {},
    async close() {},
  }
}

describe('file', () => {
  test('lines arrive in order; reopening follows a rotation; a new destination is taken at reload', async () => {
    const file = join(folder, 'a.log')
    const log = await openSystemLog(config({ to: 'a.log', format: 'postfix' }))
    log.log.verdict(verdictRecord({ id: 'one' }))
    log.log.flush()
    await vi.waitFor(() => expect(readFileSync(file, 'utf8')).toMatch(/id=4bQx1-7.*\n$/))
    expect(statSync(file).mode & 0o777).toBe(0o640)

    renameSync(file, `${file}.1`)
    log.reopen()
    await vi.waitFor(() => expect(statSync(file).size).toBe(0))
    log.log.record({ event: 'service', time: someTime, what: 'ready', detail: 'two' })
    log.log.flush()
    await vi.waitFor(() => expect(readFileSync(file, 'utf8')).toMatch(/SERVICE ready: two\n$/))

    const change = await log.prepare(config({ to: 'b.log', format: 'logfmt' }))
    await change.take()
    log.log.record({ event: 'service', time: someTime, what: 'ready', detail: 'three' })
    await log.close()
    expect(readFileSync(join(folder, 'b.log'), 'utf8')).toMatch(/event=service .* detail=three\n$/)
    expect(readFileSync(`${file}.1`, 'utf8').split('\n')).toHaveLength(2)
  })

  test('a rotation that cannot open its file writes on in the old one and closes it once', async () => {
    const [near, away] = [join(folder, 'near'), join(folder, 'away')]
    mkdirSync(near)
    const log = await openSystemLog(config({ to: 'near/a.log', format: 'postfix' }))
    const read = (place: string) => readFileSync(join(place, 'a.log'), 'utf8')
    renameSync(near, away)
    log.reopen()
    await vi.waitFor(() => expect(read(away)).toMatch(/SERVICE fault: .*ENOENT.*\n$/))
    mkdirSync(near)
    log.reopen()
    await vi.waitFor(() => expect(read(near)).toBe(''))
    log.log.record({ event: 'service', time: someTime, what: 'ready', detail: 'again' })
    await log.close()
    expect(read(near)).toMatch(/^[^\n]*SERVICE ready: again\n$/)
  })

  test('a folder that is not there is said at start', async () => {
    await expect(openSystemLog(config({ to: 'none/a.log' }))).rejects.toThrow(
      /^log\.to = .*none\/a\.log: ENOENT.*name a file in a folder that is writable$/,
    )
  })

  test('a process whose log cannot be opened ends without a further word', async () => {
    const sink = new URL('../../dist/src/log/sink.js', import.meta.url).href
    const path = join(folder, 'none/a.log')
    const script = `
      const { openStreamSink } = await import('${sink}')
      await openStreamSink('${path}', {}).catch((fault) => console.error(fault.code))`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script])
    let said = ''
    child.stderr.on('data', (chunk) => {
      said += chunk
    })
    const [status] = await once(child, 'close')
    expect([status, said]).toEqual([0, 'LOG_OPEN\n'])
  })

  test('a full disk costs records, counted, never a throw', async () => {
    const log = await openSystemLog(config({ to: '/dev/full' }))
    const helo = 'x'.repeat(400)
    for (let n = 0; n < 12_000; n++) log.log.verdict(verdictRecord({ helo }))
    log.log.flush()
    expect(log.dropped()).toBeGreaterThan(0)
    expect(log.dropped()).toBeLessThan(12_000)
    await log.close()
  })
})

describe('B24: every record is written or counted', () => {
  test('what finds the buffer full is counted, and told once there is room', () => {
    const sink = memorySink()
    const log = new SystemLog(config(), sink)
    log.log.verdict(verdictRecord({ id: 'before' }))
    log.log.flush()
    sink.waitingOctets = logSinkOctetsMax
    for (const id of ['lost-1', 'lost-2', 'lost-3']) log.log.verdict(verdictRecord({ id }))
    log.log.flush()
    expect(log.dropped()).toBe(3)
    sink.waitingOctets = 0
    log.events.onDrain()
    log.events.onDrain()
    log.log.verdict(verdictRecord({ id: 'after' }))
    log.log.flush()
    expect(sink.lines.map((line) => JSON.parse(line) as Record<string, unknown>)).toMatchObject([
      { event: 'verdict', id: 'before' },
      { event: 'log_dropped', count: 3 },
      { event: 'verdict', id: 'after' },
    ])
  })

  test('records of serving threads: written and dropped add up', async () => {
    const sink = memorySink()
    const log = new SystemLog(config(), sink)
    const threads = [1, 2, 3].map(() => openThreadLog(log.newThread(3)))
    const each = 9000
    for (let n = 0; n < each; n++) for (const thread of threads) thread.verdict(verdictRecord())
    for (const thread of threads) thread.flush()
    const written = (): number => sink.lines.filter((line) => !line.includes('log_dropped')).length
    await vi.waitFor(() => {
      for (const thread of threads) {
        thread.record({ event: 'service', time: someTime, what: 'poke', detail: '' })
        thread.flush()
      }
      const pokes = sink.lines.filter((line) => line.includes('poke')).length
      expect(pokes).toBeGreaterThan(2)
      expect(written() - pokes + log.dropped()).toBeGreaterThanOrEqual(each * threads.length)
    })
    expect(log.dropped()).toBeGreaterThan(0)
    const pokes = sink.lines.filter((line) => line.includes('poke')).length
    expect(written() - pokes + log.dropped()).toBe(each * threads.length)
    await log.close()
  })

  test.each([
    ['of a bug of ours: they are written', 0],
    ['ended from outside: they are counted', 3],
  ])('records that wait in a serving thread when it dies %s', async (_death, dropped) => {
    const sink = memorySink()
    const log = new SystemLog(config(), sink)
    const init = log.newThread(1)
    const threadLog = new URL('../../dist/src/log/thread-log.js', import.meta.url).href
    const body = `
      const { parentPort, workerData } = require('node:worker_threads')
      import('${threadLog}').then(({ openThreadLog }) => {
        const log = openThreadLog(workerData)
        for (const detail of ['1', '2', '3']) {
          log.record({ event: 'service', time: 0, what: 'waits', detail })
        }
        parentPort.postMessage('logged')
        parentPort.on('message', () => { throw new Error('a bug of ours') })
        for (;;) if (${dropped} === 0) break
      })`
    const worker = new Worker(body, { eval: true, workerData: init, transferList: [init.port] })
    worker.on('error', () => {})
    await once(worker, 'message')
    if (dropped > 0) await worker.terminate()
    else worker.postMessage('die')
    const written = (): number => sink.lines.filter((line) => line.includes('waits')).length
    await vi.waitFor(
      () => expect([written(), log.dropped()]).toEqual([3 - dropped, dropped]),
      20_000,
    )
    await log.close()
  })

  test('the level leaves events out, never a verdict', () => {
    const seen = (level: string): readonly string[] => {
      const sink = memorySink()
      const { log } = new SystemLog(config({ level }), sink)
      log.record({ event: 'connect', time: 0, client: '::1', port: 1, local: '', isTrusted: false })
      log.record({
        event: 'pregreet',
        time: 0,
        client: '::1',
        port: 1,
        octets: 1,
        action: 'refuse',
      })
      log.verdict(verdictRecord())
      log.record({ event: 'log_dropped', time: 0, count: 1 })
      log.flush()
      return sink.lines.map((line) => (JSON.parse(line) as { event: string }).event)
    }
    expect(seen('verdicts')).toEqual(['verdict', 'log_dropped'])
    expect(seen('findings')).toEqual(['pregreet', 'verdict', 'log_dropped'])
    expect(seen('connections')).toEqual(['connect', 'pregreet', 'verdict', 'log_dropped'])
  })
})

describe('trace', () => {
  test('shows every record and line of the clients of a network, from every thread, and ends', async () => {
    const sink = memorySink()
    const log = new SystemLog(config({ level: 'verdicts' }), sink)
    const thread = openThreadLog(log.newThread(1))
    const lines: string[] = []
    const end = log.trace('192.0.2.0/24', (line) => lines.push(line))
    await vi.waitFor(() => expect(thread.isTraced('192.0.2.7')).toBe(true))
    expect(thread.isTraced('192.0.3.7')).toBe(false)
    const speakers = { stage: 'hello', from: 'client', to: 'proxy' } as const
    const said = { event: 'dialogue', time: 0, port: 1, ...speakers, text: 'EHLO\x1b' } as const
    thread.record({ ...said, client: '192.0.2.7' })
    thread.record({ ...said, client: '192.0.3.7' })
    thread.record({
      event: 'connect',
      time: 0,
      client: '192.0.2.8',
      port: 1,
      local: '',
      isTrusted: false,
    })
    await vi.waitFor(() => expect(lines).toHaveLength(2))
    expect(lines[0]).toContain('"text":"EHLO\\u001b"')
    expect(sink.lines).toEqual([])
    end()
    await vi.waitFor(() => expect(thread.isTraced('192.0.2.7')).toBe(false))
    await log.close()
  })

  test('more than the limit are refused', () => {
    const log = new SystemLog(config(), memorySink())
    for (let n = 0; n < 16; n++) log.trace('::1', () => {})
    expect(() => log.trace('::1', () => {})).toThrow(/16 traces run already/)
  })
})

describe('syslog', () => {
  test('by UDP: priority, time, host, tag, text', async () => {
    const server = createSocket('udp4')
    server.bind(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const log = await openSystemLog(config({ to: `syslog://127.0.0.1:${port}`, format: 'postfix' }))
    log.log.verdict(verdictRecord())
    log.log.flush()
    const [octets] = (await once(server, 'message')) as [Buffer]
    expect(octets.toString()).toMatch(
      /^<22>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d mx1\.example\.net activemx\[\d+\]: NOQUEUE: reject: RCPT from/,
    )
    await log.close()
    server.close()
  })

  test('a reload that changes tag or name: the lines have them', async () => {
    const server = createSocket('udp4')
    server.bind(0, '127.0.0.1')
    await once(server, 'listening')
    const to = `syslog://127.0.0.1:${(server.address() as AddressInfo).port}`
    const log = await openSystemLog(config({ to, format: 'postfix' }))
    const changed = config({ to, format: 'postfix', tag: 'postfix/smtpd' })
    await (await log.prepare({ ...changed, name: 'mx2.example.net' })).take()
    log.log.verdict(verdictRecord())
    log.log.flush()
    const [octets] = (await once(server, 'message')) as [Buffer]
    expect(octets.toString()).toMatch(/ mx2\.example\.net postfix\/smtpd\[\d+\]: NOQUEUE: reject/)
    await log.close()
    server.close()
  })

  describeWith([needsProgram('python3')], 'by /dev/log', () => {
    const receiver = [
      'import socket, sys',
      's = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)',
      's.bind(sys.argv[1]); print("ready", flush=True)',
      'for n in range(int(sys.argv[2])): print(s.recv(65536).decode(), flush=True)',
    ].join('\n')

    test('a datagram a line; what the daemon had no room for follows', async () => {
      const path = join(folder, 'log')
      const count = 2000
      const python = spawn('python3', ['-c', receiver, path, String(count)])
      let output = ''
      python.stdout.on('data', (text: Buffer) => {
        output += text.toString()
      })
      await vi.waitFor(() => expect(output).toBe('ready\n'))
      const faults: string[] = []
      const sink = openLocalSyslog(
        { facility: 'mail', host: 'mx1', tag: 'activemx' },
        { onDrain: () => {}, onLost: () => {}, onFault: (fault) => faults.push(fault) },
        path,
      )
      const lines = Array.from({ length: count }, (_, n) => `line ${n}\n`).join('')
      sink.write(lines)
      await once(python, 'exit')
      await vi.waitFor(() => expect(output.split('\n')).toHaveLength(count + 2))
      expect(output).toMatch(/<22>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d activemx\[\d+\]: line 0\n/)
      expect(output).toMatch(/: line 1999\n$/)
      expect(sink.waiting()).toBe(0)
      await sink.close()
    })

    test('what is sent is kept no longer, also where the daemon never catches up', async () => {
      const path = join(folder, 'log')
      const octets = 8192
      const count = 12_000
      const reader = receiver.replace('print(s.recv(65536).decode(), flush=True)', 's.recv(65536)')
      const python = spawn('python3', ['-c', reader, path, String(count)])
      await once(python.stdout, 'data')
      let drained = 0
      const events = { onDrain: () => drained++, onLost: () => {}, onFault: () => {} }
      const sink = openLocalSyslog({ facility: 'mail', host: 'mx1', tag: 'activemx' }, events, path)
      const heldBefore = heldOctets()
      // More wait at each turn than are sent in one.
      const waitingMin = 600 * octets
      for (let written = 0; written < count; await nextTurn()) {
        const lines = Math.min(count - written, Math.ceil((waitingMin - sink.waiting()) / octets))
        if (lines <= 0) continue
        sink.write(`${'x'.repeat(octets)}\n`.repeat(lines))
        written += lines
      }
      expect(drained).toBe(0)
      expect(heldOctets() - heldBefore).toBeLessThan((count * octets) / 4)
      await once(python, 'exit')
      await sink.close()
    })
  })

  test('nobody at /dev/log is said at start', () => {
    const events = { onDrain: () => {}, onLost: () => {}, onFault: () => {} }
    const settings = { facility: 'mail', host: 'mx1', tag: 'activemx' } as const
    expect(() => openLocalSyslog(settings, events, join(folder, 'none'))).toThrow(
      /^log\.to = syslog: \S+none: No such file or directory; start the syslog daemon, or name/,
    )
  })
})
