/**
 * Link: one SMTP client session to a mailhost. RFC 5321 §4.1, §4.5.3.2; RFC 2920.
 *
 * Octets and events come in from the engine, commands go out to it; no socket, no timer here. The
 * pool owns the link; while a transaction uses it, its tenant hears the replies.
 *
 *     connecting ─▶ greeting ─▶ hello ─▶ ready ◀─▶ leased        any ─▶ closed
 *
 * Invariants: replies are matched to commands in order; a reply that arrives before its command was
 * sent, or with octets behind the last one that is due, is a fault of the mailhost and ends the
 * link, so no early 250 is ever taken for the answer to a final dot. Every link ends in exactly one
 * `onLinkClosed`, and a tenant that holds it then hears `onLinkLost`.
 *
 * It does not decide what to do about a lost link (transfer.ts) nor how many there are (pool.ts).
 */
import { linkOpenMs, linkRefusalsMax } from '../base/limits.ts'
import type { CloseReason, ConnectionId, Engine } from '../io/engine.ts'
import { isHelloName } from '../smtp/hello-name.ts'
import type { Reply } from '../smtp/reply.ts'
import type { ReplyMemo } from '../smtp/reply-memo.ts'
import { ReplyReader } from '../smtp/reply-reader.ts'
import { keywordsOf } from './capabilities.ts'
import { type CommandKind, CommandQueue } from './command-queue.ts'
import { type Identity, identityCommand, proxyHeader } from './identity.ts'
import type { ClientIdentity, Mailhost, TransferPolicy } from './mailhost.ts'

/** The commands whose replies a tenant hears. */
export type TransactionKind = 'mail' | 'rcpt' | 'data' | 'dot'

/** The transaction that uses a link. */
export interface LinkTenant {
  onReply(kind: TransactionKind, reply: Reply): void
  onLinkDrain(): void
  /** The link is gone; `farewell` is the 421 that the mailhost said before, if it did. */
  onLinkLost(farewell: Reply | undefined): void
}

/** The pool, as a link sees it. */
export interface LinkOwner {
  /** Greeting and EHLO are done: the link may be leased. */
  onLinkReady(link: Link): void
  /** A link that was given up inside an envelope has had its replies: it may be leased again. */
  onLinkQuiet(link: Link): void
  /** Gone. Exactly once. */
  onLinkClosed(link: Link): void
  /** TLS failed a short while ago: where it is opportunistic, sessions go without. */
  readonly isWithoutTls: boolean
  /** STARTTLS was refused or the handshake failed; or TLS stands. */
  onTlsTried(isSecure: boolean): void
  /** What its mailhost says again and again. */
  readonly replies: ReplyMemo
}

type LinkState = 'connecting' | 'greeting' | 'hello' | 'ready' | 'closed'

/** One session. Created and leased by the pool of its thread. */
export class Link {
  readonly mailhost: Mailhost
  readonly id: ConnectionId
  /** The client of the PROXY header that is sent first: nobody else may use the link. */
  readonly proxyFor: Identity | undefined
  /** Set while leased. */
  tenant: LinkTenant | undefined
  /** EHLO keywords, upper case, with their parameters. */
  keywords: ReadonlyMap<string, string> = new Map()
  /** When it was last put away; the pool's clock. */
  idleSinceMs = 0
  /** It has been ready once: its end does not mean that the mailhost cannot be opened. */
  wasReady = false
  /** It ended without our will. */
  isLost = false
  /**
   * A handshake failed and plain text may follow: its end says nothing about the mailhost either.
   */
  mayGoPlain = false
  readonly #engine: Engine
  readonly #owner: LinkOwner
  readonly #policy: TransferPolicy
  readonly #reader: ReplyReader
  readonly #commands = new CommandQueue()
  #state: LinkState = 'connecting'
  /** What the mailhost takes with XFORWARD or XCLIENT; undefined until it is asked for. */
  #attributes: readonly string[] | undefined
  #attributesVerb = ''
  /** HELO or EHLO of the client that PROXY or XCLIENT tells of; '' = ours is said. */
  #clientName = ''
  #isSecure = false
  #mustReset = false
  #isBodyStalled = false
  #isSettling = false
  #waitsSinceMs = 0
  /** What waited to be taken at the last sweep of a wait, octets. */
  #untaken = 0
  #refusals = 0
  #transactions = 0
  #farewell: Reply | undefined

  constructor(
    engine: Engine,
    owner: LinkOwner,
    mailhost: Mailhost,
    policy: TransferPolicy,
    proxyFor: Identity | undefined,
  ) {
    this.#engine = engine
    this.#owner = owner
    this.#policy = policy
    this.#reader = new ReplyReader(owner.replies)
    this.mailhost = mailhost
    this.proxyFor = proxyFor
    this.#clientName = proxyFor?.helo ?? ''
    this.id = engine.connect(mailhost.address, mailhost.port, policy.connectWaitMs)
  }

  /** No reply is due and nothing is left to send: another tenant may take it. */
  get isQuiet(): boolean {
    return this.#state === 'ready' && this.#commands.isEmpty
  }

  /** It has seen what a session should see at most. */
  get isSpent(): boolean {
    const { transactionsPerSessionMax } = this.#policy
    const isFull = transactionsPerSessionMax > 0 && this.#transactions >= transactionsPerSessionMax
    const isWorn = isFull || (this.#policy.tls === 'opportunistic' && this.#isTlsDue)
    return isWorn || this.#refusals >= linkRefusalsMax || this.#policy.clientIdentity === 'proxy'
  }

  get isClosed(): boolean {
    return this.#state === 'closed'
  }

  /** Would the policy open it alike? Its TLS and names were decided when it was opened. */
  suits({ tls, trust, name, clientIdentity }: TransferPolicy): boolean {
    const own = this.#policy
    const isAlike = own.name === name && own.clientIdentity === clientIdentity
    return isAlike && own.tls === tls && own.trust === trust
  }

  /**
   * A new transaction begins: RSET first if the session was used before, then who the client is.
   * Nothing is sent before `flush`, but for XCLIENT, behind which EHLO is asked anew.
   */
  lease(tenant: LinkTenant, means: ClientIdentity, identity: Identity): void {
    this.tenant = tenant
    if (this.#mustReset) this.command('rset', 'RSET\r\n')
    this.#mustReset = true
    this.#transactions++
    if (means === 'xforward') this.#identify('xforward', 'XFORWARD', identity)
    if (means === 'xclient') this.#identify('xclient', 'XCLIENT', identity)
  }

  /** Gives an envelope up. Only before DATA. */
  resetEnvelope(): void {
    this.#commands.dropUnsent()
    this.command('rset', 'RSET\r\n')
    this.flush()
    this.#mustReset = false
  }

  /** The tenant is through. True: the link is free now; else `onLinkQuiet` follows. */
  unlease(): boolean {
    this.tenant = undefined
    this.#isSettling = !this.isQuiet
    return !this.#isSettling
  }

  /** Adds a command (with CRLF) to what the next `flush` sends. */
  command(kind: CommandKind, line: string): void {
    this.#commands.add(kind, line)
  }

  /** Sends what was added: at once where the mailhost pipelines, else one after each reply. */
  flush(): void {
    if (this.#state !== 'ready') return
    const text = this.#commands.take()
    if (text !== '') this.#engine.sendText(this.id, text)
    if (this.#commands.isAtXclient) this.#state = 'hello'
  }

  /** Message octets. False: stop until onLinkDrain. */
  body(octets: Uint8Array): boolean {
    return this.#noteStall(this.#engine.send(this.id, octets))
  }

  /** Octets [start, end) of the chunk that the engine is delivering. */
  bodyForward(start: number, end: number): boolean {
    return this.#noteStall(this.#engine.forward(this.id, start, end))
  }

  /** The final dot: the message is the mailhost's from here on. */
  endOfData(): void {
    this.#send('dot', '.\r\n')
  }

  /** A refusal was heard; `isSpent` after five of them. */
  countRefusal(): void {
    this.#refusals++
  }

  /**
   * Ends the link in good order: QUIT, close. Only between transactions. No callback but onClosed.
   */
  quit(): void {
    this.#engine.sendText(this.id, 'QUIT\r\n')
    this.#engine.close(this.id)
    this.#end()
  }

  /** Ends the link at once: the mailhost sees a reset and drops an unfinished message. */
  discard(): void {
    this.#engine.reset(this.id)
    this.#end()
  }

  /** Called by the pool every `poolSweepMs`: ends the link whose mailhost is too slow. */
  sweep(nowMs: number): void {
    const waitMs = this.#isBodyStalled
      ? this.#policy.replyWaitMs
      : this.#waitMs(this.#commands.oldest)
    if (waitMs === 0) {
      this.#waitsSinceMs = 0
      return
    }
    // A mailhost that goes on taking what was sent is slow, not silent (RFC 5321 §4.5.3.2.5).
    const untaken = this.#engine.untaken(this.id)
    const isTaking = untaken < this.#untaken
    this.#untaken = untaken
    if (this.#waitsSinceMs === 0 || isTaking) this.#waitsSinceMs = nowMs
    else if (nowMs - this.#waitsSinceMs > waitMs) this.#lose()
  }

  /** Engine: connected. */
  onConnected(): void {
    this.#state = 'greeting'
    this.#commands.expect('greeting')
    if (this.#policy.clientIdentity === 'proxy') {
      this.#engine.sendText(this.id, proxyHeader(this.proxyFor, this.mailhost))
    }
  }

  /** Engine: octets of the mailhost. */
  onData(chunk: Uint8Array, start: number, end: number): void {
    let at = start
    // What this chunk may answer was sent before it came: a tenant that sends in between, inside
    // onReply, cannot make an early reply look like an answer to that.
    let answerable = this.#commands.due
    while (at < end && this.#state !== 'closed') {
      if (answerable === 0) {
        this.#takeUnasked(chunk, at, end)
        return
      }
      at = this.#reader.read(chunk, at, end)
      if (this.#reader.fault !== undefined) this.#lose()
      else if (this.#reader.reply !== undefined) {
        answerable--
        this.#takeReply(this.#reader.reply)
      }
    }
  }

  /** Engine: the send backlog has fallen. */
  onDrain(): void {
    this.#isBodyStalled = false
    this.#waitsSinceMs = 0
    this.tenant?.onLinkDrain()
  }

  /** Engine: none is set; the pool's sweep watches the waits. */
  onDeadline(): void {}

  /** Engine: the mailhost will send no more. */
  onEnd(): void {
    this.#lose()
  }

  /** Engine: gone. */
  onClose(_reason: CloseReason): void {
    this.#lose()
  }

  /** A bug of ours: what the mailhost has said since is not known any more. */
  onFault(_error: unknown): void {
    this.#lose()
  }

  // Postfix XFORWARD_README: may be pipelined, before MAIL. XCLIENT_README: a 220 greeting answers
  // it.
  #identify(kind: 'xforward' | 'xclient', verb: 'XFORWARD' | 'XCLIENT', identity: Identity): void {
    if (this.#attributes === undefined || this.#attributesVerb !== verb) {
      this.#attributes = this.keywords.get(verb)?.split(' ') ?? []
      this.#attributesVerb = verb
    }
    const line = identityCommand(verb, this.#attributes, identity)
    if (line === '') return
    this.command(kind, line)
    if (kind !== 'xclient') return
    this.#clientName = identity.helo
    this.flush()
  }

  #send(kind: CommandKind, line: string): void {
    this.#commands.expect(kind)
    this.#engine.sendText(this.id, line)
  }

  #noteStall(isOpen: boolean): boolean {
    if (!isOpen) this.#isBodyStalled = true
    return isOpen
  }

  // A mailhost may say 421 whenever it likes before it closes (RFC 5321 §3.8); all else is a fault.
  #takeUnasked(chunk: Uint8Array, start: number, end: number): void {
    this.#reader.read(chunk, start, end)
    if (this.#reader.reply?.code === 421) this.#farewell = this.#reader.reply
    this.#lose()
  }

  #takeReply(reply: Reply): void {
    const kind = this.#commands.answer() ?? 'greeting'
    this.#waitsSinceMs = 0
    if (reply.code === 421) {
      this.#farewell = reply
      this.#lose()
      return
    }
    switch (kind) {
      case 'greeting':
      case 'ehlo':
      case 'helo':
      case 'xclient':
        this.#proceedHello(kind, reply)
        return
      case 'starttls':
        this.#proceedStartTls(reply)
        return
      case 'rset':
        if (reply.code >= 300) this.#lose()
        break
      case 'xforward':
        break
      default:
        if (isAnswer(kind, reply.code)) this.tenant?.onReply(kind, reply)
        else this.#lose()
    }
    this.#proceedQueue()
  }

  #proceedQueue(): void {
    this.flush()
    if (!this.#isSettling || !this.isQuiet) return
    this.#isSettling = false
    this.#owner.onLinkQuiet(this)
  }

  #proceedHello(kind: 'greeting' | 'ehlo' | 'helo' | 'xclient', reply: Reply): void {
    const isGood = reply.code >= 200 && reply.code < 300
    if (kind === 'ehlo' && !isGood && this.#clientName !== '') {
      // It is the client's name that it refuses; ours tells whether it is well.
      this.#clientName = ''
      this.#sayEhlo()
    } else if (kind === 'ehlo' && reply.code >= 500)
      this.#send('helo', `HELO ${this.#policy.name}\r\n`)
    else if (!isGood) this.#lose()
    else if (kind === 'greeting' || kind === 'xclient') this.#sayEhlo()
    else this.#becomeReady(kind === 'ehlo' ? reply : undefined)
  }

  // Behind PROXY and XCLIENT a mailhost takes EHLO for the client's: Postfix even where XCLIENT has
  // told another name.
  #sayEhlo(): void {
    this.#state = 'hello'
    if (!isHelloName(this.#clientName)) this.#clientName = ''
    this.#send('ehlo', `EHLO ${this.#clientName || this.#policy.name}\r\n`)
  }

  #becomeReady(ehlo: Reply | undefined): void {
    this.keywords = ehlo === undefined ? new Map() : keywordsOf(ehlo)
    if (!this.#asksStartTls()) this.#proceedReady()
  }

  #proceedReady(): void {
    this.#commands.isPipelining = this.keywords.has('PIPELINING')
    this.#attributes = undefined
    this.#state = 'ready'
    if (this.wasReady) this.#proceedQueue()
    else {
      this.wasReady = true
      this.#owner.onLinkReady(this)
    }
  }

  /** It is in plain text, and TLS is to be had and to be tried. */
  get #isTlsDue(): boolean {
    const { tls } = this.#policy
    if (tls === 'off' || this.#isSecure) return false
    const isOffered = this.keywords.has('STARTTLS') && this.#engine.startTls !== undefined
    return isOffered && (tls === 'required' || !this.#owner.isWithoutTls)
  }

  /**
   * RFC 3207: TLS before anything is said that matters. @returns true when readiness waits for it.
   */
  #asksStartTls(): boolean {
    // Behind XCLIENT: what the session is was decided when it was opened.
    if (this.wasReady) return false
    if (this.#isTlsDue) {
      this.#send('starttls', 'STARTTLS\r\n')
      return true
    }
    const isMissed = this.#policy.tls === 'required' && !this.#isSecure
    if (isMissed) this.#lose()
    return isMissed
  }

  #proceedStartTls(reply: Reply): void {
    const isRequired = this.#policy.tls === 'required'
    if (reply.code !== 220) {
      this.#owner.onTlsTried(false)
      // RFC 3207 §4.3: the session goes on as it was.
      if (isRequired) this.#lose()
      else this.#proceedReady()
      return
    }
    this.#engine.startTls?.(this.id, (fault) => {
      if (this.#state === 'closed') return
      this.#isSecure = fault === ''
      this.mayGoPlain = !this.#isSecure && !isRequired
      this.#owner.onTlsTried(this.#isSecure)
      if (this.#isSecure) this.#sayEhlo()
      else this.#lose()
    })
  }

  #lose(): void {
    if (this.#state === 'closed') return
    this.isLost = true
    this.#engine.reset(this.id)
    const { tenant } = this
    this.#end()
    tenant?.onLinkLost(this.#farewell)
  }

  #waitMs(kind: CommandKind | undefined): number {
    if (kind === undefined) return 0
    if (kind === 'dot') return this.#policy.finalReplyWaitMs
    return this.wasReady ? this.#policy.replyWaitMs : linkOpenMs
  }

  #end(): void {
    this.#state = 'closed'
    this.tenant = undefined
    this.#commands.clear()
    this.#owner.onLinkClosed(this)
  }
}

/** MAIL, RCPT and the final dot are answered by 2, 4 or 5; DATA by 354, 4 or 5. RFC 5321 §4.3.2. */
function isAnswer(kind: TransactionKind, code: number): boolean {
  if (code >= 400) return true
  return kind === 'data' ? code === 354 : code < 300
}
