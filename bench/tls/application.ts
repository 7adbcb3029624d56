/**
 * A process of the TLS bench: sends messages one way, tells CPU and latency on standard output.
 *
 * Modes: `handshake` (a session for each message), `own` (one open session), `shared` (one session
 * of the daemon under a lease for each message), `bulk` (64 KiB writes through the daemon), `unix`
 * (bare echo over a Unix socket). A message is two exchanges of 1 KiB out and 32 octets back.
 */
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { type NewOptions, newLeaseId } from '../../src/tls/api.ts'
import { type TlsSession, TlsWrapper } from '../../src/tls/wrapper.ts'

const [mode = '', port = '', caFile = '', daemon = '', count = ''] = process.argv.slice(2)
const wrapper = new TlsWrapper({ daemon })
const payload = Buffer.alloc(1024, 'x')
const latencies: number[] = []

function optionsOf(shared: string | false): NewOptions {
  const ca = readFileSync(caFile, 'utf8')
  return { shared, host: '127.0.0.1', port: Number(port), ca, servername: 'peer.test' }
}

async function exchange(session: TlsSession, lease: number): Promise<void> {
  const start = performance.now()
  const { code, data } = await session.exchange(payload, 4096, { lease })
  if (code !== 'none' || data.length !== 32) throw new Error(`${code}: ${data.length} octets`)
  latencies.push(performance.now() - start)
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

async function unixEcho(messages: number): Promise<void> {
  const socket = net.connect({ path: daemon })
  let resolve: () => void = () => undefined
  socket.on('data', () => resolve())
  for (let at = 0; at < messages; at++) {
    const start = performance.now()
    await new Promise<void>((done) => {
      resolve = done
      socket.write(payload)
    })
    latencies.push(performance.now() - start)
  }
  socket.destroy()
}

async function prepare(): Promise<(messages: number) => Promise<void>> {
  if (mode === 'handshake') return handshakes
  if (mode === 'unix') return unixEcho
  const session = await wrapper.new(optionsOf(mode === 'own' ? false : `bench-${mode}`))
  const { code, message } = await session.connect()
  if (code !== 'none') throw new Error(`${code}: ${message}`)
  if (mode === 'own') return (messages) => own(messages, session)
  return mode === 'bulk'
    ? (megabytes) => bulk(megabytes, session)
    : (messages) => shared(messages, session)
}

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
