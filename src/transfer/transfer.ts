/**
 * Transfer: one client's way to the mailhost; implements the journey's TransferPort.
 *
 * It keeps the envelope, so that a session can be given up and taken again at any time before DATA:
 * the recipients that the client was told are accepted are then offered once more, together with
 * what is new, in one segment. From DATA on the session is fixed; if it is lost there, the answer
 * is 451.
 *
 *     envelope ─▶ data ─▶ body ─▶ dot ─▶ (next envelope)          body ─▶ lost
 *
 * Invariants: the mailhost's 250 to the final dot is the only source of a good delivery reply; the
 * final dot is sent by `endOfData` alone; recipients are answered in the order in which they were
 * offered; no answer is given inside a method of the port (`onDeferred` brings those of our own).
 *
 * It does not retry a message: what was lost inside it is the client's to send again (RFC 5321
 * §4.2.5).
 */
import { linkAttemptsMax } from '../base/limits.ts'
import type { ConnectionId, Peer } from '../io/engine.ts'
import type { Journey } from '../journey/journey.ts'
import type { TransferPort } from '../journey/ports.ts'
import type { Reply } from '../smtp/reply.ts'
import { replyText } from '../smtp/reply-text.ts'
import { takesParameters } from './capabilities.ts'
import type { PoolTenant } from './host.ts'
import type { Identity } from './identity.ts'
import type { Link, TransactionKind } from './link.ts'
import { isSameRoute, type Mailhost, type Route, routeOf, transferReplies } from './mailhost.ts'
import type { Pool } from './pool.ts'

/** Hears the answers: the journey. */
export type TransferListener = Pick<
  Journey,
  'onRecipientReply' | 'onDataReply' | 'onDeliveryReply' | 'onTransferDrain' | 'onLinkLost'
>

/** What a transfer needs of its thread. */
export interface TransferPlace {
  readonly pool: Pool
  /** The moment of the running event, as the journey's `nowMs`. */
  now(): number
  /** Does somebody watch this client? Then `watch` is told what is said for it. */
  isTraced(client: string): boolean
  watch(client: Identity, from: 'proxy' | 'mailhost', text: string): void
  /**
   * Calls `transfer.onDeferred` soon, but not before the running method of the journey is through.
   */
  defer(transfer: Transfer): void
}

/** A recipient of the envelope. */
interface Offer {
  /** `RCPT TO:… CRLF` */
  readonly line: string
  reply: Reply | undefined
}

type Phase = 'envelope' | 'data' | 'body' | 'dot' | 'lost'

const noOffers: Offer[] = []

/** The transfer of one client connection, for all its transactions. */
export class Transfer implements TransferPort, PoolTenant {
  identity: Identity
  route: Route
  /** The mailhost that this transaction's session leads to. */
  mailhost: Mailhost | undefined
  readonly #place: TransferPlace
  readonly #listener: TransferListener
  #phase: Phase = 'envelope'
  #mail = ''
  #offers = noOffers
  /** Offers that the client has been answered; those behind are owed. */
  #told = 0
  /** Offers sent in this session and not answered by it yet. */
  #sent: Offer[] = []
  #link: Link | undefined
  #isWaiting = false
  #isParked = false
  #wantsData = false
  #attempts = 0
  /**
   * Set when the mailhost refused MAIL, or refuses now what it took before: the envelope is dead.
   */
  #doom: Reply | undefined
  #dataAnswer: Reply | undefined
  #deliveryAnswer: Reply | undefined

  constructor(place: TransferPlace, peer: Peer, listener: TransferListener) {
    this.#place = place
    this.#listener = listener
    this.route = place.pool.policy.route
    const { address, port, localAddress, localPort } = peer
    this.identity = { address, port, localAddress, localPort, helo: '', protocol: 'SMTP' }
  }

  begin(mailArguments: string, helo: string, protocol: string): void {
    if (this.#mail !== '') this.abandon()
    this.mailhost = undefined
    this.#mail = mailArguments
    // The same object for the same client: what a PROXY connection was opened for.
    if (helo !== this.identity.helo || protocol !== this.identity.protocol) {
      this.identity = { ...this.identity, helo, protocol }
    }
  }

  recipient(recipientArguments: string, domain: string): void {
    const route = routeOf(this.#place.pool.policy, domain)
    const isFirst = this.#offers.length === 0
    if (isFirst) {
      this.#offers = []
      this.route = route
    }
    const offer: Offer = { line: `RCPT TO:${recipientArguments}\r\n`, reply: undefined }
    this.#offers.push(offer)
    if (this.#doom !== undefined) this.#answer(offer, this.#doom)
    else if (!isSameRoute(route, this.route)) this.#answer(offer, transferReplies.otherRoute)
    else if (this.#link === undefined) this.#wantLink()
    else if (!takesParameters(this.#link.keywords, recipientArguments)) {
      this.#answer(offer, transferReplies.changed)
    } else this.#send(this.#link, offer)
  }

  release(): void {
    // Whom the journey has answered itself is offered no more.
    this.#offers.length = this.#told
    this.#giveLinkBack()
  }

  data(): void {
    this.#wantsData = true
    if (this.#doom !== undefined) this.#answerData(this.#doom)
    else if (this.#link === undefined) this.#wantLink()
    else if (this.#sent.length === 0) this.#sendData(this.#link)
  }

  body(octets: Uint8Array): boolean {
    return this.#phase === 'body' && this.#link !== undefined ? this.#link.body(octets) : true
  }

  bodyForward(start: number, end: number): boolean {
    if (this.#phase !== 'body' || this.#link === undefined) return true
    return this.#link.bodyForward(start, end)
  }

  /** Where message octets go now. */
  get bodyLink(): ConnectionId | undefined {
    return this.#phase === 'body' ? this.#link?.id : undefined
  }

  endOfData(): void {
    if (this.#phase === 'body' && this.#link !== undefined) {
      this.#phase = 'dot'
      this.#link.endOfData()
      this.#watch('proxy', '.')
      return
    }
    this.#deliveryAnswer = transferReplies.lost
    this.#place.defer(this)
  }

  abandon(): void {
    this.#stopWaiting()
    const phase = this.#phase
    const link = this.#takeLink()
    this.#reset()
    if (link === undefined) return
    if (phase === 'data' || phase === 'body') {
      link.discard()
      return
    }
    if (phase === 'envelope') link.resetEnvelope()
    this.#place.pool.release(link)
  }

  /** Pool: a session. The envelope goes out as far as it is known, in one segment. */
  onLink(link: Link): void {
    this.#isWaiting = false
    this.#link = link
    this.mailhost = link.mailhost
    this.#phase = 'envelope'
    const offers = this.#offers.filter(({ reply }) => reply === undefined || isGood(reply))
    if (!this.#isTakenBy(link, offers)) {
      this.#refuseEnvelope()
      return
    }
    this.#command(link, 'mail', `MAIL FROM:${this.#mail}\r\n`)
    this.#sent = offers
    for (const offer of this.#sent) this.#command(link, 'rcpt', offer.line)
    link.flush()
  }

  /** Pool: no session in time, or every mailhost is away. */
  onNoLink(reply: Reply): void {
    this.#isWaiting = false
    this.#fail(reply)
  }

  /** Pool: somebody else needed the parked session. */
  onLinkTaken(): void {
    this.#link = undefined
    this.#isParked = false
  }

  onReply(kind: TransactionKind, reply: Reply): void {
    if (reply.code >= 400) this.#link?.countRefusal()
    if (this.#place.isTraced(this.identity.address)) this.#watch('mailhost', replyText(reply))
    switch (kind) {
      case 'mail':
        if (reply.code >= 400) this.#doom = reply
        break
      case 'rcpt':
        this.#onRecipientReply(reply)
        break
      case 'data':
        this.#onDataReply(reply)
        break
      case 'dot':
        this.#onDeliveryReply(reply)
        break
    }
  }

  onLinkDrain(): void {
    this.#listener.onTransferDrain(this.#place.now())
  }

  onLinkLost(farewell: Reply | undefined): void {
    const phase = this.#phase
    const reply = farewell === undefined ? transferReplies.lost : { ...farewell, code: 451 }
    this.#takeLink()
    if (phase === 'body') {
      this.#phase = 'lost'
      this.#listener.onLinkLost(this.#place.now())
    } else if (phase === 'dot') this.#concludeDelivery(reply)
    else this.#retry(reply)
  }

  /** Gives the answers that are not the mailhost's. */
  onDeferred(): void {
    this.#tell()
    const data = this.#dataAnswer
    this.#dataAnswer = undefined
    if (data !== undefined) this.#listener.onDataReply(data, this.#place.now())
    const delivery = this.#deliveryAnswer
    this.#deliveryAnswer = undefined
    if (delivery !== undefined) this.#concludeDelivery(delivery)
  }

  #onRecipientReply(reply: Reply): void {
    const offer = this.#sent.shift()
    if (offer === undefined) return
    if (offer.reply === undefined) offer.reply = this.#doom ?? reply
    else if (!isGood(reply)) this.#doom ??= transferReplies.changed
    if (this.#sent.length === 0) this.#settleEnvelope()
    this.#tell()
  }

  // All that was sent is answered: on with DATA, or others may have the session.
  #settleEnvelope(): void {
    const link = this.#link
    if (link === undefined) return
    if (this.#doom !== undefined) {
      this.#giveLinkBack()
      if (this.#wantsData) this.#answerData(this.#doom)
    } else if (this.#wantsData) this.#sendData(link)
    else {
      this.#isParked = true
      this.#place.pool.park(link)
    }
  }

  #onDataReply(reply: Reply): void {
    this.#wantsData = false
    if (reply.code === 354) this.#phase = 'body'
    else {
      this.#phase = 'envelope'
      this.#giveLinkBack()
    }
    this.#listener.onDataReply(reply, this.#place.now())
  }

  #onDeliveryReply(reply: Reply): void {
    const link = this.#takeLink()
    if (link !== undefined) this.#place.pool.release(link)
    this.#concludeDelivery(reply)
  }

  #concludeDelivery(reply: Reply): void {
    this.#reset()
    this.#listener.onDeliveryReply(reply, this.#place.now())
  }

  // What the client was told is offered may be another mailhost's, or this one's of before.
  #isTakenBy({ keywords }: Link, offers: readonly Offer[]): boolean {
    const isTaken = (argument: string): boolean => takesParameters(keywords, argument)
    return isTaken(this.#mail) && offers.every(({ line }) => isTaken(line))
  }

  /** The mailhost would refuse for good what was no fault of the client. */
  #refuseEnvelope(): void {
    this.#doom = transferReplies.changed
    this.#giveLinkBack()
    this.#refuseOwed(this.#doom)
    if (this.#wantsData) this.#answerData(this.#doom)
    this.#place.defer(this)
  }

  #command(link: Link, kind: TransactionKind, line: string): void {
    link.command(kind, line)
    this.#watch('proxy', line)
  }

  #watch(from: 'proxy' | 'mailhost', text: string): void {
    if (this.#place.isTraced(this.identity.address)) this.#place.watch(this.identity, from, text)
  }

  #send(link: Link, offer: Offer): void {
    this.#unpark(link)
    this.#sent.push(offer)
    this.#command(link, 'rcpt', offer.line)
    link.flush()
  }

  #sendData(link: Link): void {
    this.#unpark(link)
    this.#phase = 'data'
    this.#command(link, 'data', 'DATA\r\n')
    link.flush()
  }

  #wantLink(): void {
    if (this.#isWaiting) return
    this.#isWaiting = true
    if (this.#place.pool.acquire(this)) return
    this.#isWaiting = false
    this.#refuseOwed(transferReplies.away)
    if (this.#wantsData) this.#answerData(transferReplies.away)
    this.#place.defer(this)
  }

  #retry(reply: Reply): void {
    this.#phase = 'envelope'
    const isOwing = this.#wantsData || this.#told < this.#offers.length
    this.#doom = undefined
    if (!isOwing) return
    if (++this.#attempts < linkAttemptsMax) this.#wantLink()
    else this.#fail(reply)
  }

  #fail(reply: Reply): void {
    this.#refuseOwed(reply)
    const wantsData = this.#wantsData
    this.#wantsData = false
    this.#tell()
    if (wantsData) this.#listener.onDataReply(reply, this.#place.now())
  }

  #refuseOwed(reply: Reply): void {
    for (const offer of this.#offers) offer.reply ??= reply
  }

  // The listener may go on, or give the envelope up, inside each answer.
  #tell(): void {
    for (;;) {
      const reply = this.#offers[this.#told]?.reply
      if (reply === undefined) return
      this.#told++
      this.#listener.onRecipientReply(reply, this.#place.now())
    }
  }

  #answer(offer: Offer, reply: Reply): void {
    offer.reply = reply
    this.#place.defer(this)
  }

  #answerData(reply: Reply): void {
    this.#wantsData = false
    this.#dataAnswer = reply
    this.#place.defer(this)
  }

  #giveLinkBack(): void {
    const link = this.#takeLink()
    if (link === undefined) this.#stopWaiting()
    else {
      link.resetEnvelope()
      this.#place.pool.release(link)
    }
  }

  #takeLink(): Link | undefined {
    const link = this.#link
    if (link !== undefined) this.#unpark(link)
    this.#link = undefined
    this.#sent = []
    return link
  }

  #unpark(link: Link): void {
    if (this.#isParked) this.#place.pool.unpark(link)
    this.#isParked = false
  }

  #stopWaiting(): void {
    if (this.#isWaiting) this.#place.pool.cancel(this)
    this.#isWaiting = false
  }

  #reset(): void {
    this.#phase = 'envelope'
    this.#mail = ''
    this.#offers = noOffers
    this.#told = 0
    this.#wantsData = false
    this.#attempts = 0
    this.#doom = undefined
    this.#dataAnswer = undefined
    this.#deliveryAnswer = undefined
  }
}

function isGood(reply: Reply): boolean {
  return reply.code < 300
}
