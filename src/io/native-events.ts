/**
 * What the native engine and JavaScript share: sizes of the arenas, numbers of events and
 * operations, records in the input arena. As native/engine/engine.hpp has them.
 */
import type { CloseReason, Peer } from './engine.ts'

/** What the engine uses of the addon; the handle is opaque. */
export interface EngineAddon {
  newEngine(buffers: object, limits: object, onEvents: (count: number) => void): object
  engineToken(handle: object): number
  nextEvents(handle: object, operations: number): number
  executeOperations(handle: object, count: number): number
  connectSocket(
    handle: object,
    address: string,
    port: number,
    timeoutMs: number,
    name: Int32Array,
  ): void
  sendOctets(handle: object, slot: number, generation: number, octets: Uint8Array): void
  passOctets(
    handle: object,
    source: number,
    sourceGeneration: number,
    target: number,
    targetGeneration: number,
    scanState: number,
    octetsMax: number,
  ): void
  octetsInKernel(handle: object, slot: number, generation: number): number
  detachSocket(handle: object, slot: number, generation: number, rest: Int32Array): number
  releaseDetached(handle: object, slot: number, generation: number): void
  setClientDeadline(handle: object, milliseconds: number): void
  stopEngine(handle: object): void
  closeEngine(handle: object): void
  engineConnections(handle: object): number
}

/** Connections of one engine at the most; a power of two. */
export const slots = 131_072
/** The input arena: what one wake-up has read. */
export const inputOctets = 1_048_576
/** The output arena: texts to be sent. */
export const outputOctets = 1_048_576
/** From so many octets on, a send goes out of its own memory instead of the arena's. */
export const directOctetsMin = 16_384
/** Up to so many characters a text is written here; Node's own way costs a call. */
export const shortTextMax = 64
/** Events of one wake-up. */
export const eventsMax = 1_024
/** Operations of one list. */
export const operationsMax = 4_096
/** Words of an event and of an operation: kind, slot, generation, first, second. */
export const words = 5
/** Rounds of one wake-up before other work of the thread gets its turn. */
export const roundsMax = 16

/** enum class EventKind. */
export const event = {
  open: 0,
  data: 1,
  connected: 2,
  drain: 3,
  end: 4,
  deadline: 5,
  close: 6,
  passed: 7,
} as const

/** enum class OperationKind. */
export const operation = {
  send: 0,
  forward: 1,
  pause: 2,
  resume: 3,
  deadline: 4,
  awaitDrain: 5,
  close: 6,
  reset: 7,
} as const

/** enum class CloseReason. */
export const reasons: readonly CloseReason[] = [
  'closed',
  'ended',
  'reset',
  'timeout',
  'refused',
  'unreachable',
]

/** What has passed a handler by. */
export interface Passed {
  readonly octets: number
  readonly scanState: number
  readonly silentMs: number
}

/** Reads the records that events leave in the input arena. */
export class RecordReader {
  readonly #input: Buffer
  readonly #view: DataView
  #localAddress = ''

  constructor(input: Buffer) {
    this.#input = input
    this.#view = new DataView(input.buffer)
  }

  /** struct PeerRecord, then the texts of both addresses. */
  peer(at: number): Peer {
    const view = this.#view
    const textAt = at + 24
    const localAt = textAt + view.getUint8(at + 16)
    const end = localAt + view.getUint8(at + 17)
    const localAddress = this.#input.toString('latin1', localAt, end)
    // One text for all that came to the same address: an idle client holds less.
    if (localAddress !== this.#localAddress) this.#localAddress = localAddress
    return {
      address: this.#input.toString('latin1', textAt, localAt),
      port: view.getUint16(at + 8, true),
      localAddress: this.#localAddress,
      localPort: view.getUint16(at + 10, true),
      isTrusted: view.getUint8(at + 14) !== 0,
      verdictClass: view.getUint16(at + 12, true),
      isEarlyTalker: view.getUint8(at + 15) !== 0,
      // The gate's thread counts from another start: what passes between threads is an age.
      acceptedAtMs: Math.floor(performance.now()) - view.getFloat64(at, true),
    }
  }

  /** struct PassRecord. */
  passed(at: number): Passed {
    const view = this.#view
    return {
      octets: view.getFloat64(at, true),
      scanState: view.getUint32(at + 8, true),
      silentMs: view.getUint32(at + 12, true),
    }
  }
}
