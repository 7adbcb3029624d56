/**
 * Known verdicts as a serving thread gets them where it may not answer by itself: a question by
 * message to the main thread, the desk and the broker there, the answer by message back.
 */
import { Worker } from 'node:worker_threads'
import { BrokerDesk } from '../../src/edge/broker-desk.ts'
import { AskServer } from '../../src/edge/remote-asks.ts'
import type { ThreadReport } from '../../src/edge/thread-messages.ts'
import type { ProbeBroker } from '../../src/probes/broker.ts'
import type { NameService } from '../../src/probes/dns.ts'

/** What the thread measured. */
export interface ThreadMeasure {
  /** With many questions under way at once. */
  readonly perSecond: number
  /** One question after the other, microseconds. */
  readonly p50Us: number
  readonly p99Us: number
}

/** Asks `asks` questions about senders `0 … entries` from a thread. */
export async function throughThreads(
  broker: ProbeBroker,
  names: NameService,
  entries: number,
  asks: number,
): Promise<ThreadMeasure> {
  const worker = new Worker(new URL('./asking-thread.js', import.meta.url), {
    workerData: { entries, asks },
  })
  const desk = new BrokerDesk({
    broker,
    names: () => names,
    isTrustedName: () => false,
    onFindings: () => undefined,
  })
  const nothing = (): void => undefined
  const answering = { desk, onFinding: nothing, onDelivered: nothing, onWritten: nothing }
  const server = new AskServer(answering, (order) => worker.postMessage(order))
  try {
    return await new Promise<ThreadMeasure>((resolve, reject) => {
      worker.on('error', reject)
      worker.on('message', (message: ThreadReport | { kind: 'measured'; found: ThreadMeasure }) => {
        if (message.kind === 'measured') resolve(message.found)
        else server.onReport(message)
      })
    })
  } finally {
    server.close()
    await worker.terminate()
  }
}
