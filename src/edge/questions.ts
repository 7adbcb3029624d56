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
