/**
 * How much this process grows with so many probes in flight: clients whose senders a broker asks
 * for, each of another domain, over sockets to a server that takes them and never says a word. The
 * DNS alone is a script.
 */
import { fork } from 'node:child_process'
import { ProbeBroker } from '../../src/probes/broker.ts'
import { converse } from '../../src/probes/converse.ts'
import type { NameService } from '../../src/probes/dns.ts'
import { noPatterns } from '../../src/probes/name-patterns.ts'
import { MemoryVerdictCache } from '../../src/probes/verdict-cache.ts'
import { defaultProbeSettings } from '../../test/support/probe-settings.ts'

const addresses = 250
const unlimited = { count: 0, windowMs: 1 }

/** @returns megabytes. The servers listen on 127.0.9.0/24 in a process of their own. */
export async function growthInFlight(flights: number): Promise<number> {
  const server = fork(new URL('./silent-server.js', import.meta.url).pathname)
  const port = await new Promise<number>((resolve) =>
    server.once('message', (text) => resolve(Number(text))),
  )
  const broker = brokerTo(port, flights)
  const before = process.memoryUsage.rss()
  const running: Promise<unknown>[] = []
  for (let index = 0; index < flights; index++) {
    const question = {
      address: `198.18.${index >> 8}.${index & 255}`,
      helo: 'client.example',
      sender: `ann@d${index}.example`,
      recipient: 'postbox@home.example',
    }
    const answered = new Promise((resolve) =>
      broker.examine(question, { onDeferred: () => undefined, onAnswer: resolve }),
    )
    running.push(answered)
    if (index % 200 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  server.send('count')
  const open = await new Promise<number>((resolve) =>
    server.once('message', (text) => resolve(Number(text))),
  )
  if (open < flights || broker.inFlight < flights) {
    throw new Error(`${open} connections of ${flights} came, ${broker.inFlight} are in flight`)
  }
  const megabytes = (process.memoryUsage.rss() - before) / 1e6
  server.kill()
  await Promise.all(running)
  return megabytes
}

function brokerTo(port: number, inFlightMax: number): ProbeBroker {
  return new ProbeBroker({
    settings: {
      ...defaultProbeSettings,
      modes: { dialup: 'off', relay: 'off', user: 'observe' },
      helo: 'probe.example',
      port,
      connectWaitMs: 60_000,
      replyWaitMs: 60_000,
      inFlightMax,
      perDomain: unlimited,
      perHost: unlimited,
      perNetwork: unlimited,
      perClient: unlimited,
      total: unlimited,
      allowLoopback: true,
      nextMx: false,
    },
    names: scripted,
    patterns: noPatterns,
    converse,
    cache: new MemoryVerdictCache(100_000),
    exemptions: { isRelayExempt: () => false, isDialupExempt: () => false },
    now: () => performance.now(),
    wallNow: Date.now,
    onProbe: () => undefined,
  })
}

/** `d17.example` has no MX, and an address among those of the silent server. */
const scripted: NameService = {
  names: async () => ({ kind: 'no-data' }),
  texts: async () => ({ kind: 'no-data' }),
  exchangers: async () => ({ kind: 'no-data' }),
  addresses: async (name) => {
    const number = Number(name.slice(1, name.indexOf('.')))
    return { kind: 'found', records: [`127.0.9.${(number % addresses) + 1}`] }
  },
}
