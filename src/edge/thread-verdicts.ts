/**
 * ThreadVerdicts: what of the active tests a serving thread answers by itself, from the store that
 * it shares with the main thread: everything that is known, whatever it says, at the cost of some
 * reads of a memory map. Only what must be asked takes the way to the broker.
 *
 * It answers as the broker would: the same rules (Known), the same databases of exempt hosts (the
 * native tables), the same switch. A verdict is seen here once it is committed, a flush of the
 * cache and what an operator removed at the next turn of the event loop. Feedback hears of a
 * positive finding from the journey, as of every other.
 */
import { messageOf } from '../base/errors.ts'
import type { Finding, Question } from '../journey/ports.ts'
import { type Exemptions, Known } from '../probes/known.ts'
import type { ProbeSwitch } from '../probes/probe-switch.ts'
import type { ProbeSettings } from '../probes/settings.ts'
import { VerdictMemory } from '../probes/verdict-memory.ts'
import { VerdictStore } from '../store/verdict-store.ts'
import { attachNativeTable } from '../tables/native-table.ts'
import { joinToRead } from './native-edge.ts'
import type { ThreadLists } from './thread.ts'

/** The verdicts as one thread reads them. The store is opened at the first question. */
export class ThreadVerdicts {
  readonly #lists: ThreadLists
  readonly #probeSwitch: ProbeSwitch
  readonly #tell: (detail: string) => void
  #settings: ProbeSettings
  #known: Known | undefined
  #isAway: boolean

  constructor(
    lists: ThreadLists,
    settings: ProbeSettings,
    probeSwitch: ProbeSwitch,
    tell: (detail: string) => void,
  ) {
    this.#lists = lists
    this.#settings = settings
    this.#probeSwitch = probeSwitch
    this.#tell = tell
    this.#isAway = !lists.hasVerdicts
  }

  /** New settings, from the next question on. */
  configure(settings: ProbeSettings): void {
    this.#settings = settings
    this.#known = undefined
  }

  /** Findings where nobody need be asked, none while probing is off; undefined: ask the broker. */
  answer(question: Question): readonly Finding[] | undefined {
    if (!this.#probeSwitch.isOn) return []
    if (this.#isAway) return undefined
    try {
      this.#known ??= this.#open()
      return this.#known.findings(question)
    } catch (error) {
      this.#isAway = true
      this.#tell(messageOf(error))
      return undefined
    }
  }

  #open(): Known {
    const verdicts = new VerdictStore(joinToRead(this.#lists.store, this.#tell), 0)
    const memory = new VerdictMemory(verdicts, this.#settings.keep, Date.now)
    return new Known(this.#settings, memory, exemptionsOf(this.#lists))
  }
}

/** Handles of 0 hold nobody. */
function exemptionsOf({ relay, dialup }: ThreadLists): Exemptions {
  const relayTable = relay > 0 ? attachNativeTable(relay) : undefined
  const dialupTable = dialup > 0 ? attachNativeTable(dialup) : undefined
  return {
    isRelayExempt: (address) => (relayTable?.lookupClass(address) ?? 0) !== 0,
    isDialupExempt: (address) => (dialupTable?.lookupClass(address) ?? 0) !== 0,
  }
}
