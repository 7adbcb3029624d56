/**
 * B8 mining: outgoing recipients of real log forms, once each, over rotation, gzip and restarts.
 */
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import { LogMiner } from '../../src/feeds/log-miner.ts'
import { type MiningPlace, mineLog } from '../../src/feeds/mine-log.ts'
import { describeWith, needsSharedData, sharedData } from '../support/needs.ts'

const folder = mkdtempSync(join(tmpdir(), 'activemx-mining-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const isOurDomain = (domain: string): boolean => domain === 'home.example'

function mine(lines: readonly string[]): string[] {
  const miner = new LogMiner(isOurDomain)
  let offset = 0
  return lines.flatMap((line) => {
    const found = miner.takeLine(line, offset)
    offset += line.length + 1
    return [...found]
  })
}

const postfix = [
  'Nov 21 10:00:00 mx postfix/qmgr[11]: 0D9633D: from=<ann@home.example>, size=1200, nrcpt=2 (queue active)',
  'Nov 21 10:00:01 mx postfix/smtp[12]: 0D9633D: to=<Jos@far.example>, orig_to=<x@y>, relay=mx.far.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok)',
  'Nov 21 10:00:01 mx postfix/smtp[12]: 0D9633D: to=<late@far.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (timeout)',
  'Nov 21 10:00:01 mx postfix/smtp[12]: 0D9633D: to=<gone@far.example>, relay=mx.far.example[192.0.2.1]:25, dsn=5.1.1, status=bounced (550)',
  'Nov 21 10:00:01 mx postfix/local[12]: 0D9633D: to=<bob@far.example>, relay=local, dsn=2.0.0, status=sent (delivered)',
  'Nov 21 10:00:01 mx postfix/smtp[12]: 0D9633D: to=<bob@home.example>, relay=a[1.2.3.4]:25, dsn=2.0.0, status=sent (250)',
  'Nov 21 10:00:02 mx postfix/qmgr[11]: 0D9633D: removed',
  'Nov 21 10:00:02 mx postfix/smtp[12]: 0D9633D: to=<after@far.example>, relay=a[1.2.3.4]:25, dsn=2.0.0, status=sent (250)',
  'Nov 21 10:00:03 mx postfix/qmgr[11]: 1A: from=<spam@far.example>, size=1, nrcpt=1 (queue active)',
  'Nov 21 10:00:03 mx postfix/smtp[12]: 1A: to=<fwd@else.example>, relay=a[1.2.3.4]:25, dsn=2.0.0, status=sent (250)',
  'Nov 21 10:00:04 mx postfix/qmgr[11]: 2B: from=<>, size=1, nrcpt=1 (queue active)',
  'Nov 21 10:00:04 mx postfix/smtp[12]: 2B: to=<bounced@far.example>, relay=a[1.2.3.4]:25, dsn=2.0.0, status=sent (250)',
]
const sendmail = [
  'Nov 21 10:00:00 mx sendmail[21]: qAL100: from=<ann@home.example>, size=10, class=0, nrcpts=2, msgid=<a>, relay=localhost',
  'Nov 21 10:00:01 mx sendmail[22]: qAL100: to=<one@far.example>,<two@far.example>, ctladdr=<ann@home.example> (1/1), delay=00:00:01, mailer=esmtp, pri=1, relay=mx.far.example. [192.0.2.1], dsn=2.0.0, stat=Sent (ok)',
  'Nov 21 10:00:01 mx sm-mta[22]: qAL100: to=<three@far.example>, delay=1, mailer=esmtp, dsn=4.0.0, stat=Deferred',
  'Nov 21 10:00:02 mx sendmail[23]: qAL200: from=<x@far.example>, size=10, nrcpts=1, msgid=<b>',
  'Nov 21 10:00:02 mx sendmail[23]: qAL200: to=<ann@home.example>, delay=1, mailer=local, dsn=2.0.0, stat=Sent',
]
const exim = [
  '2026-11-21 10:00:00 1wCfTG-00000E-1t <= ann@home.example H=(pc) [10.0.0.1] P=esmtp S=909',
  '2026-11-21 10:00:01 1wCfTG-00000E-1t => carl@far.example R=dnslookup T=remote_smtp H=mx [192.0.2.1] C="250 ok"',
  '2026-11-21 10:00:01 1wCfTG-00000E-1t -> dora@far.example R=dnslookup T=remote_smtp H=mx [192.0.2.1]',
  '2026-11-21 10:00:01 1wCfTG-00000E-1t == emil@far.example R=dnslookup T=remote_smtp defer (110)',
  '2026-11-21 10:00:01 1wCfTG-00000E-1t ** fred@far.example R=dnslookup T=remote_smtp H=mx [192.0.2.1]: 550',
  '2026-11-21 10:00:02 1wCfTG-00000E-1t Completed',
  '2026-11-21 10:00:03 1rVOJo-00000000E1t-1tA9 <= <> R=1wCfTG-00000E-1t U=exim P=local S=1',
  '2026-11-21 10:00:03 1rVOJo-00000000E1t-1tA9 => gina@far.example R=dnslookup T=remote_smtp H=mx [192.0.2.1]',
]

describe('B8 what a log adds to the whitelist', () => {
  test('Postfix: sent by somebody of ours to somebody else, by smtp', () => {
    expect(mine(postfix)).toEqual(['jos@far.example'])
  })
  test('Postfix: what the peer said, or a quoted address holds, is no status', () => {
    const head = 'Nov 21 10:00:01 mx postfix/smtp[12]: 0D9633D: to='
    const at = 'relay=mx.far.example[192.0.2.1]:25, dsn=4.0.0, status='
    const lines = [
      `<late@far.example>, ${at}deferred (host said: 450 x, status=sent y)`,
      `<gone@far.example>, ${at}bounced (host said: 550 x, status=sent (250 y))`,
      `<"a, status=sent b"@far.example>, ${at}deferred (host said: 450 x)`,
      `<fwd@far.example>, orig_to=<"a, status=sent b"@home.example>, ${at}deferred (450)`,
    ]
    expect(mine([...postfix.slice(0, 1), ...lines.map((line) => head + line)])).toEqual([])
  })
  test('sendmail: what the peer said is no stat', () => {
    const head = 'Nov 21 10:00:01 mx sendmail[22]: qAL100: to=<x@far.example>, mailer=esmtp, stat='
    const lines = ['Deferred: 450 x, stat=Sent y', 'User unknown, stat=Sent (ok)']
    expect(mine([...sendmail.slice(0, 1), ...lines.map((line) => head + line)])).toEqual([])
    const sent = 'Sent (ok, mailer=local, stat=Deferred)'
    expect(mine([...sendmail.slice(0, 1), head + sent])).toEqual(['x@far.example'])
  })
  test('sendmail', () => {
    expect(mine(sendmail)).toEqual(['one@far.example', 'two@far.example'])
  })
  test('Exim', () => {
    expect(mine(exim)).toEqual(['carl@far.example', 'dora@far.example'])
  })
  test('lines of all three in one file', () => {
    expect(mine([...postfix, ...sendmail, ...exim])).toHaveLength(5)
  })
})

class Kept {
  readonly addresses: string[] = []
  readonly places = new Map<string, MiningPlace>()
  place(file: string): MiningPlace | undefined {
    return this.places.get(file)
  }
  enter(addresses: readonly string[], file: string, place: MiningPlace): Promise<void> {
    this.addresses.push(...addresses)
    this.places.set(file, place)
    return Promise.resolve()
  }
}

describe('B8 files', () => {
  test('a second run takes only what is new, and knows the senders of open messages', async () => {
    const file = join(folder, 'resume')
    const sink = new Kept()
    const open =
      'Nov 21 11:00:00 mx postfix/qmgr[11]: 3C: from=<ann@home.example>, size=1, nrcpt=1 (q)'
    const later =
      'Nov 21 11:00:09 mx postfix/smtp[12]: 3C: to=<new@far.example>, relay=a[1.2.3.4]:25, dsn=2.0.0, status=sent (250)'
    writeFileSync(file, `${[...postfix, open].join('\n')}\n`)
    await mineLog(file, { isOurDomain, sink })
    appendFileSync(file, `${later}\n`)
    const second = await mineLog(file, { isOurDomain, sink })
    expect(sink.addresses).toEqual(['jos@far.example', 'new@far.example'])
    expect(second.lines).toBe(2)
  })

  test('a line without its end is taken when the end has come', async () => {
    const file = join(folder, 'partial')
    const sink = new Kept()
    const text = `${postfix.slice(0, 2).join('\n')}\n`
    writeFileSync(file, text.slice(0, -30))
    await mineLog(file, { isOurDomain, sink })
    expect(sink.addresses).toEqual([])
    appendFileSync(file, text.slice(-30))
    await mineLog(file, { isOurDomain, sink })
    expect(sink.addresses).toEqual(['jos@far.example'])
  })

  test('compressed logs', async () => {
    const file = join(folder, 'old.gz')
    writeFileSync(file, gzipSync(`${exim.join('\n')}\n`))
    const sink = new Kept()
    await mineLog(file, { isOurDomain, sink })
    expect(sink.addresses).toEqual(['carl@far.example', 'dora@far.example'])
  })

  test('follows the file over rotation until it is told to stop', async () => {
    const file = join(folder, 'follow')
    const sink = new Kept()
    const stop = new AbortController()
    writeFileSync(file, `${postfix.join('\n')}\n`)
    const run = mineLog(file, { isOurDomain, sink, follow: stop.signal })
    const has = (count: number) =>
      expect.poll(() => sink.addresses.length, { timeout: 20_000 }).toBe(count)
    await has(1)
    appendFileSync(file, `${sendmail.join('\n')}\n`)
    await has(3)
    renameSync(file, `${file}.1`)
    writeFileSync(file, `${exim.join('\n')}\n`)
    await has(5)
    stop.abort()
    await run
    expect(sink.addresses.at(-1)).toBe('dora@far.example')
  })

  test('rotation that makes the new file empty: what goes into the old one until then is mined', async () => {
    const file = join(folder, 'created')
    const sink = new Kept()
    const stop = new AbortController()
    let looks = 0
    const onProgress = () => void looks++
    writeFileSync(file, `${postfix.join('\n')}\n`)
    const run = mineLog(file, { isOurDomain, sink, onProgress, follow: stop.signal })
    await expect.poll(() => sink.addresses.length, { timeout: 20_000 }).toBe(1)
    renameSync(file, `${file}.1`)
    writeFileSync(file, '')
    const before = looks
    await expect.poll(() => looks, { timeout: 20_000 }).toBeGreaterThan(before + 1)
    appendFileSync(`${file}.1`, `${sendmail.join('\n')}\n`)
    appendFileSync(file, `${exim.join('\n')}\n`)
    await expect.poll(() => sink.addresses, { timeout: 20_000 }).toContain('dora@far.example')
    stop.abort()
    await run
    const mined = ['jos@', 'one@', 'two@', 'carl@', 'dora@'].map((local) => `${local}far.example`)
    expect(sink.addresses).toEqual(mined)
  })

  test('a file that is gone when it is to be opened anew is waited for', async () => {
    const file = join(folder, 'gone')
    const sink = new Kept()
    const stop = new AbortController()
    writeFileSync(file, `${postfix.join('\n')}\n`)
    const run = mineLog(file, { isOurDomain, sink, follow: stop.signal })
    await expect.poll(() => sink.addresses.length, { timeout: 20_000 }).toBe(1)
    // In one step for who reads it: it is begun anew, and not there.
    truncateSync(file)
    rmSync(file)
    const never = new Promise((resolve) => setTimeout(resolve, 1500, 'waits'))
    expect(await Promise.race([run, never])).toBe('waits')
    writeFileSync(file, `${exim.join('\n')}\n`)
    await expect.poll(() => sink.addresses, { timeout: 20_000 }).toContain('dora@far.example')
    stop.abort()
    await run
  })

  test('follows the file when it is cut and written anew, even beyond where it was', async () => {
    const file = join(folder, 'cut')
    const sink = new Kept()
    const stop = new AbortController()
    writeFileSync(file, `${postfix.slice(0, 3).join('\n')}\n`)
    const run = mineLog(file, { isOurDomain, sink, follow: stop.signal })
    await expect.poll(() => sink.addresses, { timeout: 20_000 }).toEqual(['jos@far.example'])
    // In one step for who reads it: longer than before.
    writeFileSync(file, `${[...exim, ...sendmail, ...postfix].join('\n')}\n`)
    await expect.poll(() => new Set(sink.addresses).size, { timeout: 20_000 }).toBe(5)
    truncateSync(file)
    const again = exim.map((line) => line.replace('carl@', 'anew@'))
    writeFileSync(file, `${again.join('\n')}\n`)
    await expect.poll(() => sink.addresses, { timeout: 20_000 }).toContain('anew@far.example')
    stop.abort()
    await run
  })

  test('a file that cannot be read is told by name', async () => {
    const sink = new Kept()
    await expect(mineLog(join(folder, 'none'), { isOurDomain, sink })).rejects.toThrow(
      /none: .*; name/,
    )
  })
})

describeWith([needsSharedData()], 'B8 real logs', () => {
  const linesOf = (log: string): readonly string[] =>
    readFileSync(sharedData(`logs/${log}`), 'utf8').split('\n')

  test('incoming and local lines of real Exim and Postfix logs add nothing', () => {
    const logs = [
      'smuggling-lab/e2e-a12.mainlog',
      'crowdsec/postfix-logs.log',
      'crowdsec/exim-logs.log',
    ]
    const lines = logs.flatMap(linesOf)
    expect(lines.length).toBeGreaterThan(30)
    expect(mine(lines)).toEqual([])
  })

  test('Exim logs of a sending host: each recipient of its senders once, whatever was queued', () => {
    const names = readdirSync(sharedData('logs/smuggling-lab'))
    const logs = names.filter((name) => name.endsWith('.mainlog'))
    const lines = logs.flatMap((name) => linesOf(`smuggling-lab/${name}`))
    const sender = /<= (\S+@\S+)/.exec(lines.join('\n'))?.[1] ?? ''
    const sent = lines.flatMap((line) => / => (\S+@\S+) .* H=/.exec(line)?.slice(1, 2) ?? [])
    expect(sent.length).toBeGreaterThan(10)
    // Its domain writes to itself there: each mailbox stands for a domain of its own.
    const split = (line: string): string =>
      line.replaceAll(/(\w+)@([\w.]+)/g, (_, local, domain) => `${local}@${local}.${domain}`)
    const ours = split(sender).split('@')[1] ?? ''
    const miner = new LogMiner((domain) => domain === ours)
    const found = lines.flatMap((line, at) => [...miner.takeLine(split(line), at)])
    expect(found).toHaveLength(sent.length)
    expect(new Set(found)).toEqual(new Set(sent.map(split)))
    const other = new LogMiner((domain) => domain === 'else.example')
    expect(lines.flatMap((line, at) => [...other.takeLine(split(line), at)])).toEqual([])
  })

  test('Postfix: of real `status=sent` lines those that smtp wrote', () => {
    const folder = sharedData('logs/postfix-grok')
    const texts = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'))
    const sent = texts.flatMap((text) => {
      const pattern = /^pattern: \^%\{POSTFIX_([A-Z]+)/m.exec(text)?.[1] ?? ''
      const data = /^data: "(.*status=sent.*)"$/m.exec(text)?.[1]?.replaceAll('\\"', '"')
      return data === undefined ? [] : [{ program: pattern.toLowerCase(), data }]
    })
    expect(sent.length).toBeGreaterThan(4)
    for (const { program, data } of sent) {
      const head = 'Nov 21 10:00:00 mx postfix/'
      const id = data.slice(0, data.indexOf(':'))
      const opened = `${head}qmgr[1]: ${id}: from=<ann@home.example>, size=1, nrcpt=1 (queue active)`
      const want = program === 'smtp' ? [/to=<([^>]*)>/.exec(data)?.[1]] : []
      expect(mine([opened, `${head}${program}[2]: ${data}`]), data).toEqual(want)
    }
  })
})
