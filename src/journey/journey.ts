/**
 * The journey of one connection: the outward face.
 *
 * One object per connection, nothing shared between two. Events come in through the on… methods,
 * effects go out through the ports. `nowMs` is the wall clock in milliseconds. Late and doubled
 * events are harmless: after onClosed every method does nothing.
 */
import type { ScanBody } from '../smtp/body-scanner.ts'
import type { JourneyPolicy } from './policy.ts'
import type { Answer, Ports, Reply } from './ports.ts'

/** Who is at the other end; the engine's Peer is one. */
export interface Client {
  readonly address: string
  readonly port: number
  /** In a trusted network. */
  readonly isTrusted: boolean
  /** Verdict class of the blacklist where its action let the client pass (observe), else 0. */
  readonly verdictClass: number
  readonly isEarlyTalker: boolean
  readonly acceptedAtMs: number
}

/** What the stages read of a policy, made once per thread and policy. */
export interface CompiledPolicy {
  readonly policy: JourneyPolicy
  readonly scanBody: ScanBody
  /** Stress mode: shorter waits. Set by the edge at any time; then call onStress of each journey. */
  isStressed: boolean
}

/** The journey of one connection. */
export class Journey {
  readonly #compiled: CompiledPolicy
  readonly #ports: Ports
  readonly #client: Client

  constructor(compiled: CompiledPolicy, ports: Ports, client: Client) {
    this.#compiled = compiled
    this.#ports = ports
    this.#client = client
  }

  /** The connection's first sign of life; the gate has sent the greeting. Once, before all others. */
  onOpen(_nowMs: number): void {
    this.#ports.client.deadline(this.#compiled.policy.timeouts.commandMs)
    if (this.#client.isTrusted) return
  }

  /** Octets [start, end) of chunk have arrived; chunk is not kept. */
  onBytes(_chunk: Uint8Array, _start: number, _end: number, _nowMs: number): void {}

  /** The client will send no more. */
  onEnd(_nowMs: number): void {}

  /** The connection is gone. Last event. */
  onClosed(_nowMs: number): void {}

  /** The deadline passed that was set through ClientPort. */
  onDeadline(_nowMs: number): void {}

  /** The client takes replies again, after reply() answered false. */
  onDrain(_nowMs: number): void {}

  /** TLS is up after startTls(); `description` as in the record: `TLSv1.3 TLS_AES_256_GCM_SHA384`. */
  onTlsEstablished(_description: string, _nowMs: number): void {}

  /** A question of QuestionPort is answered. */
  onAnswer(_answer: Answer, _nowMs: number): void {}

  /** The tests' answer comes later, and RCPT is not to wait for it: DATA waits (two such proxies). */
  onDeferred(_nowMs: number): void {}

  /** The mailhost's reply to a recipient, in order. */
  onRecipientReply(_reply: Reply, _nowMs: number): void {}

  /** The mailhost's reply to DATA; anything but 354 refuses. */
  onDataReply(_reply: Reply, _nowMs: number): void {}

  /** The mailhost's reply to the final dot. */
  onDeliveryReply(_reply: Reply, _nowMs: number): void {}

  /** The mailhost takes body octets again, after body() or bodyForward() answered false. */
  onTransferDrain(_nowMs: number): void {}

  /** The mailhost is lost inside the message; no answer is owed. */
  onLinkLost(_nowMs: number): void {}

  /** Stress mode began or ended: waits are counted anew. */
  onStress(_nowMs: number): void {}

  /**
   * The service stops: a connection between two transactions gets 421 4.3.2 and is closed at once,
   * a running transaction is finished first.
   */
  onShutdown(_nowMs: number): void {}
}

/** Makes what the stages read of a policy; throws OperatingError for a wrong rules text. */
export function compilePolicy(policy: JourneyPolicy, scanBody: ScanBody): CompiledPolicy {
  return { policy, scanBody, isStressed: false }
}
