/**
 * The frames between a process and the TLS session daemon, as octets. Version 2.
 *
 *   0        4      5       6          7      8         12      16
 *   | length | kind | flags | priority | code | request | lease | body …
 *
 * Little-endian. `length` counts what follows it (12 … tlsFrameOctetsMax). `kind` is one of
 * `callKinds`, an answer has bit 7 set and repeats `request`. `code` is the position in `tlsCodes`
 * (0 in a call). `lease` is the conversation on whose behalf the call is made, 0 for none.
 *
 * Body of a call: all but hello, new and stats begin with the handle of 25 octets,
 * route (0 unshared, 1 shared), daemon id (8), random (16):
 *   hello    "AMXTLS" version(2)        new       NewOptions as JSON (UTF-8)
 *   write    handle data                read      handle octetsMax(4)
 *   activate handle program name        stats     first session(4), may be missing
 *   others   handle
 * Body of an answer whose code is none, else a message (UTF-8):
 *   hello    version(2) daemon id(8) credit octets(4) credit calls(4)
 *   new      handle listening port(2)   write     written(4)
 *   read     pending(4) data            pending   pending(4)
 *   lease    greeting (UTF-8)           getError  code(1) message     stats  JSON
 * A failed write's message follows written(4).
 *
 * Pure. Reads nothing that a peer says without a bound; a fault of the frame is final: the
 * connection has no way back into step. What a body says is judged by its reader.
 */
import { tlsFrameOctetsMax } from '../base/limits.ts'

/** Octets of the header, the length field included. */
export const headerOctets = 16
/** Octets of a handle. */
export const handleOctets = 25
/** The protocol's version: both sides must say the same. 1 had no `yields`. */
export const wireVersion = 2
/** What a hello begins with. */
export const helloMagic = 'AMXTLS'

/** Numbers of the calls. */
export const callKinds = {
  hello: 1,
  new: 2,
  connect: 3,
  accept: 4,
  write: 5,
  read: 6,
  pending: 7,
  shutdown: 8,
  free: 9,
  getError: 10,
  lease: 11,
  release: 12,
  activate: 13,
  stats: 14,
} as const

/** The largest call number. */
export const callKindMax = 14
/** Bit of `kind` that marks an answer. */
export const answerBit = 0x80

/** Bits of `flags`. */
export const frameFlags = {
  /** write: the next write of this client on this session continues it. */
  more: 1,
  /** write: continues the one before. */
  continues: 2,
  /** read, write: answer wantRead or wantWrite in place of waiting. */
  noWait: 4,
  /**
   * write: success is not answered; the next answer stands for it. A read of the same session and
   * lease with the next request number is not done where the write is refused at once: it is
   * answered with the same fault. lease, release: never answered; the calls of the lease say
   * whether it is there.
   */
  quiet: 8,
  /** release: the conversation stopped half-way. */
  broken: 16,
  /** release: reads that still wait are not waited for. */
  cancelled: 32,
  /** lease: its holder wants to know when somebody else waits, see LeaseOptions.yields. */
  yields: 64,
} as const

const flagsAll = 127

/** What stands in a header besides the length. */
export interface FrameHeader {
  readonly kind: number
  readonly flags: number
  readonly priority: number
  readonly code: number
  readonly request: number
  readonly lease: number
}

/** Writes a header for a body of `bodyOctets` at `at` of `target`. */
export function writeHeader(
  target: Uint8Array,
  header: FrameHeader,
  bodyOctets: number,
  at = 0,
): void {
  writeU32(target, at, headerOctets - 4 + bodyOctets)
  target[at + 4] = header.kind
  target[at + 5] = header.flags
  target[at + 6] = header.priority & 0xff
  target[at + 7] = header.code
  writeU32(target, at + 8, header.request)
  writeU32(target, at + 12, header.lease)
}

/** A whole frame in octets of its own. */
export function encodeFrame(header: FrameHeader, body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(headerOctets + body.length)
  writeHeader(frame, header, body.length)
  frame.set(body, headerOctets)
  return frame
}

/** Little-endian, 4 octets. */
export function writeU32(target: Uint8Array, at: number, value: number): void {
  target[at] = value & 0xff
  target[at + 1] = (value >>> 8) & 0xff
  target[at + 2] = (value >>> 16) & 0xff
  target[at + 3] = (value >>> 24) & 0xff
}

/** Little-endian, 4 octets; octets beyond the end count as 0. */
export function readU32(source: Uint8Array, at: number): number {
  const low = (source[at] ?? 0) | ((source[at + 1] ?? 0) << 8)
  const high = (source[at + 2] ?? 0) | ((source[at + 3] ?? 0) << 8)
  return low + high * 0x1_0000
}

/** Why octets are no frames. */
export type FrameFault = 'too-long' | 'too-short' | 'unknown-kind' | 'unknown-flag'

/** A frame that was read: body octets [start, end) of `octets`. Valid inside the call only. */
export class Frame implements FrameHeader {
  kind = 0
  flags = 0
  priority = 0
  code = 0
  request = 0
  lease = 0
  octets: Uint8Array = new Uint8Array(0)
  start = 0
  end = 0

  /** Octets of the body. */
  get bodyOctets(): number {
    return this.end - this.start
  }

  /** The body from `offset` on: a view, not a copy. */
  body(offset = 0): Uint8Array {
    return this.octets.subarray(Math.min(this.start + offset, this.end), this.end)
  }
}

/**
 * Reads frames from octets cut anywhere. O(octets); a frame that lies whole in one chunk is not
 * copied, another is assembled in a buffer of its own length.
 */
export class FrameReader {
  /** Set once a rule is broken; nothing is read any more. */
  fault: FrameFault | undefined
  readonly #frame = new Frame()
  readonly #header = new Uint8Array(headerOctets)
  #partial: Uint8Array | undefined
  #held = 0

  /** Octets kept of an unfinished frame. */
  get held(): number {
    return this.#held
  }

  /**
   * Reads octets [start, end) of a chunk and hands each frame to `onFrame`, which must take what it
   * wants to keep; the octets of the body are the chunk's own or a buffer that is not used again.
   */
  read(
    chunk: Uint8Array,
    onFrame: (frame: Frame) => void,
    start = 0,
    end: number = chunk.length,
  ): void {
    let at = start
    while (at < end && this.fault === undefined) {
      at =
        this.#held === 0
          ? this.#readWhole(chunk, at, end, onFrame)
          : this.#join(chunk, at, end, onFrame)
    }
  }

  #readWhole(chunk: Uint8Array, at: number, end: number, onFrame: (frame: Frame) => void): number {
    const there = end - at
    const length = there < headerOctets ? 0 : this.#judge(chunk, at)
    if (this.fault !== undefined) return end
    if (length !== 0 && there >= length) {
      this.#deliver(chunk, at, at + length, onFrame)
      return at + length
    }
    const target = length === 0 ? this.#header : new Uint8Array(length)
    this.#partial = length === 0 ? undefined : target
    target.set(chunk.subarray(at, end))
    this.#held = there
    return end
  }

  #join(chunk: Uint8Array, at: number, end: number, onFrame: (frame: Frame) => void): number {
    const target = this.#partial ?? this.#header
    const taken = Math.min(target.length - this.#held, end - at)
    target.set(chunk.subarray(at, at + taken), this.#held)
    this.#held += taken
    if (this.#held < target.length) return at + taken
    if (this.#partial === undefined) {
      const length = this.#judge(this.#header, 0)
      if (this.fault !== undefined) return end
      this.#partial = new Uint8Array(length)
      this.#partial.set(this.#header)
    }
    const whole = this.#partial
    if (this.#held === whole.length) {
      this.#partial = undefined
      this.#held = 0
      this.#deliver(whole, 0, whole.length, onFrame)
    }
    return at + taken
  }

  /** The whole length of the frame whose header stands at `at`; sets `fault`. */
  #judge(octets: Uint8Array, at: number): number {
    const length = readU32(octets, at)
    const kind = (octets[at + 4] ?? 0) & ~answerBit
    const flags = octets[at + 5] ?? 0
    if (length > tlsFrameOctetsMax) this.fault = 'too-long'
    else if (length < headerOctets - 4) this.fault = 'too-short'
    else if (kind < 1 || kind > callKindMax) this.fault = 'unknown-kind'
    else if ((flags & ~flagsAll) !== 0) this.fault = 'unknown-flag'
    return length + 4
  }

  #deliver(octets: Uint8Array, at: number, end: number, onFrame: (frame: Frame) => void): void {
    const frame = this.#frame
    const priority = octets[at + 6] ?? 0
    frame.kind = octets[at + 4] ?? 0
    frame.flags = octets[at + 5] ?? 0
    frame.priority = priority > 127 ? priority - 256 : priority
    frame.code = octets[at + 7] ?? 0
    frame.request = readU32(octets, at + 8)
    frame.lease = readU32(octets, at + 12)
    frame.octets = octets
    frame.start = at + headerOctets
    frame.end = end
    onFrame(frame)
  }
}
