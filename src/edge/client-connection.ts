/**
 * ClientConnection: one client of one thread; joins its journey with engine, transfer, questions,
 * log.
 *
 * It is the journey's ports and the carrier of the engine's events in one object, so that a
 * connection costs one object beside its journey and its transfer. It decides nothing.
 */
import type { CloseReason, ConnectionId, Peer } from '../io/engine.ts'
import { Journey } from '../journey/journey.ts'
import type {
  Answer,
  ClientPort,
  Finding,
  ListPort,
  OfferPort,
  Ports,
  Question,
  QuestionPort,
  RecordPort,
  TransferPort,
  VerdictRecord,
} from '../journey/ports.ts'
import { isDelivered } from '../journey/record.ts'
import { Transfer } from '../transfer/transfer.ts'
import {
  connectRecordOf,
  disconnectRecordOf,
  pregreetRecordOf,
  transferRecordOf,
} from './connection-records.ts'
import { tellInput, tellLines } from './dialogue.ts'
import type { Edge } from './edge.ts'
import type { Asker } from './questions.ts'

/** One client. Made by the edge at the first sign of life. */
export class ClientConnection implements Ports, ClientPort, RecordPort, QuestionPort, Asker {
  readonly id: ConnectionId
  readonly peer: Peer
  readonly #edge: Edge
  readonly #journey: Journey
  /** Made with the first envelope: a client that has only said EHLO holds less. */
  #transfer: Transfer | undefined
  /** Octets that the client has sent. */
  #octets = 0

  constructor(edge: Edge, id: ConnectionId, peer: Peer) {
    this.#edge = edge
    this.id = id
    this.peer = peer
    this.#journey = new Journey(edge.compiled, this, peer)
  }

  get transfer(): TransferPort {
    this.#transfer ??= new Transfer(this.#edge, this.peer, this.#journey)
    return this.#transfer
  }

  get offers(): OfferPort {
    return this.#edge.pool.capabilities
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
    const { log } = this.#edge
    if (log.isTraced(this.peer.address)) {
      tellLines(log, this.peer, this.#journey.stage, 'proxy', 'client', text)
    }
    return this.#edge.engine.sendText(this.id, text)
  }

  pause(): void {
    this.#edge.engine.pause(this.id)
  }

  resume(): void {
    this.#edge.engine.resume(this.id)
  }

  passBody(scanState: number, octetsMax: number): void {
    const link = this.#transfer?.bodyLink
    // Who watches the client wants to see all of it.
    if (link === undefined || this.#edge.log.isTraced(this.peer.address)) return
    this.#edge.engine.pass?.(this.id, link, scanState, octetsMax)
  }

  deadline(afterMs: number): void {
    this.#edge.engine.deadline(this.id, afterMs)
  }

  close(isDone?: boolean): void {
    this.#edge.engine.close(this.id, isDone)
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
    const mailhost = this.#transfer?.mailhost
    const isSent = record.octets > 0 || isDelivered(record)
    if (record.mailhostReply === '' || mailhost === undefined || !isSent) return
    const { log } = this.#edge
    if (!log.takes('transfer', this.peer.address)) return
    log.record(transferRecordOf(record, mailhost, this.#edge.wallMs()))
  }

  finding(finding: Finding, isObserved = false): void {
    this.#edge.onFinding(finding, this.peer, isObserved)
  }

  newId(): string {
    return this.#edge.newId()
  }

  wallMs(): number {
    return this.#edge.wallMs()
  }

  // The engine's events and the desk's answers; the journey guards itself against our bugs.

  onOpen(): void {
    const { log } = this.#edge
    if (log.takes('connect', this.peer.address)) {
      log.record(connectRecordOf(this.peer, this.#edge.wallMs()))
    }
    this.#journey.onOpen(this.#edge.now())
  }

  onData(chunk: Uint8Array, start: number, end: number): void {
    const { log } = this.#edge
    if (this.#octets === 0 && this.peer.isEarlyTalker) {
      log.record(pregreetRecordOf(this.peer, end - start, this.#edge.wallMs()))
    }
    this.#octets += end - start
    if (log.isTraced(this.peer.address)) {
      tellInput(log, this.peer, this.#journey.stage, chunk, start, end)
    }
    this.#journey.onBytes(chunk, start, end, this.#edge.now())
  }

  onPassed(octets: number, scanState: number, silentMs: number): void {
    this.#octets += octets
    this.#journey.onPassed(octets, scanState, silentMs, this.#edge.now())
  }

  onConnected(): void {}

  onDrain(): void {
    this.#journey.onDrain(this.#edge.now())
  }

  onEnd(): void {
    this.#journey.onEnd(this.#edge.now())
  }

  onDeadline(): void {
    this.#journey.onDeadline(this.#edge.now())
  }

  onClose(reason: CloseReason): void {
    this.#journey.onClosed(this.#edge.now())
    const { log } = this.#edge
    if (!log.takes('disconnect', this.peer.address)) return
    const { transactions } = this.#journey
    const ms = this.#edge.now() - this.peer.acceptedAtMs
    const sums = { transactions, octets: this.#octets, ms }
    log.record(disconnectRecordOf(this.peer, reason, sums, this.#edge.wallMs()))
  }

  onFault(error: unknown): void {
    this.#journey.onFault(error, this.#edge.now())
  }

  onDeferred(): void {
    this.#journey.onDeferred(this.#edge.tick())
    this.#edge.settle()
  }

  onAnswer(answer: Answer): void {
    this.#journey.onAnswer(answer, this.#edge.tick())
    this.#edge.settle()
  }

  onTlsEstablished(description: string): void {
    this.#journey.onTlsEstablished(description, this.#edge.tick())
    this.#edge.settle()
  }

  onStress(isStressed: boolean): void {
    this.#journey.onStress(isStressed, this.#edge.now())
  }

  onShutdown(): void {
    this.#journey.onShutdown(this.#edge.now())
  }
}
