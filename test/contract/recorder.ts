/**
 * An engine handler that writes down what it was told and lets a test wait for it.
 */
import type { CloseReason, ConnectionId, EngineHandler, Peer } from '../../src/io/engine.ts'

/** One event as a word with its connection. */
export type Told =
  | { readonly kind: 'open'; readonly id: ConnectionId; readonly peer: Peer }
  | { readonly kind: 'data'; readonly id: ConnectionId; readonly text: string }
  | {
      readonly kind: 'connected' | 'drain' | 'end' | 'deadline' | 'passed'
      readonly id: ConnectionId
    }
  | { readonly kind: 'close'; readonly id: ConnectionId; readonly reason: CloseReason }

/** What a test may do inside the events. */
export type Reactions = Partial<EngineHandler>

/** Records events in order; `reactions` run after the recording, inside the event. */
export class Recorder implements EngineHandler {
  readonly told: Told[] = []
  reactions: Reactions
  isKeepingData = true
  readonly #waiting = new Set<() => void>()

  constructor(reactions: Reactions = {}) {
    this.reactions = reactions
  }

  onOpen(id: ConnectionId, peer: Peer): void {
    this.#tell({ kind: 'open', id, peer })
    this.reactions.onOpen?.(id, peer)
  }

  onData(id: ConnectionId, chunk: Uint8Array, start: number, end: number): void {
    if (this.isKeepingData) {
      const text = Buffer.from(chunk.buffer, chunk.byteOffset + start, end - start)
      this.#tell({ kind: 'data', id, text: text.toString('latin1') })
    }
    this.reactions.onData?.(id, chunk, start, end)
    this.#wake()
  }

  onPassed(id: ConnectionId, octets: number, scanState: number, silentMs: number): void {
    this.#tell({ kind: 'passed', id })
    this.reactions.onPassed?.(id, octets, scanState, silentMs)
  }

  onConnected(id: ConnectionId): void {
    this.#tell({ kind: 'connected', id })
    this.reactions.onConnected?.(id)
  }

  onDrain(id: ConnectionId): void {
    this.#tell({ kind: 'drain', id })
    this.reactions.onDrain?.(id)
  }

  onEnd(id: ConnectionId): void {
    this.#tell({ kind: 'end', id })
    this.reactions.onEnd?.(id)
  }

  onDeadline(id: ConnectionId): void {
    this.#tell({ kind: 'deadline', id })
    this.reactions.onDeadline?.(id)
  }

  onClose(id: ConnectionId, reason: CloseReason): void {
    this.#tell({ kind: 'close', id, reason })
    this.reactions.onClose?.(id, reason)
  }

  /** All data of a connection so far. */
  dataOf(id: ConnectionId): string {
    return this.told.map((one) => (one.kind === 'data' && one.id === id ? one.text : '')).join('')
  }

  /** The kinds of a connection's events in order, consecutive data as one. */
  kindsOf(id: ConnectionId): readonly string[] {
    const kinds = this.told.filter((one) => one.id === id).map((one) => one.kind)
    return kinds.filter((kind, at) => kind !== 'data' || kinds[at - 1] !== 'data')
  }

  /** Resolves with the first event of a kind (of a connection), also if it came already. */
  async first<K extends Told['kind']>(kind: K, id?: ConnectionId): Promise<Told & { kind: K }> {
    const isIt = (one: Told): one is Told & { kind: K } =>
      one.kind === kind && (id === undefined || one.id === id)
    await this.until(() => this.told.some(isIt))
    const found = this.told.find(isIt)
    if (found === undefined) throw new Error(`no ${kind}`)
    return found
  }

  /** Resolves when the condition holds after some event. */
  async until(isReached: () => boolean): Promise<void> {
    while (!isReached()) {
      await new Promise<void>((resolve) => this.#waiting.add(resolve))
    }
  }

  #tell(event: Told): void {
    this.told.push(event)
    this.#wake()
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }
}
