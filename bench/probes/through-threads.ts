/**
 * Known verdicts as a serving thread gets them: from the store by itself, while the main thread
 * idles or has no rest, and, for what it may not answer, by a question to the main thread, the desk
 * and the broker there, and the answer back.
 */
import { Worker } from 'node:worker_threads'
import { BrokerDesk } from '../../src/edge/broker-desk.ts'
import { AskServer } from '../../src/edge/remote-asks.ts'
import type { ThreadReport } from '../../src/edge/thread-messages.ts'
import type { ProbeBroker } from '../../src/probes/broker.ts'
import type { NameService } from '../../src/probes/dns.ts'
import type { ProbeSettings } from '../../src/probes/settings.ts'

/** What the thread measured. */
export interface ThreadMeasure {
  /** With many questions under way at once. */
  readonly perSecond: number
  /** One question after the other, microseconds. */
  readonly p50Us: number
  readonly p99Us: number
}

/** What the asking thread begins with. */
export interface AskingData {
  /** Senders `0 … entries` are known. */
  readonly entries: number
  readonly asks: number
  /** Folder of the store that it answers from; '' = it asks the main thread. */
  readonly store: string
  readonly settings: ProbeSettings
}

/** Asks from a thread. @param isBusy the main thread works without a rest meanwhile */
export async function throughThreads(
  broker: ProbeBroker,
  names: NameService,
  asking: AskingData,
  isBusy = false,
): Promise<ThreadMeasure> {
  const worker = new Worker(new URL('./asking-thread.js', import.meta.url), { workerData: asking })
  const desk = new BrokerDesk({
    broker,
    names: () => names,
    isTrustedName: () => false,
    onFindings: () => undefined,
  })
  const nothing = (): void => undefined
  const answering = { desk, onFinding: nothing, onDelivered: nothing, onWritten: nothing }
  const server = new AskServer(answering, (order) => worker.postMessage(order), nothing)
  let isDone = false
  const work = (): void => {
    const untilMs = performance.now() + 10
    while (performance.now() < untilMs);
    if (!isDone) setImmediate(work)
  }
  if (isBusy) work()
  try {
    return await new Promise<ThreadMeasure>((resolve, reject) => {
      worker.on('error', reject)
      worker.on('message', (message: ThreadReport | { kind: 'measured'; found: ThreadMeasure }) => {
        if (message.kind === 'measured') resolve(message.found)
        else server.onReport(message)
      })
    })
  } finally {
    isDone = true
    server.close()
    await worker.terminate()
  }
}
