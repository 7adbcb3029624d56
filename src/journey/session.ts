/**
 * Session: the state of one connection, and of its transaction and message. No behaviour: the
 * stages (1-connect.ts … 6-transfer.ts) change it, journey.ts owns it.
 */
import type { Finding, Layer } from '../checks/finding.ts'
import type { BodyRewriter } from '../smtp/body-rewriter.ts'
import type { CompiledPolicy } from './policy.ts'
import type { Ports } from './ports.ts'

/** Who is at the other end; the engine's Peer is one. */
export interface Client {
  /** Text form; an IPv4-mapped IPv6 address is given as IPv4. */
  readonly address: string
  readonly port: number
  /** In a trusted network. */
  readonly isTrusted: boolean
  /** Verdict class of the blacklist where its action let the client pass (observe), else 0. */
  readonly verdictClass: number
  /** The client spoke before the greeting and policy let it pass. */
  readonly isEarlyTalker: boolean
  /** When it was accepted, on the clock of `nowMs`. */
  readonly acceptedAtMs: number
}

/** What the client's octets are read as. `nothing`: they are dropped, we are closing. */
export type Reading = 'commands' | 'data' | 'chunk' | 'nothing'

/** What the next command waits for; the mailhost's recipient replies are counted apart. */
export type Waiting = 'nothing' | 'trust' | 'verdict' | 'delivery' | 'tls'

/** A refusal, as it will be replied and recorded. */
export interface Refusal {
  readonly layer: Layer
  readonly finding: string
  readonly action: 'refuse' | 'tempfail'
  /** With CRLF. */
  readonly reply: string
  /** What the mailhost said where the refusal is its own, else ''. */
  readonly mailhostReply: string
  readonly evidence: readonly string[]
  /** The connection is closed behind the reply. */
  readonly closes: boolean
}

/** From MAIL to its one conclusion. */
export interface Transaction {
  /** '' until somebody must name it. */
  id: string
  readonly startedAtMs: number
  /** Mailbox as written, '' for the null sender. */
  readonly sender: string
  readonly mailArguments: string
  readonly isUtf8: boolean
  /** TransferPort.begin has been called. */
  isBegun: boolean
  isWhitelisted: boolean
  /** MAIL's reply waits for the tests (`tests.at = "mail"`). */
  owesMailReply: boolean
  tests: 'unasked' | 'asked' | 'provisional' | 'known'
  /** First permitted recipient that is not exempt: the tests are about it. */
  testedRecipient: string
  /** What call-ahead refused of it; the RCPT that waited gets it. */
  recipientRefusal: Refusal | undefined
  testsRefusal: Refusal | undefined
  /** First finding that would have refused, had its mode been enforce. */
  observed: Finding | undefined
  readonly evidence: string[]
  readonly recipients: string[]
  readonly recipientsRefused: string[]
  /** Offered to the mailhost, not answered yet; oldest first. */
  readonly recipientsOffered: string[]
  /** What the conclusion will say if the transaction ends without a message. */
  refusal: Refusal | undefined
  message: Message | undefined
  /** SIZE as stated, 0 when not. */
  readonly statedOctets: number
}

/**
 * What becomes of a message's octets: collected, waiting for the mailhost's 354, passed, dropped.
 */
export type MessagePhase = 'header' | 'opening' | 'streaming' | 'dropping'

/** From DATA, or the first BDAT, to the end of data. */
export interface Message {
  phase: MessagePhase
  readonly isChunked: boolean
  /** Message octets received, without the final dot line. */
  octets: number
  /** More than this, received while dropping, closes the connection. */
  dropOctetsMax: number
  scanState: number
  /** Our Received field, the header, and what came behind it before the mailhost's 354. */
  stash: Uint8Array
  stashOctets: number
  /** Where the client's header begins in the stash: behind our Received field. */
  readonly headerStart: number
  /** The client has sent the final dot, or all of the last chunk. */
  hasEnded: boolean
  rewriter: BodyRewriter | undefined
  refusal: Refusal | undefined
}

/** One connection. Fields stand in the order in which the stages use them. */
export class Session {
  readonly compiled: CompiledPolicy
  readonly ports: Ports
  readonly client: Client

  reading: Reading = 'commands'
  waiting: Waiting = 'nothing'
  /** Since when a question or the mailhost has been waited for. */
  waitingSinceMs = 0

  isTrusted: boolean
  trust: 'unasked' | 'asked' | 'known' = 'unasked'
  helo = ''
  isEsmtp = false
  /** The EHLO keywords that this client was told; empty after HELO. */
  offered: ReadonlySet<string> = noKeywords
  tls = ''

  transaction: Transaction | undefined
  /** Octets of the BDAT chunk still to come, and whether it is the last. */
  chunkOctetsLeft = 0
  chunkOctets = 0
  chunkIsLast = false
  /** The reply that a chunk gets which belongs to no transaction. */
  chunkRefusal = ''

  /** Input that waits for its turn. */
  held: Uint8Array | undefined
  /** Octets of an over-long line dropped so far, 0 outside one. */
  lineOctetsDropped = 0
  isDroppedLineAfterCr = false
  /** The chunk being read is the engine's: its ranges may be forwarded. */
  isChunkLive = false
  /** The client takes no replies for now. */
  isClogged = false
  /** The mailhost takes no body for now. */
  isTransferFull = false
  isPaused = false
  /** The client will send no more. */
  hasInputEnded = false
  isStopping = false
  isGone = false

  errors = 0
  junkCommands = 0
  commands = 0
  /** Verdict records written. */
  conclusions = 0
  transactions = 0
  hasIllegalPipelining = false
  /** What the connection's observed findings were, told in each verdict. */
  observed: Finding | undefined

  idleSinceMs: number
  lineSinceMs = 0
  /** Start of the current minute of the data rate, and the message's octets then. */
  rateSinceMs = 0
  rateOctets = 0
  /** When the deadline fires that the client port holds, 0 = none. */
  armedUntilMs = 0

  constructor(compiled: CompiledPolicy, ports: Ports, client: Client) {
    this.compiled = compiled
    this.ports = ports
    this.client = client
    this.isTrusted = client.isTrusted
    this.idleSinceMs = client.acceptedAtMs
  }
}

const noKeywords: ReadonlySet<string> = new Set()
