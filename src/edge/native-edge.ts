/**
 * What a serving thread has natively: engine, scanner, its own view of tables and store.
 */
import { messageOf, OperatingError } from '../base/errors.ts'
import type { Engine, EngineHandler, EngineOptions } from '../io/engine.ts'
import { newNativeEngine } from '../io/native-engine.ts'
import type { Finding, ListPort, Question } from '../journey/ports.ts'
import { Known } from '../probes/known.ts'
import type { ProbeSettings } from '../probes/settings.ts'
import { VerdictMemory } from '../probes/verdict-memory.ts'
import { joinStore } from '../store/open-store.ts'
import { Store } from '../store/store.ts'
import { VerdictStore } from '../store/verdict-store.ts'
import { WhitelistStore } from '../store/whitelist-store.ts'
import { attachNativeTable } from '../tables/native-table.ts'
import type { ThreadLists } from './thread.ts'

/** The native engine. Throws OperatingError where the addon does not load. */
export function nativeEngine(handler: EngineHandler, options: EngineOptions): Engine {
  const engine = newNativeEngine(handler, options)
  if (engine === undefined) throw new OperatingError('ADDON_MISSING', 'the addon does not load')
  return engine
}

/**
 * The lists of a serving thread. The store is opened at the first question, since without active
 * tests there is none; a fault of it answers no, and the tests decide. `tell` hears of it.
 */
export function attachLists(lists: ThreadLists, tell: (detail: string) => void): ListPort {
  const blacklist = lists.blacklist > 0 ? attachNativeTable(lists.blacklist) : undefined
  let whitelist: WhitelistStore | undefined
  return {
    isWhitelisted(sender) {
      try {
        whitelist ??= joinWhitelist(lists.store, tell)
        return whitelist.has(sender)
      } catch (error) {
        tell(messageOf(error))
        return false
      }
    },
    listsOf: (verdictClass) => blacklist?.listsOf(verdictClass) ?? [],
  }
}

/**
 * What of the active tests a serving thread can answer by itself, from the verdicts in the store:
 * the usual case, without the way to the main thread. New settings begin with `configure`.
 */
export class ThreadVerdicts {
  readonly #folder: string
  readonly #tell: (detail: string) => void
  #settings: ProbeSettings
  #known: Known | undefined
  #isAway = false

  constructor(folder: string, settings: ProbeSettings, tell: (detail: string) => void) {
    this.#folder = folder
    this.#settings = settings
    this.#tell = tell
  }

  configure(settings: ProbeSettings): void {
    this.#settings = settings
    this.#known = undefined
  }

  /** Findings where all is known and everybody was cleared; else undefined. */
  answer(question: Question): readonly Finding[] | undefined {
    if (this.#isAway) return undefined
    try {
      this.#known ??= this.#open()
      return this.#known.harmless(question)
    } catch (error) {
      this.#isAway = true
      this.#tell(messageOf(error))
      return undefined
    }
  }

  #open(): Known {
    const verdicts = new VerdictStore(joinToRead(this.#folder, this.#tell), 0)
    const memory = new VerdictMemory(verdicts, this.#settings.keep, Date.now)
    return new Known(this.#settings, memory)
  }
}

function joinWhitelist(folder: string, tell: (detail: string) => void): WhitelistStore {
  return new WhitelistStore(joinToRead(folder, tell))
}

/** Read here alone: the main thread writes. */
function joinToRead(folder: string, tell: (detail: string) => void): Store {
  const report = (_what: string, detail: string): void => tell(detail)
  return new Store(joinStore(folder), { sizeMaxOctets: Number.POSITIVE_INFINITY, report })
}
