/**
 * Where a gate of this thread finds the twin engines of this thread: by token.
 *
 * The native parts have a registry of their own in the addon, whose tokens are positive; these are
 * negative, so that a token given to the wrong kind of gate is an error and never a wrong engine.
 */
import type { Socket } from 'node:net'
import type { Peer } from './engine.ts'
import type { EngineToken } from './gate.ts'

/**
 * A client that a gate hands over: greeted, its socket not flowing; the gate keeps a listener on
 * its close.
 */
export interface Candidate {
  readonly socket: Socket
  readonly peer: Peer
}

/** What a gate needs of an engine. */
export interface Adopter {
  /** Takes the client over. */
  adopt(candidate: Candidate): void
  /** Clients carried now. */
  readonly clients: number
}

const adopters = new Map<EngineToken, Adopter>()
let lastToken = 0

/** Makes an engine known; the token is never reused. */
export function registerAdopter(adopter: Adopter): EngineToken {
  lastToken -= 1
  adopters.set(lastToken, adopter)
  return lastToken
}

/** The engine of a token, or undefined if it is gone or of another thread. */
export function findAdopter(token: EngineToken): Adopter | undefined {
  return adopters.get(token)
}

/** Forgets an engine that has stopped. */
export function forgetAdopter(token: EngineToken): void {
  adopters.delete(token)
}
