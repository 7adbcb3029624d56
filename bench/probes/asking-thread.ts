/**
 * The thread of through-threads.ts: asks for known senders, one after the other and many at once.
 * It answers from the store as a serving thread does, or knows nothing and asks the main thread.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { RemoteDesk } from '../../src/edge/remote-asks.ts'
import type { ThreadOrder } from '../../src/edge/thread-messages.ts'
import { ThreadVerdicts } from '../../src/edge/thread-verdicts.ts'
import type { Answer } from '../../src/journey/ports.ts'
import { ProbeSwitch } from '../../src/probes/probe-switch.ts'
import { nameOf } from './names.ts'
import type { AskingData } from './through-threads.ts'

const atOnce = 64
const { entries, asks, store, settings } = workerData as AskingData
const port = parentPort
if (port === null) throw new Error('the asking thread is no program of its own')

const lists = { blacklist: 0, relay: 0, dialup: 0, store, hasVerdicts: store !== '' }
const complain = (detail: string): never => {
  throw new Error(detail)
}
const verdicts = new ThreadVerdicts(lists, settings, new ProbeSwitch(), complain)
const desk = new RemoteDesk(
  (report) => port.postMessage(report),
  (question) => verdicts.answer(question),
)
port.on('message', (order: ThreadOrder) => {
  if (order.kind === 'answer') desk.onAnswer(order.number, order.answer)
})

function ask(index: number): Promise<void> {
  const user = (index * 7919) % entries
  const question = {
    address: '192.0.2.7',
    helo: 'a',
    sender: `${nameOf(user)}@a.example`,
    recipient: 'b@c',
  }
  return new Promise((resolve, reject) => {
    const onAnswer = ({ findings }: Answer): void => {
      if (findings[0]?.name === 'user-exists') resolve()
      else reject(new Error('not known'))
    }
    const onDeferred = (): void => reject(new Error('deferred'))
    desk.examine(question, { onAnswer, onDeferred })
  })
}

const times = new Float64Array(Math.min(asks, 20_000))
for (let index = 0; index < times.length; index++) {
  const fromMs = performance.now()
  await ask(index)
  times[index] = performance.now() - fromMs
}
const startMs = performance.now()
let next = 0
const asker = async (): Promise<void> => {
  while (next < asks) await ask(next++)
}
await Promise.all(Array.from({ length: atOnce }, asker))
const perSecond = (asks * 1000) / (performance.now() - startMs)
times.sort()
const percentile = (share: number) => (times[Math.floor(times.length * share)] ?? 0) * 1000
const found = { perSecond, p50Us: percentile(0.5), p99Us: percentile(0.99) }
port.postMessage({ kind: 'measured', found })
