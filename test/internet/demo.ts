/**
 * `npm run demo [SECONDS]`: an evening on the loopback internet, before your eyes.
 *
 * A whole activemx with every test on stands before a mailhost; letters of all kinds arrive; each
 * verdict scrolls by with its reason, and the counts stand below. It ends by itself (20 s), on q,
 * on SIGINT, SIGTERM and SIGHUP, and when nobody reads its output any more, always in order:
 * letters under way are finished, and nothing is left behind.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildConfig, faultLine } from '../../src/config/load.ts'
import type { Config } from '../../src/config/schema.ts'
import type { RunningProxy } from '../../src/edge/running-proxy.ts'
import { openSystemLog, type SystemLog } from '../../src/log/system-log.ts'
import { serve } from '../../src/main.ts'
import { type Internet, startInternet } from './internet.ts'
import { type Letter, type Sending, sendLetter } from './letter.ts'
import { evening, floodNetwork, nextLetter } from './worlds/evening.ts'

const lettersPerSecond = 25
const seconds = Number(process.argv[2] ?? 20)
const isTerminal = process.stdout.isTTY === true
const counts = new Map<string, number>()
// From here on nothing ends the program in the middle: the demo is over at the next step.
const over = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => over.abort())
}
// Whoever read the output has gone (`| head`), or the terminal has.
process.stdout.on('error', () => over.abort())
const folder = mkdtempSync(join(tmpdir(), 'activemx-demo-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const intro = `An evening on 127.0.0.0/8; it ends in ${seconds} s, or on q.
Everybody writes to home.example. While each client waits for its RCPT, activemx connects back to it:
a server that relays is an open relay, a host without one and with the name of a pool is a dialup; and
the sender is looked for at its own mail exchanger. What is found ends the host's next connection.
Columns: what became of the letter, the client, its sender, the reply.`

const colours = { green: 32, red: 31, yellow: 33, magenta: 35, cyan: 36 } as const

function paint(text: string, colour: keyof typeof colours): string {
  return isTerminal ? `\x1b[${colours[colour]}m${text}\x1b[0m` : text
}

function demoConfig(internet: Internet): Config {
  writeFileSync(join(folder, 'flood.netset'), `${floodNetwork}\n`)
  const loaded = buildConfig(
    {
      name: 'mx.home.example',
      listen: { smtp: ['127.0.0.1:0'], per_address_max: 0, rate_max: '', workers: 1 },
      mailhost: { addresses: [internet.mailhost.endpoint], retry: '1s' },
      recipients: { domains: ['home.example'] },
      lists: { allow_loopback: true, blacklist: [{ file: 'flood.netset', shortest_prefix: 8 }] },
      tests: { dialup: { mode: 'enforce' }, relay: { mode: 'enforce' }, user: { mode: 'enforce' } },
      probe: {
        helo: 'mx.home.example',
        sender: 'probe@home.example',
        relay_recipient: 'probe@home.example',
        port: internet.smtpPort,
        per_client: '',
        per_domain: '',
        per_host: '',
        per_network: '',
        allow_loopback: true,
      },
      // One is enough here: nobody has ten minutes between two connections.
      feedback: { findings: 1 },
      dns: { servers: [internet.nameServer] },
      log: { to: join(folder, 'log') },
      process: { user: '' },
      http: { address: '' },
      store: { path: join(folder, 'store') },
      control: { socket: join(folder, 'control.sock') },
    },
    folder,
  )
  if (!loaded.ok) throw new Error(loaded.error.map(faultLine).join('\n'))
  return loaded.value
}

/** What became of a letter, in a word, with the colour it is shown in. */
function outcomeOf({ last, isTaken }: Sending): readonly [string, keyof typeof colours] {
  if (isTaken) return ['delivered', 'green']
  if (last.includes('is listed')) return ['blacklist', 'red']
  if (last.startsWith('550 5.1.8')) return ['forged sender', 'magenta']
  if (last.includes('found misbehaving')) return ['known by now', 'cyan']
  if (last.startsWith('550 5.7.1 relay')) return ['open relay', 'yellow']
  if (last.startsWith('550 5.7.1 dialup')) return ['dialup', 'yellow']
  return [last === '' ? 'closed' : 'refused', 'red']
}

function show(letter: Letter, sending: Sending): void {
  const [word, colour] = outcomeOf(sending)
  counts.set(word, (counts.get(word) ?? 0) + 1)
  const head = paint(word.padEnd(16), colour)
  const line = `${head}${letter.from.padEnd(14)}<${letter.sender}>  ${sending.last}`
  const columns = isTerminal ? (process.stdout.columns ?? 120) + 9 : line.length
  const sums = [...counts].map(([name, count]) => `${name} ${count}`).join(' · ')
  if (isTerminal) process.stdout.write(`\r\x1b[K${line.slice(0, columns)}\n${sums}`)
  else process.stdout.write(`${line}\n`)
}

/** Resolves after the time, or when the demo is over sooner. */
function untilOver(): Promise<void> {
  return new Promise((resolve) => {
    if (over.signal.aborted) return resolve()
    const timer = setTimeout(resolve, seconds * 1000)
    over.signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}

/** q and Ctrl-C, which is a key like any other here, end the demo. */
function watchKeys(): void {
  if (process.stdin.isTTY !== true) return
  process.stdin.setRawMode(true)
  process.stdin.on('error', () => over.abort())
  process.stdin.on('data', (keys) => {
    if (keys.includes('q') || keys.includes(3)) over.abort()
  })
}

/** Shows what feedback has entered since the last look. */
function showListed(proxy: RunningProxy, known: Set<string>): void {
  for (const { prefix, reason } of proxy.learnt?.dynamic.entries(Date.now()) ?? []) {
    if (known.has(prefix)) continue
    known.add(prefix)
    counts.set('listed by feedback', known.size)
    const line = `${paint('→ listed'.padEnd(16), 'cyan')}${prefix} (${reason})`
    process.stdout.write(isTerminal ? `\r\x1b[K${line}\n` : `${line}\n`)
  }
}

async function run(log: SystemLog, config: Config): Promise<void> {
  const proxy = await serve(config, log)
  const port = Number(proxy.addresses[0]?.split(':').pop())
  const running = new Set<Promise<void>>()
  const known = new Set<string>()
  const timer = setInterval(() => {
    showListed(proxy, known)
    const letter = nextLetter(Math.random)
    const sent = sendLetter('127.0.0.1', port, letter).then((sending) => show(letter, sending))
    running.add(sent)
    void sent.then(() => running.delete(sent))
  }, 1000 / lettersPerSecond)
  await untilOver()
  clearInterval(timer)
  await Promise.all(running)
  showListed(proxy, known)
  await proxy.stop()
}

const internet = await startInternet(evening)
try {
  const config = demoConfig(internet)
  const log = await openSystemLog(config)
  try {
    process.stdout.write(`${intro}\n\n`)
    watchKeys()
    await run(log, config)
  } finally {
    await log.close()
  }
} finally {
  await internet.close()
  if (process.stdin.isTTY === true) process.stdin.setRawMode(false)
  process.stdin.pause()
}
const messages = internet.mailhost.delivered.length
const probes = internet.allSessions()
const sent = probes.filter((session) => session.isMessageEnded).length
const sums = [...counts].map(([name, count]) => `${name} ${count}`).join(' · ')
process.stdout.write(`\n${sums}\n`)
process.stdout.write(`the mailhost holds ${messages} messages; `)
process.stdout.write(`${probes.length} probes were made, ${sent} of them sent a message\n`)
