/**
 * BrokerDesk: the main thread's desk of questions, over the probe broker and the name service.
 */
import type { Finding } from '../checks/finding.ts'
import type { Answer, Question } from '../journey/ports.ts'
import type { ProbeBroker } from '../probes/broker.ts'
import type { NameService } from '../probes/dns.ts'
import type { Asker, QuestionDesk } from './questions.ts'

/** What the desk is made of; names are asked for anew each time, since a reload replaces them. */
export interface DeskParts {
  readonly broker: ProbeBroker
  names(): NameService
  /** Is this name of the trusted names? */
  isTrustedName(name: string): boolean
  /** The tests' findings of a client, whoever still waits for them. */
  onFindings(address: string, findings: readonly Finding[]): void
}

/** Longest forward-confirmed look-up of a client's name; without an answer it is not trusted. */
const trustedNameWaitMs = 5000

/** Answers come after the asking has returned, and only to who has not been forgotten. */
export class BrokerDesk implements QuestionDesk {
  readonly #parts: DeskParts
  readonly #waiting = new Set<Asker>()

  constructor(parts: DeskParts) {
    this.#parts = parts
  }

  trustedName(address: string, asker: Asker): void {
    this.#waiting.add(asker)
    const answer = (findings: readonly Finding[]): void =>
      this.#answer(asker, { question: 'trusted-name', findings })
    const timer = setTimeout(() => answer([]), trustedNameWaitMs)
    const told = (name: string): void => {
      clearTimeout(timer)
      answer(name === '' ? [] : [trustedNameFinding(name)])
    }
    // A bug of ours makes nobody trusted.
    this.#confirmedName(address).then(told, () => told(''))
  }

  examine(question: Question, asker: Asker): void {
    this.#waiting.add(asker)
    this.#parts.broker.examine(question, {
      onDeferred: () => this.#later(asker, () => asker.onDeferred()),
      onAnswer: (findings) => {
        this.#parts.onFindings(question.address, findings)
        this.#later(asker, () => this.#answer(asker, { question: 'examine', findings }))
      },
    })
  }

  forget(asker: Asker): void {
    this.#waiting.delete(asker)
  }

  #later(asker: Asker, act: () => void): void {
    queueMicrotask(() => {
      if (this.#waiting.has(asker)) act()
    })
  }

  #answer(asker: Asker, answer: Answer): void {
    if (this.#waiting.delete(asker)) asker.onAnswer(answer)
  }

  /** The first name of the address that is trusted and leads back to it, else ''. */
  async #confirmedName(address: string): Promise<string> {
    const names = this.#parts.names()
    const answer = await names.names(address)
    if (answer.kind !== 'found') return ''
    for (const name of answer.records.filter((each) => this.#parts.isTrustedName(each))) {
      const forward = await names.addresses(name)
      if (forward.kind === 'found' && forward.records.includes(address)) return name
    }
    return ''
  }
}

function trustedNameFinding(name: string): Finding {
  return { layer: 'connect', outcome: 'positive', name: 'trusted-name', evidence: [name] }
}
