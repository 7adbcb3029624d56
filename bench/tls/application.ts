/**
 * A process of the TLS bench: sends messages one way, tells CPU and latency on standard output.
 *
 * Modes: `handshake` (a session for each message), `own` (one open session), `shared` (one session
 * of the daemon under a lease for each message), `bulk` (64 KiB writes through the daemon), `unix`
 * (bare echo over a Unix socket), `sum` (a call on an open session, then an echo). A message is two
 * exchanges of 1 KiB out and 32 octets back.
 */
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { type NewOptions, newLeaseId } from '../../src/tls/api.ts'
import { type TlsSession, TlsWrapper } from '../../src/tls/wrapper.ts'

// The path is the daemon's socket, or the echo's.
const [mode = '', port = '', caFile = '', path = '', count = ''] = process.argv.slice(2)
const wrapper = new TlsWrapper({ daemon: path })
const payload = Buffer.alloc(1024, 'x')
const latencies: number[] = []

function optionsOf(shared: string | false): NewOptions {
  const ca = readFileSync(caFile, 'utf8')
  return { shared, host: '127.0.0.1', port: Number(port), ca, servername: 'peer.test' }
}

async function timed(call: () => Promise<unknown>): Promise<void> {
  const start = performance.now()
  await call()
  latencies.push(performance.now() - start)
}

async function call(session: TlsSession, lease: number): Promise<void> {
  const { code, data } = await session.exchange(payload, 4096, { lease })
  if (code !== 'none' || data.length !== 32) throw new Error(`${code}: ${data.length} octets`)
}

function exchange(session: TlsSession, lease: number): Promise<void> {
  return timed(() => call(session, lease))
}

async function handshakes(messages: number): Promise<void> {
  for (let at = 0; at < messages; at++) {
    const session = await wrapper.new(optionsOf(false))
    await session.connect()
    await exchange(session, 0)
    await exchange(session, 0)
    await session.free()
  }
}

async function own(messages: number, session: TlsSession): Promise<void> {
  for (let at = 0; at < messages; at++) {
    await exchange(session, 0)
    await exchange(session, 0)
  }
}

async function shared(messages: number, session: TlsSession): Promise<void> {
  for (let at = 0; at < messages; at++) {
    const id = newLeaseId()
    const lease = session.lease({ id, eager: true })
    await exchange(session, id)
    const last = exchange(session, id)
    void (await lease).release()
    await last
  }
}

async function bulk(megabytes: number, session: TlsSession): Promise<void> {
  const chunk = Buffer.alloc(1_000_000, 'b')
  let last: Promise<unknown> = Promise.resolve()
  for (let at = 0; at < megabytes; at++) {
    const writing = session.write(chunk)
    await last
    last = writing
  }
  await last
}

/** The bare echo: what is done again and again, over one connection. */
function newEcho(): () => Promise<void> {
  const socket = net.connect({ path })
  let resolve: () => void = () => undefined
  socket.on('data', () => resolve())
  return () =>
    new Promise<void>((done) => {
      resolve = done
      socket.write(payload)
    })
}

async function unixEcho(messages: number): Promise<void> {
  for (let at = 0; at < messages; at++) await timed(echo)
}

async function sum(messages: number, session: TlsSession): Promise<void> {
  for (let at = 0; at < messages; at++) {
    await timed(async () => {
      await call(session, 0)
      await echo()
    })
  }
}

async function prepare(): Promise<(messages: number) => Promise<void>> {
  if (mode === 'handshake') return handshakes
  if (mode === 'unix') return unixEcho
  const isOwn = mode === 'own' || mode === 'sum'
  const session = await wrapper.new(optionsOf(isOwn ? false : `bench-${mode}`))
  const { code, message } = await session.connect()
  if (code !== 'none') throw new Error(`${code}: ${message}`)
  if (mode === 'own') return (messages) => own(messages, session)
  if (mode === 'sum') return (messages) => sum(messages, session)
  return mode === 'bulk'
    ? (megabytes) => bulk(megabytes, session)
    : (messages) => shared(messages, session)
}

const echo = mode === 'unix' || mode === 'sum' ? newEcho() : () => Promise.resolve()
const work = await prepare()
// As long as what is measured: what counts is how a program runs for days.
await work(Number(count))
latencies.length = 0
process.stdout.write('warm\n')
// The bench reads the others' CPU time now, and says when to go on.
await new Promise((resolve) => process.stdin.once('data', resolve))
const cpu = process.cpuUsage()
const startMs = performance.now()
await work(Number(count))
const secondsEach = (performance.now() - startMs) / 1000 / Number(count)
const { user, system } = process.cpuUsage(cpu)
latencies.sort((one, other) => one - other)
const at = (share: number): number => (latencies[Math.floor(latencies.length * share)] ?? 0) * 1000
const figures = {
  cpuUs: (user + system) / Number(count),
  secondsEach,
  p50Us: at(0.5),
  p99Us: at(0.99),
}
process.stdout.write(`${JSON.stringify(figures)}\n`)
await wrapper.close()
process.exit(0)
