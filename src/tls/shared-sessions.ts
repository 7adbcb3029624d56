/**
 * SharedSessions: every session that the daemon holds, by name and by token.
 *
 * A name belongs to a user: two users' sessions of one name are two sessions. A token holds the
 * daemon's id and 128 random bits and is good for processes of the user who made the session; any
 * other is `badToken`, whether it is forged, stale, of another daemon or of another user, so that
 * an answer tells nothing about what exists.
 *
 * A session outlives its applications; the sweeper closes it when it was idle for `idleMs`, or its
 * peer has closed, and nobody holds it. An SMTP session is also closed while somebody holds it (its
 * server would soon do the same), and comes back with the next lease. Bounded: at the maximum, the
 * session that was idle for longest and that nobody holds makes room, else `new` is refused.
 */
import { randomBytes } from 'node:crypto'
import { tlsHandlesPerClientMax, tlsSessionsMax } from '../base/limits.ts'
import { failure, type NewOptions, type Outcome, type SessionHandle, success } from './api.ts'
import type { Directory } from './calls.ts'
import { faultOf } from './fault.ts'
import { SessionGroup } from './group.ts'
import { identityOf, targetOf } from './options.ts'
import type { Discipline } from './queue.ts'
import type { Holder } from './session.ts'

/** One shared name. */
export interface SharedSession {
  readonly token: string
  readonly name: string
  readonly userId: number
  readonly identity: string
  /** The peer, see targetOf. */
  readonly target: string
  readonly group: SessionGroup
  /** Who holds it, and how many handles each. */
  readonly holders: Map<Holder, number>
  readonly listeningPort: number
}

/** What a directory needs to know of a holder. */
export interface Client extends Holder {
  readonly userId: number
}

const idleMsDefault = 10 * 60_000
const idleMsSmtp = 60_000
const badToken = failure('badToken', 'no such session of this user')
const notShared = failure('refused', 'an unshared session is not the daemon’s: ask the wrapper')
const clientGone = failure('refused', 'the client is gone')
const stopping = failure('refused', 'the daemon stops')
const otherHolders = failure('refused', 'other processes hold this session')

/** The daemon's sessions. */
export class SharedSessions implements Directory {
  /** 16 hexadecimal digits that every token of this daemon begins with. */
  readonly daemonId = randomBytes(8).toString('hex')
  /** Octets came for which nobody waits. */
  onUnclaimed: (session: SharedSession) => void = () => undefined
  readonly #discipline: Discipline
  readonly #targetSessionsMax: number
  readonly #byToken = new Map<string, SharedSession>()
  readonly #byName = new Map<string, SharedSession>()
  /** Holders that were forgotten: a session that is made for one by then is nobody's. */
  readonly #gone = new WeakSet<Holder>()
  #isClosed = false
  readonly #making = new Map<string, Promise<SessionHandle>>()

  /** @param targetSessionsMax connections to one peer, over all names. */
  constructor(discipline: Discipline, targetSessionsMax: number) {
    this.#discipline = discipline
    this.#targetSessionsMax = targetSessionsMax
  }

  /** All sessions, in the order in which they were made. */
  get all(): Iterable<SharedSession> {
    return this.#byToken.values()
  }

  get size(): number {
    return this.#byToken.size
  }

  async make(options: NewOptions, holder: Holder): Promise<SessionHandle> {
    const client = holder as Client
    if (options.shared === false) return { route: 'shared', token: '', fault: notShared }
    if (options.token !== undefined) return this.#attachByToken(options.token, client)
    const name = `${client.userId} ${options.shared}`
    // Between the last look and the making nothing is awaited: else two at once make two sessions.
    for (let making = this.#making.get(name); making !== undefined; ) {
      await making
      making = this.#making.get(name)
    }
    const there = this.#byName.get(name)
    if (there !== undefined) return this.#attach(there, options, client)
    const refusal = this.#refusalOf(options, client)
    if (refusal !== undefined) return { route: 'shared', token: '', fault: refusal }
    const making = this.#make(options, name, client)
    this.#making.set(name, making)
    const handle = await making
    this.#making.delete(name)
    return handle
  }

  find(handle: SessionHandle, holder: Holder): SessionGroup | undefined {
    return this.entryHeldBy(handle, holder)?.group
  }

  /** The session of a handle that this holder has made or attached to, and not freed. */
  entryHeldBy(handle: SessionHandle, holder: Holder): SharedSession | undefined {
    const entry = this.entryOf(handle.token, (holder as Client).userId)
    return entry?.holders.has(holder) === true ? entry : undefined
  }

  /** The session of a token, for a user. */
  entryOf(token: string, userId: number): SharedSession | undefined {
    const entry = this.#byToken.get(token)
    return entry?.userId === userId ? entry : undefined
  }

  async shutdown(handle: SessionHandle, holder: Holder): Promise<Outcome> {
    const entry = this.entryHeldBy(handle, holder)
    if (entry === undefined) return badToken
    if ([...entry.holders.keys()].some((other) => other !== holder)) return otherHolders
    await entry.group.shutdown()
    return success
  }

  free(handle: SessionHandle, holder: Holder): Outcome {
    const entry = this.entryHeldBy(handle, holder)
    if (entry === undefined) return badToken
    const handles = entry.holders.get(holder) ?? 0
    if (handles > 1) entry.holders.set(holder, handles - 1)
    else this.#leave(entry, holder)
    return success
  }

  /** A holder is gone, with all that it held. */
  forget(holder: Holder): void {
    this.#gone.add(holder)
    for (const entry of this.#byToken.values()) {
      if (entry.holders.has(holder)) this.#leave(entry, holder)
    }
  }

  /** Frees what is dead or idle; the daemon calls it every few seconds. */
  sweep(nowMs: number): void {
    for (const entry of this.#byToken.values()) {
      const { group, holders } = entry
      const { starttls, conversation, idleMs } = group.options
      const isSmtp = starttls === 'smtp' || conversation === 'smtp'
      const sinceMs = nowMs - (idleMs ?? (isSmtp ? idleMsSmtp : idleMsDefault))
      if (isSmtp) group.closeIdle(sinceMs)
      const isDone = group.isOver || group.usedAtMs < sinceMs
      if (holders.size === 0 && isDone) this.#remove(entry)
    }
  }

  /** Ends every session, with close-notify (and QUIT). */
  async close(): Promise<void> {
    this.#isClosed = true
    const entries = [...this.#byToken.values()]
    this.#byToken.clear()
    this.#byName.clear()
    await Promise.all(entries.map((entry) => entry.group.close()))
  }

  async #make(options: NewOptions, name: string, client: Client): Promise<SessionHandle> {
    const group = new SessionGroup(options, this.#discipline, () => this.#hasRoomFor(options))
    try {
      // Registered in the same turn of the loop as the caps were asked, or asked again.
      const listeningPort = options.listen === undefined ? 0 : await group.listen()
      const refusal = options.listen === undefined ? undefined : this.#refusalOf(options, client)
      if (refusal !== undefined) {
        void group.close()
        return { route: 'shared', token: '', fault: refusal }
      }
      const entry: SharedSession = {
        token: this.daemonId + randomBytes(16).toString('hex'),
        name: String(options.shared),
        userId: client.userId,
        identity: identityOf(options),
        target: targetOf(options),
        group,
        holders: new Map(),
        listeningPort,
      }
      group.onUnclaimed = () => this.onUnclaimed(entry)
      this.#byToken.set(entry.token, entry)
      this.#byName.set(name, entry)
      return this.#hold(entry, client)
    } catch (error) {
      return { route: 'shared', token: '', fault: faultOf(error) }
    }
  }

  #attachByToken(token: string, client: Client): SessionHandle {
    const entry = this.entryOf(token, client.userId)
    if (entry !== undefined) return this.#hold(entry, client)
    return { route: 'shared', token: '', fault: badToken }
  }

  #attach(entry: SharedSession, options: NewOptions, client: Client): SessionHandle {
    if (entry.identity === identityOf(options)) {
      entry.group.raise(options.sessions ?? 1)
      return this.#hold(entry, client)
    }
    const text = `the shared name ${entry.name} stands for another peer or other checks`
    return { route: 'shared', token: '', fault: failure('refused', text) }
  }

  #hold(entry: SharedSession, client: Client): SessionHandle {
    if (this.#gone.has(client)) return { route: 'shared', token: '', fault: clientGone }
    if (this.#heldBy(client) >= tlsHandlesPerClientMax) {
      const text = `a client holds at most ${tlsHandlesPerClientMax} sessions`
      return { route: 'shared', token: '', fault: failure('refused', text) }
    }
    const handles = entry.holders.get(client) ?? 0
    entry.holders.set(client, handles + 1)
    if (handles === 0) this.#handles.set(client, this.#heldBy(client) + 1)
    return { route: 'shared', token: entry.token, listeningPort: entry.listeningPort }
  }

  readonly #handles = new WeakMap<Holder, number>()

  #heldBy(client: Holder): number {
    return this.#handles.get(client) ?? 0
  }

  #leave(entry: SharedSession, holder: Holder): void {
    entry.group.forget(holder)
    if (entry.holders.delete(holder)) this.#handles.set(holder, this.#heldBy(holder) - 1)
  }

  #refusalOf(options: NewOptions, client: Client): Outcome | undefined {
    if (this.#isClosed) return stopping
    if (this.#heldBy(client) >= tlsHandlesPerClientMax) {
      return failure('refused', `a client holds at most ${tlsHandlesPerClientMax} sessions`)
    }
    if (this.#byToken.size >= tlsSessionsMax && !this.#makeRoom()) {
      return failure('refused', `the daemon holds at most ${tlsSessionsMax} sessions`)
    }
    if (!this.#hasRoomFor(options)) {
      const target = targetOf(options)
      return failure('refused', `${this.#targetSessionsMax} sessions to ${target} already`)
    }
    return undefined
  }

  /** True while another connection may be made to the peer. */
  #hasRoomFor(options: NewOptions): boolean {
    const target = targetOf(options)
    let sessions = 0
    for (const { group, target: to } of this.#byToken.values()) {
      if (to === target) sessions += group.sessions.length
    }
    return sessions < this.#targetSessionsMax
  }

  #makeRoom(): boolean {
    let oldest: SharedSession | undefined
    for (const entry of this.#byToken.values()) {
      const isOlder = oldest === undefined || entry.group.usedAtMs < oldest.group.usedAtMs
      if (entry.holders.size === 0 && isOlder) oldest = entry
    }
    if (oldest !== undefined) this.#remove(oldest)
    return oldest !== undefined
  }

  #remove(entry: SharedSession): void {
    this.#byToken.delete(entry.token)
    this.#byName.delete(`${entry.userId} ${entry.name}`)
    void entry.group.close()
  }
}
