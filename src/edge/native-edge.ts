/**
 * What a serving thread has natively: engine, scanner, its own view of tables and store.
 */
import { messageOf, OperatingError } from '../base/errors.ts'
import type { Engine, EngineHandler, EngineOptions } from '../io/engine.ts'
import { newNativeEngine } from '../io/native-engine.ts'
import type { ListPort } from '../journey/ports.ts'
import { condemnStore, joinStore } from '../store/open-store.ts'
import { Store } from '../store/store.ts'
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

function joinWhitelist(folder: string, tell: (detail: string) => void): WhitelistStore {
  return new WhitelistStore(joinToRead(folder, tell))
}

/** The store of an instance, for a thread that only reads: the main thread writes. */
export function joinToRead(folder: string, tell: (detail: string) => void): Store {
  const report = (_what: string, detail: string): void => tell(detail)
  const condemn = (reason: string): void => condemnStore(folder, reason)
  const sizeMaxOctets = Number.POSITIVE_INFINITY
  return new Store(joinStore(folder), { sizeMaxOctets, report, condemn })
}
