/**
 * Learnt: everything that an instance learns and must not forget, in one LMDB environment with one
 * owner, the main thread: verdicts, the list `dynamic`, the whitelist, good hosts. With
 * `lists.keep = "store"` the octets of the lists lie in the same environment
 * (src/lists/list-store.ts).
 *
 * Serving threads join the environment to read the whitelist; `activemx whitelist mine` writes it
 * from a process of its own. What has ended is swept in parts, so that no sweep holds the thread
 * up.
 */
import { dynamicSweepEveryMs, storeSweepEveryMs } from '../base/limits.ts'
import { DynamicList } from './dynamic-list.ts'
import { GoodHosts } from './good-hosts.ts'
import { condemnStore, openStore } from './open-store.ts'
import { Store, type StoreReport } from './store.ts'
import { VerdictStore } from './verdict-store.ts'
import { WhitelistStore } from './whitelist-store.ts'

/** What of the configuration concerns what is learnt; times in milliseconds. */
export interface LearntSettings {
  readonly sizeMaxOctets: number
  readonly verdictsMax: number
  /** Life of a whitelist entry, 0 = it stays. */
  readonly whitelistExpiresMs: number
  /** Life of a good host. */
  readonly goodForMs: number
}

/** The store of an instance. */
export class Learnt {
  readonly store: Store
  readonly verdicts: VerdictStore
  readonly dynamic: DynamicList
  readonly whitelist: WhitelistStore
  readonly goodHosts: GoodHosts
  #settings: LearntSettings
  readonly #timers: readonly NodeJS.Timeout[]

  /** Opens, checks and if need be rebuilds it. Throws OperatingError STORE_UNUSABLE. */
  constructor(folder: string, settings: LearntSettings, report: StoreReport) {
    const { sizeMaxOctets, verdictsMax, whitelistExpiresMs } = settings
    const condemn = (reason: string): void => condemnStore(folder, reason)
    this.store = new Store(openStore(folder, report), { sizeMaxOctets, report, condemn })
    this.verdicts = new VerdictStore(this.store, verdictsMax)
    this.dynamic = new DynamicList(this.store)
    this.whitelist = new WhitelistStore(this.store, whitelistExpiresMs)
    this.goodHosts = new GoodHosts(this.store)
    this.#settings = settings
    this.#timers = [
      this.#every(storeSweepEveryMs, (wallMs) => this.verdicts.sweep(wallMs)),
      this.#every(storeSweepEveryMs, (wallMs) => this.whitelist.sweep(wallMs)),
      this.#every(storeSweepEveryMs, (wallMs) =>
        this.goodHosts.sweep(wallMs - this.#settings.goodForMs),
      ),
      this.#every(dynamicSweepEveryMs, (wallMs) => this.dynamic.sweep(wallMs)),
    ]
  }

  /** New settings; those of the environment itself count from the next start. */
  configure(settings: LearntSettings): void {
    this.#settings = settings
    this.verdicts.entriesMax = settings.verdictsMax
    this.whitelist.expiresMs = settings.whitelistExpiresMs
  }

  /** Writes what waits and closes. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    await this.verdicts.flushed()
    await this.store.close()
  }

  /** A store that cannot be read is told of and asked again; nothing of it ends the process. */
  #every(periodMs: number, sweep: (wallMs: number) => unknown): NodeJS.Timeout {
    const turn = async (): Promise<void> => {
      try {
        await sweep(Date.now())
      } catch (error) {
        this.store.onReadFault(error)
      }
    }
    return setInterval(() => void turn(), periodMs).unref()
  }
}
