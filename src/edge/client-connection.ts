/**
 * ClientConnection: one client of one thread; joins its journey with engine, transfer, questions, log.
 *
 * It is the journey's ports and the carrier of the engine's events in one object, so that a
 * connection costs one object beside its journey and its transfer. Every call into the journey stands
 * in a guard: a bug there ends this connection with 421 4.3.0 and a record, and no other.
 *
 * It decides nothing.
 */
import { messageOf } from '../base/errors.ts'
import type { CloseReason, ConnectionId, Peer } from '../io/engine.ts'
import { Journey } from '../journey/journey.ts'
import type {
  Answer,
  ClientPort,
  Finding,
  ListPort,
  Ports,
  Question,
  QuestionPort,
  RecordPort,
  Reply,
  VerdictRecord,
} from '../journey/ports.ts'
import { Transfer, type TransferListener } from '../transfer/transfer.ts'
import type { Edge } from './edge.ts'
import type { Asker } from './questions.ts'

const bugReply = '421 4.3.0 Internal error, closing connection\r\n'

/** One client. Made by the edge at the first sign of life. */
export class ClientConnection
  implements Ports, ClientPort, RecordPort, QuestionPort, TransferListener, Asker
{
  readonly id: ConnectionId
  readonly peer: Peer
  readonly transfer: Transfer
  readonly #edge: Edge
  readonly #journey: Journey
  #isOver = false

  constructor(edge: Edge, id: ConnectionId, peer: Peer) {
    this.#edge = edge
    this.id = id
    this.peer = peer
    this.transfer = new Transfer(edge, peer)
    this.transfer.listener = this
    this.#journey = new Journey(edge.compiled, this, peer)
  }

  get client(): ClientPort {
    return this
  }

  get questions(): QuestionPort {
    return this
  }

  get records(): RecordPort {
    return this
  }

  get lists(): ListPort {
    return this.#edge.lists
  }

  // The journey's effects.

  reply(text: string): boolean {
    return this.#edge.engine.sendText(this.id, text)
  }

  pause(): void {
    this.#edge.engine.pause(this.id)
  }

  resume(): void {
    this.#edge.engine.resume(this.id)
  }

  deadline(afterMs: number): void {
    this.#edge.engine.deadline(this.id, afterMs)
  }

  close(): void {
    this.#edge.engine.close(this.id)
  }

  startTls(): void {
    this.#edge.startTls(this)
  }

  trustedName(address: string): void {
    this.#edge.questions.trustedName(address, this)
  }

  examine(question: Question): void {
    this.#edge.questions.examine(question, this)
  }

  forget(): void {
    this.#edge.questions.forget(this)
  }

  verdict(record: VerdictRecord): void {
    this.#edge.onVerdict(record)
  }

  finding(finding: Finding): void {
    this.#edge.onFinding(finding, this.peer)
  }

  newId(): string {
    return this.#edge.newId()
  }

  // The engine's events.

  onOpen(): void {
    try {
      this.#journey.onOpen(this.#edge.now())
    } catch (error) {
      this.#fail(error)
    }
  }

  onData(chunk: Uint8Array, start: number, end: number): void {
    try {
      if (!this.#isOver) this.#journey.onBytes(chunk, start, end, this.#edge.now())
    } catch (error) {
      this.#fail(error)
    }
  }

  onDrain(): void {
    try {
      if (!this.#isOver) this.#journey.onDrain(this.#edge.now())
    } catch (error) {
      this.#fail(error)
    }
  }

  onEnd(): void {
    try {
      if (!this.#isOver) this.#journey.onEnd(this.#edge.now())
    } catch (error) {
      this.#fail(error)
    }
  }

  onDeadline(): void {
    try {
      if (!this.#isOver) this.#journey.onDeadline(this.#edge.now())
    } catch (error) {
      this.#fail(error)
    }
  }

  onConnected(): void {}

  onClose(_reason: CloseReason): void {
    try {
      if (!this.#isOver) this.#journey.onClosed(this.#edge.now())
    } catch (error) {
      this.#fail(error)
    }
    this.#isOver = true
  }

  // Answers of the others.

  onRecipientReply(reply: Reply, nowMs: number): void {
    try {
      this.#journey.onRecipientReply(reply, nowMs)
    } catch (error) {
      this.#fail(error)
    }
  }

  onDataReply(reply: Reply, nowMs: number): void {
    try {
      this.#journey.onDataReply(reply, nowMs)
    } catch (error) {
      this.#fail(error)
    }
  }

  onDeliveryReply(reply: Reply, nowMs: number): void {
    try {
      this.#journey.onDeliveryReply(reply, nowMs)
    } catch (error) {
      this.#fail(error)
    }
  }

  onTransferDrain(nowMs: number): void {
    try {
      this.#journey.onTransferDrain(nowMs)
    } catch (error) {
      this.#fail(error)
    }
  }

  onLinkLost(nowMs: number): void {
    try {
      this.#journey.onLinkLost(nowMs)
    } catch (error) {
      this.#fail(error)
    }
  }

  onDeferred(): void {
    try {
      if (!this.#isOver) this.#journey.onDeferred(this.#edge.now())
    } catch (error) {
      this.#fail(error)
    }
  }

  onAnswer(answer: Answer): void {
    try {
      if (!this.#isOver) this.#journey.onAnswer(answer, this.#edge.now())
    } catch (error) {
      this.#fail(error)
    }
  }

  onTlsEstablished(description: string): void {
    try {
      this.#journey.onTlsEstablished(description, this.#edge.now())
    } catch (error) {
      this.#fail(error)
    }
  }

  onStress(): void {
    try {
      if (!this.#isOver) this.#journey.onStress(this.#edge.now())
    } catch (error) {
      this.#fail(error)
    }
  }

  onShutdown(): void {
    try {
      if (!this.#isOver) this.#journey.onShutdown(this.#edge.now())
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Our bug: this connection ends, with a record; a message under way is not acknowledged. */
  #fail(error: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.transfer.abandon()
    this.#edge.engine.sendText(this.id, bugReply)
    this.#edge.engine.close(this.id)
    this.#edge.onBug(
      this.peer,
      error instanceof Error ? (error.stack ?? messageOf(error)) : messageOf(error),
    )
  }
}
