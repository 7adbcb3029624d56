/**
 * Questions: how the connections of a thread ask the probe broker, which lives in the main thread.
 */
import type { Answer, Question } from '../journey/ports.ts'

/** Who asked; hears the answer once, not inside the asking. */
export interface Asker {
  /** The answer comes later; RCPT is not to wait for it (QuestionPort.examine). */
  onDeferred(): void
  onAnswer(answer: Answer): void
}

/** The questions of one thread. One question an asker at a time. */
export interface QuestionDesk {
  trustedName(address: string, asker: Asker): void
  examine(question: Question, asker: Asker): void
  forget(asker: Asker): void
}

/** The desk of a service that has every active test off: the answer is that nothing was found. */
export class QuietDesk implements QuestionDesk {
  readonly #forgotten = new WeakSet<Asker>()

  trustedName(_address: string, asker: Asker): void {
    this.#answer(asker, 'trusted-name')
  }

  examine(_question: Question, asker: Asker): void {
    this.#answer(asker, 'examine')
  }

  forget(asker: Asker): void {
    this.#forgotten.add(asker)
  }

  #answer(asker: Asker, question: Answer['question']): void {
    this.#forgotten.delete(asker)
    setImmediate(() => {
      if (!this.#forgotten.has(asker)) asker.onAnswer({ question, findings: [] })
    })
  }
}
