/**
 * RemoteAsks: what a serving thread asks of the main thread, and tells it, by message.
 *
 * Clients whose mail was delivered are told in batches, once each: the main thread notes them as
 * good hosts, which feedback leaves alone.
 */
import { deliveredBatchMax } from '../base/limits.ts'
import type { Finding } from '../checks/finding.ts'
import type { Answer, Question } from '../journey/ports.ts'
import type { Asker, QuestionDesk } from './questions.ts'
import type { ThreadAsks } from './thread.ts'
import type { ThreadOrder, ThreadReport } from './thread-messages.ts'

/** What the thread knows by itself of a question; undefined: the main thread is asked. */
export type AnswerKnown = (question: Question) => readonly Finding[] | undefined

/** Serving thread: numbers the questions and hands answers to who asked. */
export class RemoteDesk implements QuestionDesk {
  readonly #post: (report: ThreadReport) => void
  readonly #answerKnown: AnswerKnown
  readonly #askers = new Map<number, Asker>()
  readonly #numbers = new Map<Asker, number>()
  #last = 0

  constructor(post: (report: ThreadReport) => void, answerKnown: AnswerKnown) {
    this.#post = post
    this.#answerKnown = answerKnown
  }

  trustedName(address: string, asker: Asker): void {
    this.#post({ kind: 'trusted-name', number: this.#take(asker), address })
  }

  examine(question: Question, asker: Asker): void {
    const number = this.#take(asker)
    const findings = this.#answerKnown(question)
    if (findings === undefined) this.#post({ kind: 'examine', number, question })
    else setImmediate(() => this.onAnswer(number, { question: 'examine', findings }))
  }

  forget(asker: Asker): void {
    const number = this.#numbers.get(asker)
    if (number === undefined) return
    this.#drop(number, asker)
    this.#post({ kind: 'forget', number })
  }

  /** An answer of the main thread. */
  onAnswer(number: number, answer: Answer): void {
    const asker = this.#askers.get(number)
    if (asker === undefined) return
    this.#drop(number, asker)
    asker.onAnswer(answer)
  }

  /** The main thread says that the answer comes later. */
  onDeferred(number: number): void {
    this.#askers.get(number)?.onDeferred()
  }

  #take(asker: Asker): number {
    const number = ++this.#last
    this.#askers.set(number, asker)
    this.#numbers.set(asker, number)
    return number
  }

  #drop(number: number, asker: Asker): void {
    this.#askers.delete(number)
    if (this.#numbers.get(asker) === number) this.#numbers.delete(asker)
  }
}

/** Serving thread: whom it asks and what it tells. */
export class RemoteAsks implements ThreadAsks {
  readonly desk: RemoteDesk
  readonly #post: (report: ThreadReport) => void
  #delivered = new Set<string>()

  constructor(post: (report: ThreadReport) => void, answerKnown: AnswerKnown) {
    this.#post = post
    this.desk = new RemoteDesk(post, answerKnown)
  }

  onFinding(address: string, finding: Finding): void {
    this.#post({ kind: 'finding', address, finding })
  }

  onDelivered(address: string): void {
    this.#delivered.add(address)
    if (this.#delivered.size >= deliveredBatchMax) this.flush()
  }

  onWritten(addresses: readonly string[]): void {
    this.#post({ kind: 'written', addresses })
  }

  /** Tells what waits; called every second or so. */
  flush(): void {
    if (this.#delivered.size === 0) return
    this.#post({ kind: 'delivered', addresses: [...this.#delivered] })
    this.#delivered = new Set()
  }
}

/** Main thread: answers one serving thread. */
export class AskServer {
  readonly #asks: ThreadAsks
  readonly #post: (order: ThreadOrder) => void
  readonly #onFault: (error: unknown) => void
  readonly #askers = new Map<number, Asker>()

  constructor(
    asks: ThreadAsks,
    post: (order: ThreadOrder) => void,
    onFault: (error: unknown) => void,
  ) {
    this.#asks = asks
    this.#post = post
    this.#onFault = onFault
  }

  /**
   * A report that asks or tells; others are left alone. A bug of ours that one meets ends nothing:
   * who asked hears that nothing was found.
   */
  onReport(report: ThreadReport): void {
    try {
      this.#take(report)
    } catch (error) {
      this.#onFault(error)
      if (report.kind !== 'trusted-name' && report.kind !== 'examine') return
      const { kind: question, number } = report
      this.#askers.delete(number)
      this.#post({ kind: 'answer', number, answer: { question, findings: [] } })
    }
  }

  #take(report: ThreadReport): void {
    const { desk } = this.#asks
    if (report.kind === 'trusted-name') {
      desk.trustedName(report.address, this.#asker(report.number))
    } else if (report.kind === 'examine') {
      desk.examine(report.question, this.#asker(report.number))
    } else if (report.kind === 'forget') this.#forget(report.number)
    else if (report.kind === 'finding') this.#asks.onFinding(report.address, report.finding)
    else if (report.kind === 'written') this.#asks.onWritten(report.addresses)
    else if (report.kind === 'delivered') {
      for (const address of report.addresses) this.#asks.onDelivered(address)
    }
  }

  /** The thread is gone: nobody waits any more. */
  close(): void {
    for (const number of [...this.#askers.keys()]) this.#forget(number)
  }

  #asker(number: number): Asker {
    const asker: Asker = {
      onAnswer: (answer) => {
        this.#askers.delete(number)
        this.#post({ kind: 'answer', number, answer })
      },
      onDeferred: () => this.#post({ kind: 'deferred', number }),
    }
    this.#askers.set(number, asker)
    return asker
  }

  #forget(number: number): void {
    const asker = this.#askers.get(number)
    this.#askers.delete(number)
    if (asker !== undefined) this.#asks.desk.forget(asker)
  }
}
