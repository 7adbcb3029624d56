/**
 * Octets of a message that pass a handler by, for the engine over net.Socket: the slow twin of
 * native/engine/engine_pass.cpp. It decides what may travel on; the engine sends it.
 */
import {
  isPlain,
  keptBack,
  scanBodyByteLoop,
  scannedState,
  undecidedOctets,
} from '../smtp/body-scanner.ts'
import type { ConnectionId } from './engine.ts'

/** One pass, until the first octets that must be told of. */
export class Pass {
  readonly target: ConnectionId
  /** Octets passed so far. */
  octets = 0
  scanState: number
  readonly #octetsMax: number
  #lastMs = performance.now()

  constructor(target: ConnectionId, scanState: number, octetsMax: number) {
    this.target = target
    this.scanState = scanState
    this.#octetsMax = octetsMax
  }

  /** Since the last of them came, milliseconds. */
  get silentMs(): number {
    return Math.round(performance.now() - this.#lastMs)
  }

  /** @returns what travels on now; undefined: the chunk is to be told of, nothing has passed. */
  take(chunk: Uint8Array): Uint8Array | undefined {
    if (chunk.length > this.#octetsMax - this.octets) return undefined
    const state = scannedState(scanBodyByteLoop(chunk, 0, chunk.length, this.scanState))
    if (!isPlain(state)) return undefined
    const kept = keptBack(this.scanState)
    const settledEnd = chunk.length - undecidedOctets(state)
    this.scanState = state
    this.octets += chunk.length
    this.#lastMs = performance.now()
    // What was kept back before is undecided still.
    if (settledEnd < 0) return noOctets
    const settled = chunk.subarray(0, settledEnd)
    return kept.length === 0 ? settled : Buffer.concat([kept, settled])
  }
}

const noOctets = new Uint8Array(0)
