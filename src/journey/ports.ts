/**
 * The journey's ports: everything it may ask of the world, and nothing else.
 *
 * The journey is pure: no socket, no clock, no await. Octets, replies, answers and deadlines come
 * in through its methods (journey.ts); effects go out through one Ports object per connection,
 * which src/edge/ implements over the engine, the transfer, the probe broker and the log, and which
 * the tests implement in memory. A port never calls back into the journey before it has returned.
 */
import type { Finding } from '../checks/finding.ts'
import type { Reply } from '../smtp/reply.ts'
import type { VerdictRecord } from './record.ts'

/** The client's side of the connection. */
export interface ClientPort {
  /**
   * Queues reply text (CRLF included). False: the client does not take its replies; the journey
   * executes no further command until onDrain.
   */
  reply(text: string): boolean
  /** Stops and restarts reading from the client. */
  pause(): void
  resume(): void
  /**
   * The message's next octets may go on to the mailhost unseen, as long as they are plain and not
   * more than `octetsMax`; the scan stands at `scanState`, and what came before it has been sent.
   * What went by is told by onPassed, before any other event. Nothing may come of it: then all
   * octets come as ever. Only while octets are being taken, all of which are handled.
   */
  passBody(scanState: number, octetsMax: number): void
  /** The client must send or take something within this time, else `onDeadline`; 0 = none. */
  deadline(afterMs: number): void
  /** Closes after what is queued has been sent. `isDone`: nothing more is expected of it. */
  close(isDone?: boolean): void
  /**
   * Hands the connection to TLS after the queued 220; the journey goes on with the plaintext. The
   * deadline is gone.
   */
  startTls(): void
}

/**
 * The mailhost's side. All answers come back through the journey's on… methods, in order.
 *
 * Every recipient(), data() and endOfData() is answered exactly once, by the mailhost's reply or,
 * on any trouble, by one of the transfer's own (451 4.4.1, 451 4.3.2, …); nothing comes after
 * abandon(). A link lost inside the message, while no answer is owed, is told by onLinkLost.
 */
export interface TransferPort {
  /**
   * A new envelope: MAIL's path and parameters as to be sent. No session is taken yet, no answer.
   * `helo` and `protocol` are who the client says it is, for XFORWARD or XCLIENT; the protocol as
   * in Received: SMTP, ESMTP, ESMTPS.
   */
  begin(mailArguments: string, helo: string, protocol: string): void
  /**
   * Offers a recipient (`<path> parameters`) in the route of its domain: onRecipientReply, in
   * order; several may be under way. `domain` is lower case; '' for the bare `<postmaster>`:
   * default route.
   */
  recipient(recipientArguments: string, domain: string): void
  /**
   * Gives the session up while a question runs: RSET. The envelope is kept: the next recipient() or
   * data() takes a session again and replays it. No answer: a recipient that is owed one is
   * forgotten.
   */
  release(): void
  /** Takes a session again if it was given up, replays the envelope, sends DATA: onDataReply. */
  data(): void
  /** Message octets, dot-stuffed as on the wire. False: stop until onTransferDrain. */
  body(octets: Uint8Array): boolean
  /** Message octets [start, end) of the chunk that the client just delivered. */
  bodyForward(start: number, end: number): boolean
  /** Sends the final dot line: onDeliveryReply. Only after the client's own. */
  endOfData(): void
  /**
   * Gives envelope and session up: RSET before DATA, closed inside it. Safe in every state; no
   * answer, and those still owed never come.
   */
  abandon(): void
}

/** What the mailhosts offer, of which a client is told what we can carry. */
export interface OfferPort {
  /**
   * EHLO keywords that every mailhost offers, as asked at start and refreshed, upper case. A set is
   * never changed: a refresh that found something else gives a new one.
   */
  readonly offered: ReadonlySet<string>
  /** Octets that every mailhost takes (SIZE), 0 = not stated. */
  readonly sizeMax: number
}

/** The facts that the active tests need. */
export interface Question {
  readonly address: string
  readonly helo: string
  /** MAIL FROM's mailbox without brackets. */
  readonly sender: string
  /** First permitted recipient, or '' when the tests do not wait at RCPT. */
  readonly recipient: string
  /** The whitelist names the sender, and that counts only with proof (`whitelist.require`). */
  readonly isWhitelisted?: boolean
}

/** The questions that wait for somebody else: answered once each by the journey's onAnswer. */
export interface QuestionPort {
  /** Forward-confirmed name of the client in the trusted names: `trusted-name` finding. */
  trustedName(address: string): void
  /**
   * The active tests (dialup or relay, then user), within their budget. Where the broker finds that
   * the client is being probed right now, onDeferred comes first: RCPT is answered, DATA waits.
   */
  examine(question: Question): void
  /** The client went away: the answer is of no use here any more (it still reaches the cache). */
  forget(): void
}

/** Immediate questions to tables that lie in this thread's reach. */
export interface ListPort {
  /** Is this sender (mailbox, any case) whitelisted? */
  isWhitelisted(sender: string): boolean
  /** The names of the lists of a verdict class. */
  listsOf(verdictClass: number): readonly string[]
}

/** What the journey tells. */
export interface RecordPort {
  /** The one conclusion of a transaction or connection. */
  verdict(record: VerdictRecord): void
  /**
   * A finding worth a record of its own; one that is acted on may be fed back into the blacklist.
   */
  finding(finding: Finding, isObserved?: boolean): void
  /** An id that the reply carries and the record repeats. */
  newId(): string
  /** The wall clock, milliseconds: for what is written down, never for a wait. */
  wallMs(): number
}

/** All ports of one connection. */
export interface Ports {
  readonly client: ClientPort
  readonly transfer: TransferPort
  readonly offers: OfferPort
  readonly questions: QuestionPort
  readonly lists: ListPort
  readonly records: RecordPort
}

/** Answer to a QuestionPort question: findings in the order of the journey's steps. */
export interface Answer {
  readonly question: 'trusted-name' | 'examine'
  readonly findings: readonly Finding[]
}

/** Re-exported so that an implementation of the ports needs one import. */
export type { Finding, Reply, VerdictRecord }
