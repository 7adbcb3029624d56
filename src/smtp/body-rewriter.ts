/**
 * Body rewriter: makes a message's octets fit for DATA where they cannot travel unchanged.
 *
 * Two uses, one loop: a BDAT chunk (RFC 3030) gets its dots stuffed, and a message with stray
 * octets is normalised (`body.stray = "normalise"`): a bare LF becomes CRLF, a bare CR and a NUL
 * become a space. A space never makes a line end, so only a new CRLF can bring a dot to a line's
 * start, and that dot is stuffed. The output holds no bare CR, bare LF or NUL and never a line of
 * one dot. It does not look for the end of data: the scanner has cut that off before.
 */
import { cr, dot, lf } from './octets.ts'

const space = 0x20

/** Rewrites one message; keeps its place between calls. */
export class BodyRewriter {
  /** Are dots after the client's own CRLF stuffed already (DATA), or not (BDAT)? */
  readonly #isStuffed: boolean
  /** CRLF was written last, or nothing yet. */
  #isLineStart: boolean
  /** That CRLF was the client's own, not made of a bare LF. */
  #isOwnLine = true
  /** The line so far is one dot, written as the client sent it. */
  #isLoneDot = false
  #isAfterCr = false
  #hasStray = false

  /** `isLineStart`: the octets before, if any, ended with CRLF. */
  constructor(isStuffed: boolean, isLineStart: boolean) {
    this.#isStuffed = isStuffed
    this.#isLineStart = isLineStart
  }

  /** Has a bare CR, a bare LF or a NUL been met (and replaced)? */
  get hasStray(): boolean {
    return this.#hasStray
  }

  /** Rewrites octets [start, end). A CR at the end waits for what follows. @returns new octets. */
  rewrite(octets: Uint8Array, start: number, end: number): Uint8Array {
    // Each octet gives two at the most, and a waiting CR one more.
    const output = new Uint8Array((end - start) * 2 + 1)
    let length = 0
    for (let i = start; i < end; i++) length = this.#put(output, length, octets[i] as number)
    return output.subarray(0, length)
  }

  /** The message is over: what is missing for a last line that ends with CRLF. */
  finish(): Uint8Array {
    if (this.#isLineStart && !this.#isAfterCr) return new Uint8Array(0)
    const output = new Uint8Array(4)
    let length = 0
    if (this.#isAfterCr) {
      this.#hasStray = true
      output[length++] = space
    } else if (this.#isLoneDot) output[length++] = dot
    return output.subarray(0, this.#endLine(output, length))
  }

  /** Writes what one octet becomes. @returns the new length. */
  #put(output: Uint8Array, length: number, octet: number): number {
    if (octet === lf) {
      this.#isOwnLine = this.#isAfterCr
      if (!this.#isAfterCr) this.#hasStray = true
      if (this.#isLoneDot) output[length++] = dot
      return this.#endLine(output, length)
    }
    if (this.#isAfterCr) {
      this.#isAfterCr = false
      this.#hasStray = true
      output[length++] = space
      this.#isLineStart = false
      this.#isLoneDot = false
    }
    if (octet === cr) {
      this.#isAfterCr = true
      return length
    }
    this.#isLoneDot = false
    if (octet === dot && this.#isLineStart) {
      if (this.#isStuffed && this.#isOwnLine) this.#isLoneDot = true
      else output[length++] = dot
    }
    this.#isLineStart = false
    if (octet === 0) this.#hasStray = true
    output[length++] = octet === 0 ? space : octet
    return length
  }

  #endLine(output: Uint8Array, length: number): number {
    output[length++] = cr
    output[length++] = lf
    this.#isAfterCr = false
    this.#isLineStart = true
    this.#isLoneDot = false
    return length
  }
}
