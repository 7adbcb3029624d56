/**
 * Question: what does a verdict that is known cost, how many can be kept and asked at once, and
 * what is left of the proxy's message rate with every test on `observe`? How soon does a finding
 * refuse, and how large a whitelist can be mined?
 *
 * Cached verdicts are asked of a broker over the LMDB store on the main thread; of a thread that
 * reads the store, as serving threads do; and by message to the main thread, the way of what is not
 * known.
 * Probes in flight are those of a broker, over real sockets to a server in a process of its own
 * that never says a word; memory is the growth of this process. The message rate is that of the
 * native proxy in a process that holds clients and mailhost too, tests off against tests on with a
 * warm cache, so it is a ratio, not a speed.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ProbeBroker } from '../src/probes/broker.ts'
import { noPatterns } from '../src/probes/name-patterns.ts'
import type { ProbeSettings } from '../src/probes/settings.ts'
import type { CachedVerdict } from '../src/probes/verdict-cache.ts'
import { openStore } from '../src/store/open-store.ts'
import { Store } from '../src/store/store.ts'
import { VerdictStore } from '../src/store/verdict-store.ts'
import { defaultProbeSettings } from '../test/support/probe-settings.ts'
import {
  atLeast,
  atMost,
  type BenchOptions,
  type BenchQuestion,
  type BenchResult,
  type Measurement,
} from './bench.ts'
import { growthInFlight } from './probes/in-flight.ts'
import { type ListingDelays, listingDelays } from './probes/listing-delay.ts'
import { messageRates } from './probes/message-rate.ts'
import { type MiningMeasure, mineMany } from './probes/mining.ts'
import { nameOf } from './probes/names.ts'
import { type ThreadMeasure, throughThreads } from './probes/through-threads.ts'

/** `npm run bench probes`. */
export const probes: BenchQuestion = {
  name: 'probes',
  title: 'Active filtering: cached verdicts, probes in flight, message rate',
  run,
}

const notAsked = (): never => {
  throw new Error('the bench asks for what is known only')
}

async function run({ isQuick, isFull }: BenchOptions): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'activemx-bench-'))
  try {
    const entries = isFull ? 10_000_000 : isQuick ? 200_000 : 1_000_000
    // First, while the process is small: what a store leaves behind would hide the growth.
    const flights = isQuick ? 1000 : 10_000
    const inFlightMb = await growthInFlight(flights)
    const { perSecond, p50Us, p99Us, thread, busy, asked } = await cachedVerdicts(
      folder,
      entries,
      isQuick,
    )
    const { offPerSecond, observePerSecond, ratio } = await messageRates(isQuick ? 1000 : 10_000)
    const listing = await listingDelays(isQuick ? 100 : 500)
    const mined = await mineMany(folder, isQuick ? 100_000 : 2_000_000)
    const group = `${entries.toLocaleString('en')} verdicts in the store`
    return {
      measurements: [
        { group, name: 'cached verdicts', value: perSecond, unit: '1/s' },
        { group, name: 'cached verdict, p50', value: p50Us, unit: 'µs' },
        { group, name: 'cached verdict, p99', value: p99Us, unit: 'µs' },
        ...rowsOf(group, 'in a serving thread', thread),
        ...rowsOf(group, 'in a serving thread, main thread busy', busy),
        ...rowsOf(group, 'by message to the main thread', asked),
        { group: `${flights} probes in flight`, name: 'memory', value: inFlightMb, unit: 'MB' },
        ...rowsOfFeedback(listing),
        ...rowsOfMining(mined),
        { group: 'messages', name: 'tests off', value: offPerSecond, unit: '1/s' },
        { group: 'messages', name: 'observe, warm', value: observePerSecond, unit: '1/s' },
      ],
      bars: [
        atLeast('cached verdicts a second', perSecond, 20_000),
        atLeast('cached verdicts a second, by message', asked.perSecond, 20_000),
        atMost('a cached verdict on the main thread, microseconds', p50Us, 100),
        atMost('a cached verdict in a serving thread, microseconds', thread.p50Us, 100),
        atMost('the same while the main thread is busy, microseconds', busy.p50Us, 100),
        atMost('p99 of a read of the store, microseconds', p99Us, 1000),
        atMost(`${flights} probes in flight, MB`, inFlightMb, 200),
        atMost('a listing in force in every thread, p50, ms', listing.threadsP50Us / 1000, 1),
        atMost('a listing in force at the gate, p50, ms', listing.gateP50Us / 1000, 1),
        atLeast('addresses mined', mined.addresses, isQuick ? 100_000 : 2_000_000),
        atMost('memory of mining, MB', mined.memoryMb, 256),
        atLeast('message rate with tests on observe', ratio, 0.8),
      ],
      notes: [
        'message rate: native gate and one serving thread; clients, mailhost and broker share the main thread; 400 senders by turns, header rules on observe too',
        'in flight: asked of a broker, scripted DNS, a socket each',
        'a listing: p99 is the wait of a thread for a core, where there are as many threads as cores',
        ...(isFull ? [] : ['10 M verdicts: --full']),
      ],
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function rowsOf(group: string, where: string, { perSecond, p50Us, p99Us }: ThreadMeasure) {
  return [
    { group, name: `${where}, 64 at once`, value: perSecond, unit: '1/s' },
    { group, name: `${where}, one by one, p50`, value: p50Us, unit: 'µs' },
    { group, name: `${where}, one by one, p99`, value: p99Us, unit: 'µs' },
  ] as const
}

function rowsOfFeedback(delays: ListingDelays): readonly Measurement[] {
  const group = 'a host that feedback enters'
  return [
    { group, name: 'seen by every thread, p50', value: delays.threadsP50Us, unit: 'µs' },
    { group, name: 'seen by every thread, p99', value: delays.threadsP99Us, unit: 'µs' },
    { group, name: 'refused at the gate, p50', value: delays.gateP50Us, unit: 'µs' },
    { group, name: 'refused at the gate, p99', value: delays.gateP99Us, unit: 'µs' },
  ]
}

function rowsOfMining(mined: MiningMeasure): readonly Measurement[] {
  const group = `${mined.addresses.toLocaleString('en')} addresses mined, killed once`
  return [
    { group, name: 'time', value: mined.seconds, unit: 's' },
    { group, name: 'memory', value: mined.memoryMb, unit: 'MB' },
    { group, name: 'store', value: mined.storeMb, unit: 'MB' },
  ]
}

/** On the main thread, and the three ways of a thread. */
interface CachedMeasures extends ThreadMeasure {
  readonly thread: ThreadMeasure
  readonly busy: ThreadMeasure
  readonly asked: ThreadMeasure
}

async function cachedVerdicts(
  folder: string,
  entries: number,
  isQuick: boolean,
): Promise<CachedMeasures> {
  const root = openStore(folder, () => undefined)
  const environment = new Store(root, { sizeMaxOctets: 2 ** 40, report: () => undefined })
  const store = new VerdictStore(environment, entries * 2)
  await fill(store, entries)
  const broker = newBroker(store)
  const asks = isQuick ? 20_000 : 200_000
  const times = new Float64Array(asks)
  const startMs = performance.now()
  for (let index = 0; index < asks; index++) {
    const user = (index * 7919) % entries
    const fromMs = performance.now()
    broker.examine(
      { address: '192.0.2.7', helo: 'a', sender: `${nameOf(user)}@a.example`, recipient: 'b@c' },
      { onDeferred: notAsked, onAnswer: checkKnown },
    )
    times[index] = performance.now() - fromMs
  }
  const perSecond = (asks * 1000) / (performance.now() - startMs)
  const asking = { entries, asks, settings, store: folder }
  const thread = await throughThreads(broker, noNames, asking)
  const busy = await throughThreads(broker, noNames, asking, true)
  const asked = await throughThreads(broker, noNames, { ...asking, store: '' })
  await environment.close()
  times.sort()
  const percentile = (share: number) => (times[Math.floor(asks * share)] ?? 0) * 1000
  return { perSecond, p50Us: percentile(0.5), p99Us: percentile(0.99), thread, busy, asked }
}

function checkKnown(findings: readonly { readonly name: string }[]): void {
  if (findings[0]?.name !== 'user-exists') throw new Error('not known')
}

async function fill(store: VerdictStore, entries: number): Promise<void> {
  const finding = {
    layer: 'user',
    outcome: 'negative',
    name: 'user-exists',
    evidence: ['asked mail.a.example 192.0.2.1', 'sender recipient: 250 2.1.5 ok'],
  } as const
  for (let index = 0; index < entries; index++) {
    const verdict: CachedVerdict = { finding, foundAtMs: 0, untilMs: 1e13 + index }
    store.put(`u:${nameOf(index)}@a.example`, verdict)
    if (index % 20_000 === 0) await store.flushed()
  }
  await store.flushed()
}

const never = () => Promise.reject(new Error('the bench asks for what is known only'))
const noNames = { names: never, addresses: never, exchangers: never, texts: never }

const settings: ProbeSettings = {
  ...defaultProbeSettings,
  modes: { dialup: 'off', relay: 'off', user: 'observe' },
}

function newBroker(cache: VerdictStore): ProbeBroker {
  return new ProbeBroker({
    settings,
    names: noNames,
    patterns: noPatterns,
    converse: never,
    cache,
    exemptions: { isRelayExempt: () => false, isDialupExempt: () => false },
    now: () => performance.now(),
    wallNow: Date.now,
    onProbe: () => undefined,
  })
}
