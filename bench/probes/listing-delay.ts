/**
 * From a finding to the refusal: how long until what feedback enters is in force in every thread
 * that asks the table, and until a client that connects is refused by the gate.
 */
import { once } from 'node:events'
import { connect } from 'node:net'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { Finding } from '../../src/checks/finding.ts'
import { DynamicEntries } from '../../src/edge/dynamic-entries.ts'
import { Feedback } from '../../src/probes/feedback.ts'
import { nativeTable } from '../../src/tables/native-table.ts'
import { startProxy } from '../../test/support/running-proxy.ts'

/** Microseconds from the finding. */
export interface ListingDelays {
  /** Until the last of the threads has seen it. */
  readonly threadsP50Us: number
  readonly threadsP99Us: number
  /** Until a client that connects then has read its 554. */
  readonly gateP50Us: number
  readonly gateP99Us: number
}

/** What a thread begins with. */
export interface ListingData {
  readonly handle: number
  readonly rounds: number
  readonly row: number
  /** When each thread saw the entry of each round, nanoseconds. */
  readonly seen: SharedArrayBuffer
  /** How many threads have begun to ask in each round so far. */
  readonly arrived: SharedArrayBuffer
}

/** The clock that all threads share. */
export function nanosecondsNow(): bigint {
  return process.hrtime.bigint()
}

/** The client of a round. */
export function addressOf(round: number): string {
  return `127.77.${round >> 8}.${round & 255}`
}

const finding: Finding = {
  layer: 'relay',
  outcome: 'positive',
  name: 'open-relay',
  evidence: ['reverse connection made', 'plain recipient: 250 ok'],
}

/** Enters so many hosts, one after the other. */
export async function listingDelays(rounds: number): Promise<ListingDelays> {
  const threads = await delaysInThreads(rounds)
  const gate = await delaysAtGate(rounds)
  return {
    threadsP50Us: percentile(threads, 0.5),
    threadsP99Us: percentile(threads, 0.99),
    gateP50Us: percentile(gate, 0.5),
    gateP99Us: percentile(gate, 0.99),
  }
}

/** Threads that ask without a rest, a core left to the one that enters. */
async function delaysInThreads(rounds: number): Promise<number[]> {
  const count = Math.max(1, availableParallelism() - 1)
  const table = nativeTable.fromPrefixes([])
  const seen = new SharedArrayBuffer(8 * count * rounds)
  const arrived = new SharedArrayBuffer(4)
  const threads = Array.from({ length: count }, (_, row) => {
    const workerData: ListingData = { handle: table.handle, rounds, row, seen, arrived }
    return new Worker(new URL('./listing-thread.js', import.meta.url), { workerData })
  })
  const ends = threads.map((thread) => once(thread, 'exit'))
  const entries = new DynamicEntries(
    {
      enterDynamic: ({ prefix, ttlMs }) => table.add(prefix, { list: 'dynamic', ttlMs }),
      removeDynamic: (prefix) => {
        table.remove(prefix, { list: 'dynamic' })
        return prefix
      },
      neverBlockReason: () => '',
    },
    { onRemoved: () => undefined, onBarred: () => undefined, onFault: () => undefined },
  )
  const feedback = feedbackInto(entries)
  const arrivals = new Int32Array(arrived)
  const starts: bigint[] = []
  for (let round = 0; round < rounds; round++) {
    while (Atomics.load(arrivals, 0) < count * (round + 1)) Atomics.wait(arrivals, 0, 0, 1)
    starts.push(nanosecondsNow())
    feedback.onFinding(addressOf(round), finding)
  }
  await Promise.all(ends)
  table.close()
  const times = new BigInt64Array(seen)
  return starts.map((start, round) => {
    const ends = threads.map((_, row) => times[row * rounds + round] ?? 0n)
    return Math.max(...ends.map((end) => Number(end - start))) / 1000
  })
}

/** Clients of a whole proxy. */
async function delaysAtGate(rounds: number): Promise<number[]> {
  const proxy = await startProxy([1], { lists: { allow_loopback: true } }, { isNative: true })
  try {
    const feedback = feedbackInto(proxy.dynamic)
    const delays: number[] = []
    for (let round = 0; round < rounds; round++) {
      const address = addressOf(round)
      const start = nanosecondsNow()
      feedback.onFinding(address, finding)
      await refusalOf(address, proxy.port)
      delays.push(Number(nanosecondsNow() - start) / 1000)
    }
    return delays
  } finally {
    await proxy.end()
  }
}

/** Resolves when the client has its refusal. */
async function refusalOf(localAddress: string, port: number): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port, localAddress })
  const [octets] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  if (!octets.toString('latin1').startsWith('554')) throw new Error(`not refused: ${octets}`)
}

function feedbackInto(entries: DynamicEntries): Feedback {
  const settings = {
    layers: ['relay'],
    findings: 1,
    ttlMs: 600_000,
    promoteHosts: 0,
    goodForMs: 0,
  } as const
  return new Feedback(settings, {
    wallNow: Date.now,
    isExempt: () => false,
    list: (listing) => entries.learn(listing, Date.now()),
    endVerdicts: () => undefined,
    goodAtMs: () => 0,
    noteGood: () => undefined,
    countsSinceMs: () => Number.NEGATIVE_INFINITY,
    countFrom: () => undefined,
  })
}

function percentile(values: readonly number[], share: number): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length * share)] ?? 0
}
