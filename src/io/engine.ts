/**
 * The socket engine's face: what carries the octets of one thread's connections, both sides.
 *
 * Two parts stand behind it: native-engine.ts (native/engine, one epoll set, one JavaScript call
 * per wake-up) and socket-engine.ts, its slow twin over net.Socket. Both pass
 * test/contract/engine.ts; the parts above do not know which one carries them.
 *
 * Invariants: the handler is called from the thread's event loop only, never from inside an engine
 * method; `onClose` is the last event of a connection and comes exactly once; after it the id is
 * dead and every method on it is a no-op, so a late effect cannot touch a successor.
 */

import type { Socket } from 'node:net'
import type { EngineToken } from './gate.ts'

/** A connection of this engine; never reused while the engine lives. */
export type ConnectionId = number

/** Who is at the other end, as the gate saw it (after a PROXY header, the client it names). */
export interface Peer {
  /** Text form without zone; an IPv4-mapped IPv6 address is given as IPv4. */
  readonly address: string
  readonly port: number
  readonly localAddress: string
  readonly localPort: number
  /** In a trusted network. */
  readonly isTrusted: boolean
  /** Verdict class of the blacklist where its action let the client pass (observe), else 0. */
  readonly verdictClass: number
  /** The client spoke before the greeting and policy let it pass. */
  readonly isEarlyTalker: boolean
  /** When it was accepted, milliseconds on the thread's `performance.now()`. */
  readonly acceptedAtMs: number
}

/**
 * Why a connection ended. `closed`: by us; `ended`: by us after the peer's end; `reset`: by the
 * peer or because it is dead; the rest: a connect that failed.
 */
export type CloseReason = 'closed' | 'ended' | 'reset' | 'timeout' | 'refused' | 'unreachable'

/** Receives the engine's events. `chunk` is valid inside the call only. */
export interface EngineHandler {
  /**
   * First sign of life of a client (data, end, deadline): idle greeted clients cost no object. A
   * client that resets before any sign of life is never told of.
   */
  onOpen(id: ConnectionId, peer: Peer): void
  /** Octets [start, end) of chunk have arrived. */
  onData(id: ConnectionId, chunk: Uint8Array, start: number, end: number): void
  /**
   * What `pass` has let by: so many octets; the scan stands at `scanState`; the last of them came
   * `silentMs` ago. The pass is over. Before every other event of the source.
   */
  onPassed?(id: ConnectionId, octets: number, scanState: number, silentMs: number): void
  /** `connect` succeeded. */
  onConnected(id: ConnectionId): void
  /** The send backlog fell below its low mark after a send answered false. */
  onDrain(id: ConnectionId): void
  /** The peer will send no more (half-close). */
  onEnd(id: ConnectionId): void
  /** The deadline set by `deadline` passed; the connection stays open. */
  onDeadline(id: ConnectionId): void
  /** The connection is gone, its descriptor closed. Last event. */
  onClose(id: ConnectionId, reason: CloseReason): void
}

/** What an engine is made with. */
export interface EngineOptions {
  /**
   * A greeted client that shows no sign of life for so long gets onOpen and onDeadline; 0 = never.
   */
  readonly clientDeadlineMs: number
}

/** Carries connections. Every method is immediate and never throws for a dead id. */
export interface Engine {
  /** Opens a connection; ends in onConnected or onClose. `address` is an IP address, not a name. */
  connect(address: string, port: number, timeoutMs: number): ConnectionId
  /** Queues a copy of the octets. False: the backlog is over its high mark; stop until onDrain. */
  send(id: ConnectionId, octets: Uint8Array): boolean
  /** Queues text, one octet a code unit (latin1); its high mark is lower than that of `send`. */
  sendText(id: ConnectionId, text: string): boolean
  /**
   * Queues octets [start, end) of the chunk being delivered right now, without copying where
   * possible. Only inside onData.
   */
  forward(id: ConnectionId, start: number, end: number): boolean
  /**
   * Message octets that need no judgement go on to the target without onData from here on: clean
   * ones, not those that end the message, at most `octetsMax`, as long as the target takes them.
   * Whatever else comes ends the pass: onPassed tells what went by, then comes the event. Octets
   * whose meaning the next one decides are kept back; `scanState` is that of
   * src/smtp/body-scanner.ts, and what is kept back by it must not have been sent. Only inside
   * onData of the source, all of whose octets are handled. No effect where octets cannot pass;
   * absent where they never can.
   */
  pass?(source: ConnectionId, target: ConnectionId, scanState: number, octetsMax: number): void
  /** Stops and restarts reading: backpressure towards the peer. */
  pause(id: ConnectionId): void
  resume(id: ConnectionId): void
  /** One deadline per connection; a new one replaces it; 0 removes it. Coarse: up to 1 s late. */
  deadline(id: ConnectionId, afterMs: number): void
  /**
   * Closes when the backlog is sent; what the peer still sends is dropped, for 5 s at the most.
   * `isDone`: nothing more is expected of the peer (QUIT, silence), so its end need not be awaited.
   */
  close(id: ConnectionId, isDone?: boolean): void
  /** Closes at once with a reset. */
  reset(id: ConnectionId): void
  /**
   * Gives the connection away (to TLS) as a paused socket that the caller owns; what was queued is
   * sent first, no further event comes. The client's place at the gate is given back when the
   * socket closes. Undefined for a dead id.
   */
  detach(id: ConnectionId): Socket | undefined
  /**
   * Changes a connection that we made over to TLS, after our STARTTLS was answered; `done` is told
   * the fault, '' for none. Absent where the engine knows no TLS (src/tls/secure-engine.ts does).
   */
  startTls?(id: ConnectionId, done: (fault: string) => void): void
  /** Replaces `EngineOptions.clientDeadlineMs`, also for the clients that wait now. */
  clientDeadline(afterMs: number): void
  /**
   * Stops taking new clients; those which never spoke get their deadline now, so that the journey
   * can say goodbye. Resolves when the last connection is gone, a detached one included, since a
   * client inside TLS may need another mailhost session to be finished.
   */
  stop(): Promise<void>
  /** Connections open now, both sides. */
  readonly connections: number
  /**
   * Octets sent that the peer has not taken, as finely as the carrier knows (the native engine: to
   * the segment, the kernel's queue included; others: by whole writes). 0 for a dead id. For
   * sweeps: it may cost a system call.
   */
  untaken(id: ConnectionId): number
  /** Octets sent that no socket has taken yet, over all connections. O(connections). */
  readonly backlogOctets: number
  /** How a gate of this process knows this engine (Gate.addWorker). */
  readonly token: EngineToken
}
