/**
 * DynamicEntries: the list `dynamic` as one thing: the IP table that judges by it, the store that
 * keeps it over a restart, and the feedback that fills it.
 *
 * The table comes first, so an entry works at once in every thread even where no store could be
 * opened; the store follows. Never-block space beats this list too, whoever filled it: entries that
 * touch it are not entered, and go when a load brings it. What a full table does not take is not
 * listed: an operator hears so, of feedback the log does. Main thread.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { messageOf, OperatingError } from '../base/errors.ts'
import { storeSweepPartMax } from '../base/limits.ts'
import { prefixesTouch } from '../base/prefix-holds.ts'
import type { Listing } from '../probes/feedback.ts'
import type { DynamicEntry, DynamicList } from '../store/dynamic-list.ts'

/** The table's half: what ListService offers of it. */
export interface DynamicTable {
  /** At once in every thread; a ttlMs of 0 never ends. */
  enterDynamic(entry: Pick<Listing, 'prefix' | 'ttlMs'>): void
  /** Answers what is listed no longer: the prefix, or the block that the table knows it by. */
  removeDynamic(prefix: string): string
  /** Why the prefix may not be refused: what it touches of never-block space, or ''. */
  neverBlockReason(prefix: string): string
}

/** Who hears of entries that go. */
export interface DynamicListener {
  /** What counted against an address is forgotten when it is removed. */
  onRemoved(prefix: string): void
  /** An entry went because of never-block space; in words. */
  onBarred(detail: string): void
  /** The table is full (told once until it takes one again), or the store fails; in words. */
  onFault(detail: string): void
}

type Expiring = Pick<DynamicEntry, 'prefix' | 'expiresAtMs'>

/** Ends with the table's entry, which no setting of the wall clock ends. */
interface Entered extends Expiring {
  /** On the clock of `now`; Infinity = never. */
  readonly endsMs: number
}

/** The dynamic blacklist of an instance. */
export class DynamicEntries {
  readonly #table: DynamicTable
  readonly #listener: DynamicListener
  readonly #now: () => number
  /** What was entered, by prefix, also where no store keeps it. */
  readonly #entered = new Map<string, Entered>()
  /** Goes round what was entered: see `#forgetEnded`. */
  #round = this.#entered.values()
  #isClosed = false
  #isFull = false
  #kept: DynamicList | undefined

  constructor(
    table: DynamicTable,
    listener: DynamicListener,
    now: () => number = () => performance.now(),
  ) {
    this.#table = table
    this.#listener = listener
    this.#now = now
  }

  /** Enters what is alive in the store and keeps there what comes. Answers how many. */
  keepIn(list: DynamicList, wallMs: number): number {
    this.#kept = list
    list.sweep(wallMs)
    let count = 0
    for (const entry of list.entries(wallMs)) {
      if (this.#isBarred(entry.prefix)) {
        this.#listener.onRemoved(entry.prefix)
        continue
      }
      // What is barred goes from the store also where no more fits into the table.
      if (!this.#isFull && this.#tryEnter(entry, ttlOf(entry, wallMs))) count++
    }
    return count
  }

  /** How many are remembered; some that have ended may still be among them. */
  get count(): number {
    return this.#entered.size
  }

  /**
   * Lists were loaded: what touches never-block space now goes, from table and store. In parts,
   * with turns for others between them.
   */
  async onLoaded(): Promise<void> {
    let seen = 0
    for (const entry of this.#entered.values()) {
      const { prefix } = entry
      if (entry.endsMs <= this.#now()) this.#entered.delete(prefix)
      else if (this.#isBarred(prefix)) this.#tryLeave(prefix)
      if (++seen % storeSweepPartMax === 0) await nextTurn()
      if (this.#isClosed) return
    }
  }

  /** Why an operator may not enter the prefix, or ''. */
  reasonAgainst(prefix: string): string {
    return this.#table.neverBlockReason(prefix)
  }

  /**
   * Feedback found something. What stands for longer stays; an operator's entry is lengthened, and
   * stays his.
   */
  learn(listing: Listing, wallMs: number): void {
    const { prefix, reason, evidence, ttlMs } = listing
    const expiresAtMs = ttlMs === 0 ? 0 : wallMs + ttlMs
    const nowMs = this.#now()
    const standing = this.#entered.get(prefix)?.endsMs ?? 0
    if (standing > nowMs && standing >= endOf(ttlMs, nowMs)) return
    if (!this.#tryEnter({ prefix, expiresAtMs }, ttlMs)) return
    const word = this.#wordOf(prefix, wallMs)
    if (word !== undefined) {
      // What made it longer stands beside it.
      this.#kept?.add({ ...word, evidence: [reason, ...evidence], expiresAtMs })
      return
    }
    const source = 'feedback'
    this.#kept?.add({ prefix, source, reason, evidence, addedAtMs: wallMs, expiresAtMs })
  }

  /** An operator enters it, and keeps it then. Throws OperatingError TABLE_ADDED_FULL. */
  onAdded(entry: DynamicEntry, wallMs: number): void {
    this.#enter(entry, ttlOf(entry, wallMs))
  }

  /** An operator removes it: no client is refused for it any more. */
  onRemoved(prefix: string): void {
    this.#leave(prefix)
  }

  /** Is exactly this prefix entered, also where the store has given it up? */
  holds(prefix: string): boolean {
    return (this.#entered.get(prefix)?.endsMs ?? 0) > this.#now()
  }

  /**
   * What is in force and not in the store, which was full or is not there; from a place on, each
   * with the place behind it. Places move when entries go.
   */
  *notKept(wallMs: number, from = 0): Generator<Expiring & { readonly behind: number }> {
    const nowMs = this.#now()
    let behind = 0
    for (const entry of this.#entered.values()) {
      if (++behind <= from || entry.endsMs <= nowMs) continue
      const { prefix, expiresAtMs } = entry
      if (this.#kept?.get(prefix, wallMs) === undefined) yield { prefix, expiresAtMs, behind }
    }
  }

  close(): void {
    this.#isClosed = true
    this.#kept = undefined
  }

  /** @param ttlMs 0 = it never ends */
  #enter({ prefix, expiresAtMs }: Expiring, ttlMs: number): void {
    const nowMs = this.#now()
    this.#table.enterDynamic({ prefix, ttlMs })
    this.#isFull = false
    this.#entered.set(prefix, { prefix, expiresAtMs, endsMs: endOf(ttlMs, nowMs) })
    this.#forgetEnded(nowMs)
  }

  /** What an operator has entered; undefined also where the store cannot be read. */
  #wordOf(prefix: string, wallMs: number): DynamicEntry | undefined {
    try {
      const kept = this.#kept?.get(prefix, wallMs)
      return kept?.source === 'operator' ? kept : undefined
    } catch (error) {
      this.#listener.onFault(`dynamic ${prefix}: ${messageOf(error)}`)
      return undefined
    }
  }

  /** False: the table is full. */
  #tryEnter(entry: Expiring, ttlMs: number): boolean {
    try {
      this.#enter(entry, ttlMs)
      return true
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error
      if (!this.#isFull) this.#listener.onFault(`dynamic ${entry.prefix}: ${messageOf(error)}`)
      this.#isFull = true
      return false
    }
  }

  /** For nobody who could hear what the table says. */
  #tryLeave(prefix: string): void {
    try {
      this.#leave(prefix)
    } catch (error) {
      this.#listener.onFault(`dynamic ${prefix}: ${messageOf(error)}`)
    }
  }

  /** A table that knows the prefix by its block has unlisted its neighbours: they come back. */
  #leave(prefix: string): void {
    this.#entered.delete(prefix)
    const block = this.#table.removeDynamic(prefix)
    this.#listener.onRemoved(prefix)
    if (block === prefix) return
    const nowMs = this.#now()
    for (const entry of this.#entered.values()) {
      if (entry.endsMs <= nowMs || prefixesTouch(entry.prefix, block) !== true) continue
      const isEndless = entry.endsMs === Number.POSITIVE_INFINITY
      this.#tryEnter(entry, isEndless ? 0 : Math.ceil(entry.endsMs - nowMs))
    }
  }

  /** Two are looked at for each that comes, so what has ended goes as fast as others come. */
  #forgetEnded(nowMs: number): void {
    for (let step = 0; step < 2; step++) {
      const { value, done } = this.#round.next()
      if (done === true) this.#round = this.#entered.values()
      else if (value.endsMs <= nowMs) this.#entered.delete(value.prefix)
    }
  }

  /** Takes a barred entry out of the store, and says so. */
  #isBarred(prefix: string): boolean {
    const reason = this.#table.neverBlockReason(prefix)
    if (reason === '') return false
    try {
      this.#kept?.remove(prefix)
    } catch (error) {
      // It goes from the table all the same; the next start bars it again.
      this.#listener.onFault(`dynamic ${prefix}: ${messageOf(error)}`)
    }
    this.#listener.onBarred(`dynamic ${prefix}: removed, since it ${reason}`)
    return true
  }
}

function endOf(ttlMs: number, nowMs: number): number {
  return ttlMs === 0 ? Number.POSITIVE_INFINITY : nowMs + ttlMs
}

function ttlOf({ expiresAtMs }: Expiring, wallMs: number): number {
  return expiresAtMs === 0 ? 0 : Math.max(1, expiresAtMs - wallMs)
}
