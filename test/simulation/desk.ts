/** A simulated probe broker. */
import type { Finding } from '../../src/checks/finding.ts'
import type { Asker, QuestionDesk } from '../../src/edge/questions.ts'
import type { Answer, Question } from '../../src/journey/ports.ts'
import type { Random } from '../support/random.ts'
import type { WorldNetwork } from './network.ts'

/** Answers after a while, with what chance has found; seldom never. */
export class SimulatedDesk implements QuestionDesk {
  isQuiet = false
  readonly #random: Random
  readonly #network: WorldNetwork
  readonly #asked = new Map<Asker, object>()
  readonly #open = new Map<Asker, number>()

  constructor(random: Random, network: WorldNetwork) {
    this.#random = random
    this.#network = network
  }

  /** Who has asked, has no answer and has not said that it wants none any more. */
  get waiting(): number {
    return [...this.#open.values()].filter((count) => count > 0).length
  }

  trustedName(_address: string, asker: Asker): void {
    this.#open.set(asker, (this.#open.get(asker) ?? 0) + 1)
    const finding = { layer: 'connect', outcome: 'positive', name: 'trusted-name', evidence: [] }
    const findings = this.#random.chance(0.2) ? [finding as Finding] : []
    this.#answer(asker, { question: 'trusted-name', findings })
  }

  examine(_question: Question, asker: Asker): void {
    this.#open.set(asker, (this.#open.get(asker) ?? 0) + 1)
    if (this.#random.chance(0.1)) this.#soon(asker, this.#tag(asker), () => asker.onDeferred())
    if (!this.isQuiet && this.#random.chance(0.01)) return
    const layers = ['dialup', 'relay', 'user'] as const
    const outcomes = ['positive', 'negative', 'negative', 'indeterminate'] as const
    const findings = layers.map((layer): Finding => {
      const outcome = this.isQuiet ? 'negative' : this.#random.pick(outcomes)
      return { layer, outcome, name: `${layer}-found`, evidence: ['seen'] }
    })
    this.#answer(asker, { question: 'examine', findings })
  }

  forget(asker: Asker): void {
    this.#asked.delete(asker)
    this.#open.delete(asker)
  }

  #tag(asker: Asker): object {
    const tag = {}
    this.#asked.set(asker, tag)
    return tag
  }

  #answer(asker: Asker, answer: Answer): void {
    const tag = this.#asked.get(asker) ?? this.#tag(asker)
    const afterMs = this.#random.pick([0, 5, 900])
    const tell = () => {
      this.#open.set(asker, (this.#open.get(asker) ?? 0) - 1)
      asker.onAnswer(answer)
    }
    setTimeout(() => this.#soon(asker, tag, tell), afterMs)
  }

  #soon(asker: Asker, tag: object, act: () => void): void {
    setTimeout(() => {
      if (this.#asked.get(asker) !== tag) return
      this.#network.event++
      act()
    }, 1)
  }
}
