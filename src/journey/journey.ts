/**
 * The journey of one connection: the outward face.
 *
 *   1-connect ▸ 2-hello ▸ 3-envelope ▸ 4-tests ▸ 5-message ▸ 6-transfer          conclude
 *
 * One object per connection, nothing shared between two. Events come in through the on… methods,
 * effects go out through the ports; no socket, no clock, no await. `nowMs` is a clock in
 * milliseconds that nobody sets; what is written down has the wall clock of its port. Late and
 * doubled events are harmless: after onClosed every method does nothing. A bug of ours that an
 * event meets ends this connection, with 421 4.3.0 and a record, and no other.
 */

import { messageOf } from '../base/errors.ts'
import { heldInputOctetsMax } from '../base/limits.ts'
import { replyLine } from '../smtp/reply-text.ts'
import { loseConnection, openConnection } from './1-connect.ts'
import { enterTls } from './2-hello.ts'
import { continueMail } from './3-envelope.ts'
import { deferAnswer, takeAnswer } from './4-tests.ts'
import { loseLink, takeDataReply, takeDeliveryReply, takeRecipientReply } from './6-transfer.ts'
import { isBlocked, resumeInput, takeInput } from './commands.ts'
import { expire, watch } from './deadlines.ts'
import { letRestPass, notePassed } from './message-flow.ts'
import type { CompiledPolicy } from './policy.ts'
import type { Answer, Ports, Reply } from './ports.ts'
import { close, refuseConnection } from './reply.ts'
import { type Client, Session } from './session.ts'
import { stashOctetsMost } from './stash.ts'

export { type CompiledPolicy, compilePolicy } from './policy.ts'
export type { Client } from './session.ts'

/** Where a connection is in its journey, for those who watch it. */
export type Stage = 'hello' | 'envelope' | 'tests' | 'message' | 'transfer'

/** The journey of one connection. */
export class Journey {
  readonly #session: Session

  /** Transactions begun so far. */
  get transactions(): number {
    return this.#session.transactions
  }

  constructor(compiled: CompiledPolicy, ports: Ports, client: Client) {
    this.#session = new Session(compiled, ports, client)
  }

  get stage(): Stage {
    const { transaction, waiting, reading } = this.#session
    if (waiting === 'trust' || waiting === 'verdict') return 'tests'
    if (reading === 'data' || reading === 'chunk') return 'message'
    if (waiting === 'delivery') return 'transfer'
    return transaction === undefined ? 'hello' : 'envelope'
  }

  /**
   * The connection's first sign of life; the gate has sent the greeting. Once, before all others.
   */
  onOpen(nowMs: number): void {
    try {
      openConnection(this.#session)
      watch(this.#session, nowMs)
    } catch (error) {
      this.#fail(error, nowMs)
    }
  }

  /** Octets [start, end) of chunk have arrived; chunk is not kept. */
  onBytes(chunk: Uint8Array, start: number, end: number, nowMs: number): void {
    const session = this.#session
    if (session.reading === 'nothing' || session.isGone) return
    try {
      if (session.waiting === 'tls') {
        // The connection is with TLS: octets in the clear are an attack (RFC 3207 §4.2).
        const evidence = ['octets in the clear behind STARTTLS']
        refuseConnection(session, 'starttls-injection', '', '', nowMs, evidence)
        return
      }
      if (session.reading !== 'commands') session.idleSinceMs = nowMs
      takeInput(session, chunk, start, end, nowMs)
      letRestPass(session)
      this.#settle(nowMs)
    } catch (error) {
      this.#fail(error, nowMs)
    }
  }

  /** What passBody() has let by: see ClientPort. The last of it came `silentMs` ago. */
  onPassed(octets: number, scanState: number, silentMs: number, nowMs: number): void {
    if (!this.#session.isGone) notePassed(this.#session, octets, scanState, nowMs - silentMs)
  }

  /** The client will send no more. What it has asked for is still answered. */
  onEnd(nowMs: number): void {
    const session = this.#session
    if (session.isGone) return
    session.hasInputEnded = true
    try {
      this.#settle(nowMs)
    } catch (error) {
      this.#fail(error, nowMs)
    }
  }

  /** A bug of ours in what serves this connection. */
  onFault(error: unknown, nowMs: number): void {
    if (!this.#session.isGone) this.#fail(error, nowMs)
  }

  /** The connection is gone. Last event. */
  onClosed(nowMs: number): void {
    if (this.#session.isGone) return
    try {
      loseConnection(this.#session, nowMs)
    } catch (error) {
      this.#fail(error, nowMs)
    }
    this.#session.isGone = true
  }

  /** The deadline passed that was set through ClientPort. */
  onDeadline(nowMs: number): void {
    if (this.#session.isGone) return
    try {
      expire(this.#session, nowMs)
      this.#settle(nowMs)
    } catch (error) {
      this.#fail(error, nowMs)
    }
  }

  /** The client takes replies again, after reply() answered false. */
  onDrain(nowMs: number): void {
    if (this.#session.isGone) return
    this.#session.isClogged = false
    try {
      this.#goOn(nowMs)
    } catch (error) {
      this.#fail(error, nowMs)
    }
  }

  /**
   * TLS is up after startTls(); `description` as in the record: `TLSv1.3 TLS_AES_256_GCM_SHA384`.
   */
  onTlsEstablished(description: string, nowMs: number): void {
    if (this.#session.isGone || this.#session.waiting !== 'tls') return
    try {
      enterTls(this.#session, description, nowMs)
      this.#goOn(nowMs)
    } catch (error) {
      this.#fail(error, nowMs)
    }
  }

  /** A question of QuestionPort is answered. */
  onAnswer(answer: Answer, nowMs: number): void {
    if (this.#session.isGone) return
    try {
      takeAnswer(this.#session, answer, nowMs)
      this.#goOn(nowMs)
    } catch (error) {
      this.#fail(error, nowMs)
    }
  }

  /**
   * The tests' answer comes later, and RCPT is not to wait for it: DATA waits (two such proxies).
   */
  onDeferred(nowMs: number): void {
    if (this.#session.isGone) return
    try {
      deferAnswer(this.#session)
      this.#goOn(nowMs)
    } catch (error) {
      this.#fail(error, nowMs)
    }
  }

  /** The mailhost's reply to a recipient, in order. */
  onRecipientReply(reply: Reply, nowMs: number): void {
    if (this.#session.isGone) return
    try {
      takeRecipientReply(this.#session, reply, nowMs)
      this.#goOn(nowMs)
    } catch (error) {
      this.#fail(error, nowMs)
    }
  }

  /** The mailhost's reply to DATA; anything but 354 refuses. */
  onDataReply(reply: Reply, nowMs: number): void {
    if (this.#session.isGone) return
    try {
      takeDataReply(this.#session, reply, nowMs)
      this.#goOn(nowMs)
    } catch (error) {
      this.#fail(error, nowMs)
    }
  }

  /** The mailhost's reply to the final dot. */
  onDeliveryReply(reply: Reply, nowMs: number): void {
    if (this.#session.isGone) return
    try {
      takeDeliveryReply(this.#session, reply, nowMs)
      this.#goOn(nowMs)
    } catch (error) {
      this.#fail(error, nowMs)
    }
  }

  /** The mailhost takes body octets again, after body() or bodyForward() answered false. */
  onTransferDrain(nowMs: number): void {
    if (this.#session.isGone) return
    this.#session.isTransferFull = false
    try {
      this.#goOn(nowMs)
    } catch (error) {
      this.#fail(error, nowMs)
    }
  }

  /** The mailhost is lost inside the message; no answer is owed. */
  onLinkLost(nowMs: number): void {
    if (this.#session.isGone) return
    try {
      loseLink(this.#session, 'away', nowMs)
      this.#goOn(nowMs)
    } catch (error) {
      this.#fail(error, nowMs)
    }
  }

  /**
   * Stress mode began or ended: the waits of this connection, old or new its policy, change now.
   */
  onStress(isStressed: boolean, nowMs: number): void {
    if (this.#session.isGone) return
    this.#session.compiled.isStressed = isStressed
    this.#session.armedUntilMs = 0
    watch(this.#session, nowMs)
  }

  /**
   * The service stops: a connection between two transactions gets 421 4.3.2 and is closed at once,
   * a running transaction is finished first.
   */
  onShutdown(nowMs: number): void {
    if (this.#session.isGone) return
    this.#session.isStopping = true
    try {
      this.#settle(nowMs)
    } catch (error) {
      this.#fail(error, nowMs)
    }
  }

  /** What was waited for has come: the client's own time begins again. */
  #goOn(nowMs: number): void {
    this.#session.idleSinceMs = nowMs
    this.#settle(nowMs)
  }

  /** After every event: goes on with held input, keeps the client's pace, watches the time. */
  #settle(nowMs: number): void {
    const session = this.#session
    continueMail(session, nowMs)
    resumeInput(session, nowMs)
    if (session.isStopping && session.transaction === undefined && session.waiting === 'nothing') {
      close(session, replyLine(421, '4.3.2', 'shutting down'))
    }
    if (session.hasInputEnded && !isOwed(session)) {
      loseConnection(session, nowMs)
      session.ports.client.close()
      return
    }
    pace(session, nowMs)
    watch(session, nowMs)
  }

  /** Our bug: this connection ends, its record says so. */
  #fail(error: unknown, nowMs: number): void {
    const session = this.#session
    const text = 'internal error, closing'
    try {
      refuseConnection(session, 'internal-error', '421 4.3.0', text, nowMs, [messageOf(error)])
    } catch {
      // The port that failed fails again: the connection is closed below without its record.
    }
    session.reading = 'nothing'
    session.ports.client.close()
    if (session.transaction === undefined) return
    session.transaction = undefined
    session.ports.transfer.abandon()
  }
}

/** Is the client, whose input has ended, still owed an answer? */
function isOwed(session: Session): boolean {
  if (session.reading === 'nothing' || session.waiting === 'tls') return false
  return isBlocked(session) || (session.transaction?.recipientsOffered.length ?? 0) > 0
}

/** Pauses the client while there is no room for what it sends, and resumes it. */
function pace(session: Session, nowMs: number): void {
  if (session.reading === 'nothing') return
  const message = session.transaction?.message
  const isStashFull = message?.phase === 'opening' && message.stashOctets >= stashOctetsMost()
  const heldOctets = session.held?.length ?? 0
  const mustPause = session.isTransferFull || isStashFull || heldOctets > heldInputOctetsMax
  // The client's minute begins when it may go on.
  if (mustPause || session.isPaused) session.rateSinceMs = nowMs
  if (mustPause === session.isPaused) return
  // A stall begins: a mailhost that takes octets, however slowly, is not a silent one.
  if (session.isTransferFull) session.waitingSinceMs = nowMs
  session.isPaused = mustPause
  if (mustPause) session.ports.client.pause()
  else session.ports.client.resume()
}
