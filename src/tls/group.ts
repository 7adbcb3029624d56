/**
 * SessionGroup: what stands behind one handle: one session, or several that are leased one by one.
 *
 * Calls without a lease go to the first session. A lease takes a free session out of common use for
 * one conversation: its holder's calls have lanes of their own, which get the session's turn when
 * the lease is granted; calls made before that wait in them. Leases that wait and the first
 * session's common writes are served by the one discipline together.
 *
 * Between two tenants of an SMTP session: RSET, and its 250 awaited. A conversation that stopped
 * half-way (its holder died, or says so), octets that nobody has read, or any other answer end the
 * connection instead, without the final dot that would send half a message; the next lease connects
 * anew, also where such octets come later. A session idle for long is asked by RSET before it is
 * given away. Sessions that carry no such dialogue are given back as they are. A tenant that keeps
 * its lease from one conversation to the next is told when others wait.
 */
import type tls from 'node:tls'
import { tlsProbeAfterIdleMs, tlsQueueCallsMax } from '../base/limits.ts'
import {
  emptyRead,
  failure,
  type LeaseEnding,
  type LeaseOptions,
  type NewOptions,
  type Outcome,
  success,
} from './api.ts'
import { ClientListener } from './client-listener.ts'
import { contextOf, type Link } from './link.ts'
import { CallQueue, type Discipline } from './queue.ts'
import {
  answerParts,
  type Holder,
  Lanes,
  type ReadCall,
  Session,
  type WriteCall,
  wouldRead,
  wouldWrite,
} from './session.ts'

/** A conversation: asked for, held, given back. */
export interface Tenancy {
  /** The only sessions that it is good for. */
  readonly group: SessionGroup
  readonly holder: Holder
  readonly id: number
  readonly lanes: Lanes
  /** `ending`: given back, when the calls made before have been answered. */
  state: 'waiting' | 'granting' | 'held' | 'ending' | 'gone'
  /** Given back before the grant, for which its calls wait: it ends when they are answered. */
  isGivenBack: boolean
  /** The session that it holds, in the states `held` and `ending`. */
  session: Session | undefined
  /** The connection that the session had at the grant: a conversation goes on on no other. */
  link: Link | undefined
  /** When it is taken back, on the clock of `performance.now()`. */
  endsAtMs: number
  /** Whether its holder is to be told that others wait: with the read that waits, or the next. */
  telling: 'never' | 'when-others-wait' | 'with-next-read' | 'told'
  /** Told once: granted, or why not. */
  readonly done: (outcome: Outcome, greeting: string) => void
}

const leaseMsDefault = 5 * 60_000
const queueFull = failure('refused', `more than ${tlsQueueCallsMax} leases wait for the session`)
const overHeld = failure('refused', 'the lease was held too long')
const givenBack = failure('refused', 'the lease was given back')
const cutOff = failure('zeroReturn', 'the connection of this lease has ended')
const othersWait = emptyRead(failure('wantRead', 'others wait for the session'))
const fifo: Discipline = { kind: 'fifo' }

/** The sessions behind one handle. */
export class SessionGroup {
  readonly options: NewOptions
  readonly sessions: Session[] = []
  /** Where the server sessions of this group wait for clients. */
  listener: ClientListener | undefined
  /** Octets came for which nobody waits. */
  onUnclaimed: () => void = () => undefined
  leasesGranted = 0
  #sessionsMax: number
  readonly #discipline: Discipline
  readonly #mayAdd: () => boolean
  readonly #waiting: CallQueue<Tenancy>
  readonly #held = new Map<Session, Tenancy>()
  #context: tls.SecureContext | undefined
  #isClosed = false
  #isGranting = false
  #timer: NodeJS.Timeout | undefined

  /** @param mayAdd asked before a further connection to the same target is made. */
  constructor(options: NewOptions, discipline: Discipline, mayAdd: () => boolean = () => true) {
    this.options = options
    this.#sessionsMax = options.sessions ?? 1
    this.#discipline = discipline
    this.#mayAdd = mayAdd
    this.#waiting = new CallQueue(discipline, tlsQueueCallsMax)
    this.#add()
  }

  /** The session that calls without a lease use. */
  get first(): Session {
    return this.sessions[0] ?? this.#add()
  }

  /** Leases that wait. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Leases held now. */
  get leased(): number {
    return this.#held.size
  }

  /** Octets have come that are no tenant's, and nobody has read them. */
  get hasUnclaimed(): boolean {
    return this.first.pending > 0 && this.#isCommon(this.first)
  }

  /** When it was last used, on the clock of `performance.now()`. */
  get usedAtMs(): number {
    if (this.#held.size > 0 || this.#waiting.size > 0) return performance.now()
    return Math.max(...this.sessions.map((session) => session.usedAtMs))
  }

  /** Nobody's, and its peer has closed: nothing is left to read, and it is no server's. */
  get isOver(): boolean {
    if (this.#held.size > 0 || this.#waiting.size > 0 || this.listener !== undefined) return false
    const { sessions } = this
    const isOpen = sessions.some((one) => one.isOpen || one.isOpening || one.pending > 0)
    return !isOpen && sessions.some((one) => one.handshakes > 0)
  }

  /** Opens the local endpoint of server sessions. @returns its port; 0 where there is none. */
  async listen(): Promise<number> {
    if (this.options.listen === undefined) return 0
    this.listener = await ClientListener.open(this.options)
    return this.listener.port
  }

  /** Whoever shares the name may have as many connections behind it as the one who wants most. */
  raise(sessionsMax: number): void {
    this.#sessionsMax = Math.max(this.#sessionsMax, sessionsMax)
  }

  /** Connects the first session. */
  connect(): Promise<Outcome> {
    return this.#open(this.first)
  }

  /** Waits for a client. */
  accept(): Promise<Outcome> {
    if (this.listener === undefined) {
      return Promise.resolve(failure('syscall', 'the session was made without `listen`'))
    }
    return this.first.accept(this.listener)
  }

  /** Asks for a session: `done` is told when it is granted. Calls may use the lanes at once. */
  lease(
    holder: Holder,
    id: number,
    { priority = 0, yields = false }: LeaseOptions,
    done: (outcome: Outcome, greeting: string) => void,
  ): Tenancy {
    const lanes = new Lanes(fifo)
    const tenancy: Tenancy = {
      group: this,
      holder,
      id,
      lanes,
      state: 'waiting',
      isGivenBack: false,
      session: undefined,
      link: undefined,
      endsAtMs: 0,
      telling: yields ? 'when-others-wait' : 'never',
      done,
    }
    if (!this.#waiting.push(tenancy, priority, performance.now())) this.#refuse(tenancy, queueFull)
    else this.#grantNext()
    return tenancy
  }

  /** Takes a lease back. */
  release(tenancy: Tenancy, ending: LeaseEnding): void {
    const { state, session } = tenancy
    if (state === 'gone') return
    if (session === undefined && ending === 'finished' && !tenancy.lanes.isEmpty) {
      tenancy.isGivenBack = true
    } else if (session === undefined) {
      this.#waiting.remove((waiting) => waiting === tenancy)
      this.#refuse(tenancy, givenBack)
    } else if (ending === 'broken') this.#takeBack(tenancy, session, true)
    else {
      tenancy.state = 'ending'
      if (ending === 'cancelled') tenancy.lanes.answerReaders(givenBack)
      this.#onSettled(session)
    }
  }

  /** Takes a write of a tenant, or of nobody in particular. */
  write(tenancy: Tenancy | undefined, call: WriteCall, priority: number, wait: boolean): void {
    const lanes = tenancy?.lanes ?? this.first.commonLanes
    const session = tenancy === undefined ? this.first : tenancy.session
    const fault = faultOfTenancy(tenancy)
    if (fault !== undefined) answerParts(call, fault)
    else if (session !== undefined) session.write(lanes, call, priority, wait)
    else if (!wait) answerParts(call, wouldWrite)
    else if (!lanes.writers.push(call, priority, 0)) answerParts(call, queueFull)
  }

  /** Takes a read of a tenant, or of nobody in particular. */
  read(tenancy: Tenancy | undefined, call: ReadCall, priority: number, wait: boolean): void {
    const lanes = tenancy?.lanes ?? this.first.commonLanes
    const session = tenancy === undefined ? this.first : tenancy.session
    const fault = faultOfTenancy(tenancy)
    if (fault !== undefined) call.done(emptyRead(fault))
    else if (tenancy?.telling === 'with-next-read' && session?.pending === 0) {
      tenancy.telling = 'told'
      call.done(othersWait)
    } else if (session !== undefined) session.read(lanes, call, priority, wait)
    else if (!wait) call.done(wouldRead)
    else if (!lanes.readers.push(call, priority, 0)) call.done(emptyRead(queueFull))
  }

  /** Forgets a holder that is gone: its calls, its waiting leases, and what it holds. */
  forget(holder: Holder): void {
    for (const session of this.sessions) session.forget(holder)
    for (const tenancy of this.#waiting.remove((waiting) => waiting.holder === holder)) {
      this.#refuse(tenancy, givenBack)
    }
    for (const tenancy of [...this.#held.values()]) {
      if (tenancy.holder === holder) this.release(tenancy, 'broken')
    }
  }

  /** Closes the sessions that nobody has used since `sinceMs`; they come back when leased. */
  closeIdle(sinceMs: number): void {
    for (const session of this.sessions) {
      const isFree = session.isFreeFor(this.#waiting) && session.isSettled
      if (session.isOpen && isFree && session.usedAtMs < sinceMs) void this.#retire(session)
    }
  }

  /** Ends the connections with close-notify (and QUIT); `connect` or a lease opens them again. */
  async shutdown(): Promise<void> {
    await Promise.all(this.sessions.map((session) => this.#end(session)))
  }

  /** Ends everything, with close-notify (and QUIT). */
  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.listener?.close()
    for (const tenancy of this.#waiting.remove(() => true)) this.#refuse(tenancy, givenBack)
    for (const tenancy of this.#held.values()) if (isHeld(tenancy)) tenancy.state = 'gone'
    await Promise.all(this.sessions.map((session) => this.#end(session)))
  }

  /** QUIT in the midst of a write would stand in the message, and what waits behind it follow. */
  #end(session: Session): Promise<void> {
    return this.#speaksSmtp && session.isWriting ? session.destroy() : session.close()
  }

  /** Neither leased nor between two tenants. */
  #isCommon(session: Session): boolean {
    return session.turn === session.commonLanes && !this.#held.has(session)
  }

  #add(): Session {
    const session: Session = new Session(this.options, this.#discipline, {
      onUnclaimed: () => {
        if (this.#isCommon(session)) this.onUnclaimed()
      },
      onFree: () => this.#grantNext(),
      onSettled: () => this.#onSettled(session),
    })
    this.sessions.push(session)
    return session
  }

  #open(session: Session): Promise<Outcome> {
    try {
      return session.open(() => {
        this.#context ??= contextOf(this.options)
        return this.#context
      })
    } catch (error) {
      return Promise.resolve(failure('ssl', String(error)))
    }
  }

  /** Gives free sessions to the leases that wait, in their order. */
  #grantNext(): void {
    const isInside = this.#isGranting
    this.#isGranting = true
    while (this.#waiting.size > 0 && !this.#isClosed) {
      const session = this.#freeSession()
      const tenancy = session === undefined ? undefined : this.#waiting.shift()
      if (session === undefined || tenancy === undefined) break
      this.#held.set(session, tenancy)
      this.#grant(session, tenancy)
    }
    this.#isGranting = isInside
    if (this.#waiting.size > 0) this.#tellHolders()
  }

  /** Those who would keep their session learn that it is wanted. */
  #tellHolders(): void {
    for (const tenancy of this.#held.values()) {
      // One that ends is given back as it is; the read that it waits for is still its own.
      if (tenancy.telling !== 'when-others-wait' || tenancy.state === 'ending') continue
      const reading = tenancy.session === undefined ? undefined : tenancy.lanes.readers.shift()
      tenancy.telling = reading === undefined ? 'with-next-read' : 'told'
      reading?.done(othersWait)
    }
  }

  #freeSession(): Session | undefined {
    let closed: Session | undefined
    for (const session of this.sessions) {
      if (session.isOpening || !session.isFreeFor(this.#waiting)) continue
      if (session.isOpen) return session
      closed ??= session
    }
    if (closed !== undefined) return closed
    return this.sessions.length < this.#sessionsMax && this.#mayAdd() ? this.#add() : undefined
  }

  #grant(session: Session, tenancy: Tenancy): void {
    tenancy.state = 'granting'
    const isStale = performance.now() - session.usedAtMs > tlsProbeAfterIdleMs
    // What its peer has said since the last tenant would answer the next one's first command.
    const mustAsk = this.#speaksSmtp && (isStale || session.pending > 0)
    if (session.isOpen && !mustAsk) this.#settle(session, tenancy)
    else void this.#prepare(session, tenancy)
  }

  /** Asks a session that was idle for long, and opens one that is not open. */
  async #prepare(session: Session, tenancy: Tenancy): Promise<void> {
    session.setTurn(session.noLanes)
    if (session.isOpen) await this.#reset(session)
    const outcome = session.isOpen ? success : await this.#openFor(session)
    if (outcome.code === 'none' && tenancy.state === 'granting') {
      this.#settle(session, tenancy)
      return
    }
    this.#held.delete(session)
    if (tenancy.state === 'granting') this.#refuse(tenancy, outcome)
    this.#giveAway(session)
  }

  #settle(session: Session, tenancy: Tenancy): void {
    this.leasesGranted++
    tenancy.state = 'held'
    tenancy.session = session
    tenancy.link = session.link
    const leaseMs = this.options.leaseMs ?? leaseMsDefault
    tenancy.endsAtMs = performance.now() + leaseMs
    // One timer for all leases of the group: they last equally long, and most end before it.
    this.#timer ??= setTimeout(() => this.#endOverheld(), leaseMs).unref()
    tenancy.done(success, session.link?.agreement.greeting ?? '')
    session.setTurn(tenancy.lanes)
    if (tenancy.isGivenBack) this.release(tenancy, 'finished')
  }

  #endOverheld(): void {
    const nowMs = performance.now()
    for (const tenancy of [...this.#held.values()]) {
      if (!isHeld(tenancy) || tenancy.endsAtMs > nowMs) continue
      tenancy.lanes.answerAll(overHeld)
      this.release(tenancy, 'broken')
    }
    // Those granted meanwhile end later than any other.
    const ends = [...this.#held.values()].filter(isHeld).map(({ endsAtMs }) => endsAtMs)
    this.#timer =
      ends.length === 0 || this.#isClosed
        ? undefined
        : setTimeout(() => this.#endOverheld(), Math.min(...ends) - nowMs + 1).unref()
  }

  #openFor(session: Session): Promise<Outcome> {
    // Closed while a session was asked by RSET: none is opened that nobody would end.
    if (this.#isClosed) return Promise.resolve(givenBack)
    return this.listener === undefined
      ? this.#open(session)
      : Promise.resolve(failure('syscall', 'no client is connected'))
  }

  #onSettled(session: Session): void {
    const tenancy = this.#held.get(session)
    if (tenancy?.state === 'ending' && session.isSettled) this.#takeBack(tenancy, session, false)
  }

  #takeBack(tenancy: Tenancy, session: Session, isBroken: boolean): void {
    if (tenancy.state === 'gone') return
    tenancy.state = 'gone'
    const isHalfWritten = isBroken && session.isWriting
    tenancy.lanes.answerAll(givenBack)
    this.#held.delete(session)
    const mustAsk = session.isOpen && this.#speaksSmtp && tenancy.lanes.hasWritten
    if (mustAsk || (session.isOpen && isHalfWritten)) {
      session.setTurn(session.noLanes)
      void this.#turnOver(session, mustAsk && !isBroken && session.pending === 0)
    } else if (this.#isGranting) {
      // Granted, served and over in one go: a long row of such leases must not grow the stack.
      session.setTurn(session.noLanes)
      queueMicrotask(() => this.#giveAway(session))
    } else this.#giveAway(session)
  }

  /** Makes a session fit for the next tenant, by RSET where that may help, else by its end. */
  async #turnOver(session: Session, mayAsk: boolean): Promise<void> {
    if (mayAsk) await this.#reset(session)
    else await session.destroy()
    this.#giveAway(session)
  }

  /** RSET, or the end of the connection where its answer is not 250. */
  async #reset(session: Session): Promise<void> {
    if ((await session.ask('RSET')) !== 250) await session.destroy()
  }

  async #retire(session: Session): Promise<void> {
    session.setTurn(session.noLanes)
    await session.close()
    this.#giveAway(session)
  }

  /** Puts a session into common use; a lease that comes first takes it. */
  #giveAway(session: Session): void {
    session.setTurn(session.commonLanes)
    this.#grantNext()
  }

  #refuse(tenancy: Tenancy, outcome: Outcome): void {
    tenancy.state = 'gone'
    tenancy.lanes.answerAll(outcome)
    tenancy.done(outcome, '')
  }

  get #speaksSmtp(): boolean {
    return this.options.starttls === 'smtp' || this.options.conversation === 'smtp'
  }
}

function isHeld({ state }: Tenancy): boolean {
  return state === 'held' || state === 'ending'
}

/** Why the calls of a tenant are served no more; undefined while they are. */
function faultOfTenancy(tenancy: Tenancy | undefined): Outcome | undefined {
  if (tenancy?.state === 'gone') return givenBack
  return tenancy?.session?.link === tenancy?.link ? undefined : cutOff
}
