/**
 * Scene: the transfer on an engine without sockets. The test plays clients and mailhosts.
 */
import type { EngineHandler } from '../../src/io/engine.ts'
import type { Reply } from '../../src/smtp/reply.ts'
import type { Link } from '../../src/transfer/link.ts'
import type { Mailhost, TransferPolicy } from '../../src/transfer/mailhost.ts'
import { Pool } from '../../src/transfer/pool.ts'
import { SessionCap } from '../../src/transfer/session-cap.ts'
import { Transfer, type TransferListener } from '../../src/transfer/transfer.ts'
import { MemoryEngine } from '../support/memory-engine.ts'

/** What a Postfix mailhost says to EHLO. */
export const ehlo =
  '250-mailhost\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-XFORWARD NAME ADDR PORT PROTO HELO SOURCE\r\n250 8BITMIME\r\n'

/** What `Client.offers` with one recipient comes to, and what a mailhost says to it. */
export const envelope = 'MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n'
export const accepted = '250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n'

/** Two mailhosts. */
export const first: Mailhost = { address: '192.0.2.1', port: 25, slot: 0 }
export const second: Mailhost = { address: '192.0.2.2', port: 25, slot: 1 }

/** A policy with one mailhost and without client identity. */
export function policyWith(changes: Partial<TransferPolicy> = {}): TransferPolicy {
  return {
    name: 'mx.example.test',
    tls: 'off',
    trust: '',
    sessionsMax: 4,
    waitMs: 5_000,
    stressWaitMs: 1_000,
    clientIdentity: 'none',
    connectWaitMs: 3_000,
    replyWaitMs: 300_000,
    finalReplyWaitMs: 600_000,
    idleMs: 30_000,
    transactionsPerSessionMax: 100,
    retryMs: 10_000,
    route: { mailhosts: [first] },
    domainRoutes: new Map(),
    ...changes,
  }
}

/** One thread's transfer with its engine and clock. */
export class Scene {
  readonly engine = new MemoryEngine()
  readonly pool: Pool
  /** What was told of mailhosts, in order. */
  readonly told: string[] = []
  /** Connections that are to be given back as soon as they are not needed. */
  readonly wanted = new Set<number>()
  nowMs = 1_000
  readonly #links = new Map<number, Link>()
  readonly #deferred: Transfer[] = []

  constructor(policy = policyWith(), cap = new SessionCap(SessionCap.allocate(1), 0)) {
    this.engine.handler = this.#handler()
    const adopt = (id: number, link: Link) => this.#links.set(id, link)
    const tellOf = (_: unknown, what: string) => this.told.push(what)
    const isWanted = (_: unknown, id: number) => this.wanted.has(id)
    const onLinkFault = (_: unknown, error: unknown) => {
      throw error
    }
    const place = { engine: this.engine, cap, adopt, tellOf, isWanted, onLinkFault }
    this.pool = new Pool(place, policy, this.nowMs)
  }

  /** Time passes in steps of the sweep. */
  pass(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; ) {
      this.nowMs += 250
      this.pool.sweep(this.nowMs)
    }
    this.#flush()
  }

  /** The mailhost accepts, greets and answers EHLO. */
  open(id: number, keywords = ehlo): void {
    this.engine.accept(id)
    this.says(id, '220 mailhost ESMTP\r\n')
    this.engine.take(id)
    this.says(id, keywords)
  }

  /** The mailhost says something. */
  says(id: number, text: string): void {
    this.engine.feed(id, text)
    this.#flush()
  }

  /** The connection to a mailhost ends. */
  ends(id: number): void {
    this.engine.end(id, 'reset')
    this.#flush()
  }

  /** A client; `answers` collects what its journey hears. */
  client(address = '198.51.100.7'): Client {
    const place = {
      pool: this.pool,
      now: () => this.nowMs,
      isTraced: () => false,
      watch: () => {},
      defer: (transfer: Transfer) => this.#deferred.push(transfer),
    }
    const peer = {
      address,
      port: 4321,
      localAddress: '203.0.113.5',
      localPort: 25,
      isTrusted: false,
      verdictClass: 0,
      isEarlyTalker: false,
      acceptedAtMs: 0,
    }
    return new Client(
      (listener) => new Transfer(place, peer, listener),
      () => this.#flush(),
    )
  }

  /** A client whose recipient session `id` has taken, and which may send its message. */
  inData(id: number): Client {
    const client = this.client().offers('b@y.example')
    this.says(id, accepted)
    client.data()
    this.says(id, '354 go on\r\n')
    return client
  }

  #flush(): void {
    for (let next = this.#deferred.shift(); next !== undefined; next = this.#deferred.shift()) {
      next.onDeferred()
    }
  }

  #handler(): EngineHandler {
    return {
      onOpen: () => {},
      onConnected: (id) => this.#links.get(id)?.onConnected(),
      onData: (id, chunk, start, end) => this.#links.get(id)?.onData(chunk, start, end),
      onDrain: (id) => this.#links.get(id)?.onDrain(),
      onEnd: (id) => this.#links.get(id)?.onEnd(),
      onDeadline: () => {},
      onClose: (id, reason) => this.#links.get(id)?.onClose(reason),
    }
  }
}

/** A client's transfer and what its journey would hear. */
export class Client {
  readonly transfer: Transfer
  helo = ''
  protocol = 'SMTP'
  /** `rcpt 250`, `data 354`, `delivery 250 2.0.0 queued`, `drain`, `lost`. */
  readonly answers: string[] = []
  readonly #flush: () => void

  constructor(newTransfer: (listener: TransferListener) => Transfer, flush: () => void) {
    this.#flush = flush
    this.transfer = newTransfer({
      onRecipientReply: (reply) => this.#note('rcpt', reply),
      onDataReply: (reply) => this.#note('data', reply),
      onDeliveryReply: (reply) => this.#note('delivery', reply),
      onTransferDrain: () => this.answers.push('drain'),
      onLinkLost: () => this.answers.push('lost'),
    })
  }

  /** MAIL and recipients. */
  offers(...recipients: readonly string[]): this {
    this.transfer.begin('<a@x.example>', this.helo, this.protocol)
    for (const recipient of recipients) this.offersAlso(recipient)
    return this
  }

  /** One more recipient. */
  offersAlso(recipient: string): void {
    this.offersLine(`<${recipient}>`)
  }

  /** The same, as it stands behind `RCPT TO:`. */
  offersLine(line: string): void {
    this.transfer.recipient(line, /@([^>]*)>/.exec(line)?.[1] ?? '')
    this.#flush()
  }

  /** DATA. */
  data(): void {
    this.transfer.data()
    this.#flush()
  }

  /** The body and its end. */
  sends(body: string): void {
    this.transfer.body(Buffer.from(body, 'latin1'))
    this.transfer.endOfData()
    this.#flush()
  }

  #note(what: string, reply: Reply): void {
    const parts = [what, reply.code, reply.enhanced].filter((part) => part !== '')
    this.answers.push(parts.join(' '))
  }
}
