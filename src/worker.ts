/**
 * The composition root of a serving thread; piscina runs its default export once for each thread.
 *
 * It builds the edge on the native engine, says so with the engine's token, and serves until it is
 * told to stop. Its promise is the life of the thread.
 */
import { threadId } from 'node:worker_threads'
import { BugError } from './base/errors.ts'
import { attachLists, nativeEngine } from './edge/native-edge.ts'
import { RemoteAsks } from './edge/remote-asks.ts'
import { configureEdge, newEdge } from './edge/thread.ts'
import type { ThreadBirth, ThreadOrder, ThreadReport } from './edge/thread-messages.ts'
import { ThreadVerdicts } from './edge/thread-verdicts.ts'
import { openThreadLog } from './log/thread-log.ts'
import { ProbeSwitch } from './probes/probe-switch.ts'
import type { OnDaemon } from './tls/daemon-access.ts'

/** How often good hosts are told. */
const tellEveryMs = 1_000

/** Serves until told to stop. */
export default async function serveThread(birth: ThreadBirth): Promise<void> {
  const { setup, port } = birth
  const log = openThreadLog(birth.log)
  const post = (report: ThreadReport) => port.postMessage(report)
  const tell = (detail: string) =>
    log.record({ event: 'store', time: Date.now(), what: 'fault', detail })
  const lists = attachLists(setup.lists, tell)
  const probeSwitch = new ProbeSwitch(setup.memory.probeSwitch)
  const verdicts = new ThreadVerdicts(setup.lists, setup.policies.probes, probeSwitch, tell)
  const asks = new RemoteAsks(post, (question) => verdicts.answer(question))
  const onTlsDaemon: OnDaemon = (standing) => post({ kind: 'tls-daemon', standing })
  const edge = newEdge(setup, { log, asks, onTlsDaemon, lists, newEngine: nativeEngine })
  const telling = setInterval(() => asks.flush(), tellEveryMs)
  await edge.ready()
  await new Promise<void>((resolve) => {
    port.on('message', (order: ThreadOrder) => {
      switch (order.kind) {
        case 'configure':
          configureEdge(edge, order.policies)
          verdicts.configure(order.policies.probes)
          return
        case 'stress':
          edge.stress(order.isStressed)
          return
        case 'answer':
          asks.desk.onAnswer(order.number, order.answer)
          return
        case 'deferred':
          asks.desk.onDeferred(order.number)
          return
        case 'stop':
          void edge.stop().then(resolve)
          return
        default:
          throw new BugError(`unknown order ${JSON.stringify(order satisfies never)}`)
      }
    })
    post({ kind: 'ready', token: edge.engine.token, threadId })
  })
  clearInterval(telling)
  asks.flush()
  log.flush()
  port.close()
}
