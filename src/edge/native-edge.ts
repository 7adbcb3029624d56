/**
 * What a serving thread has natively: engine, scanner, its own view of tables and store.
 */
import { OperatingError } from '../base/errors.ts'
import type { Engine, EngineHandler, EngineOptions } from '../io/engine.ts'
import { newNativeEngine } from '../io/native-engine.ts'
import type { ListPort } from '../journey/ports.ts'
import { openStore } from '../store/open-store.ts'
import { WhitelistStore } from '../store/whitelist-store.ts'
import { attachNativeTable } from '../tables/native-table.ts'
import type { ThreadLists } from './thread.ts'

/** The native engine. Throws OperatingError where the addon does not load. */
export function nativeEngine(handler: EngineHandler, options: EngineOptions): Engine {
  const engine = newNativeEngine(handler, options)
  if (engine === undefined) throw new OperatingError('ADDON_MISSING', 'the addon does not load')
  return engine
}

/** The lists of a serving thread; `tell` hears of faults of the store. */
export function attachLists(lists: ThreadLists, tell: (detail: string) => void): ListPort {
  const blacklist = lists.blacklist === 0 ? undefined : attachNativeTable(lists.blacklist)
  const whitelist =
    lists.store === '' ? undefined : new WhitelistStore(openStore(lists.store, tell), tell)
  return {
    isWhitelisted: (sender) => whitelist?.has(sender) ?? false,
    listsOf: (verdictClass) => blacklist?.listsOf(verdictClass) ?? [],
  }
}
