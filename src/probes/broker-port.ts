/**
 * Broker port: how a worker thread asks the broker of the main thread.
 *
 * A worker posts `ask` messages with a number of its own and gets `deferred` at most once and
 * `answer` exactly once for each. A client that goes away is forgotten on the worker's side alone:
 * what it caused still reaches the cache. All messages are plain values.
 */
import type { Finding } from '../checks/finding.ts'
import type { Question } from '../journey/ports.ts'
import type { ProbeBroker, Respondent } from './broker.ts'

/** Worker to main thread. */
export interface BrokerRequest {
  readonly kind: 'ask'
  readonly number: number
  readonly question: Question
}

/** Main thread to worker. */
export type BrokerReply =
  | { readonly kind: 'deferred'; readonly number: number }
  | { readonly kind: 'answer'; readonly number: number; readonly findings: readonly Finding[] }

/** The side of a MessagePort that is needed here. */
export interface ReplyPort {
  postMessage(reply: BrokerReply): void
}

/** Main thread: answers one request of a worker. */
export function serveRequest(broker: ProbeBroker, port: ReplyPort, request: BrokerRequest): void {
  const { number, question } = request
  broker.examine(question, {
    onDeferred: () => port.postMessage({ kind: 'deferred', number }),
    onAnswer: (findings) => port.postMessage({ kind: 'answer', number, findings }),
  })
}

/** Worker thread: asks, and hands replies to whoever asked. */
export class BrokerClient {
  readonly #post: (request: BrokerRequest) => void
  readonly #waiting = new Map<number, Respondent>()
  #last = 0

  constructor(post: (request: BrokerRequest) => void) {
    this.#post = post
  }

  /** Questions without an answer. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** @returns the number to `forget` by. The respondent is never called from inside. */
  ask(question: Question, respondent: Respondent): number {
    const number = ++this.#last
    this.#waiting.set(number, respondent)
    this.#post({ kind: 'ask', number, question })
    return number
  }

  /** The client went away: its respondent is called no more. */
  forget(number: number): void {
    this.#waiting.delete(number)
  }

  onReply(reply: BrokerReply): void {
    const respondent = this.#waiting.get(reply.number)
    if (reply.kind === 'deferred') {
      respondent?.onDeferred()
      return
    }
    this.#waiting.delete(reply.number)
    respondent?.onAnswer(reply.findings)
  }
}
