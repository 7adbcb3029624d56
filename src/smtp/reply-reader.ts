/**
 * ReplyReader: octets of an SMTP server in, whole replies out. RFC 5321 §4.2, RFC 2034.
 *
 * The server is a peer like any other: a line, a reply and the number of its lines are bounded, the
 * lines of one reply must carry one code, and what is kept of their text holds no control octet, so
 * that it can be sent on to a client or written to a log. Whatever breaks a rule is a fault, after
 * which the reader reads no more: there is no way back into step with such a server.
 *
 * Liberal in one point: a line may end in a bare LF, as some servers still send.
 */
import { replyLineOctetsMax, replyLinesKeptMax, replyOctetsMax } from '../base/limits.ts'
import { textOf } from './octets.ts'
import type { Reply } from './reply.ts'
import type { ReplyMemo } from './reply-memo.ts'

const lf = 0x0a
const cr = 0x0d
const space = 0x20
const hyphen = 0x2d

/** Why a server's octets are no reply; kebab-case words of the log. */
export type ReplyFault = 'no-code' | 'code-changes' | 'line-too-long' | 'reply-too-long'

/** Reads the replies of one connection. Hot: a reply that `memo` knows costs no allocation. */
export class ReplyReader {
  /** The reply that the last `read` completed, else undefined. */
  reply: Reply | undefined
  /** Set once a rule is broken; nothing is read any more. */
  fault: ReplyFault | undefined
  #partial = ''
  #code = 0
  #enhanced = ''
  #lines: string[] = []
  #octets = 0
  readonly #memo: ReplyMemo | undefined

  /** `memo`: the replies of the same server, shared by its readers. */
  constructor(memo?: ReplyMemo) {
    this.#memo = memo
  }

  /** True between replies: no octet of an unfinished one is held. */
  get isIdle(): boolean {
    return this.#partial === '' && this.#code === 0
  }

  /**
   * Reads octets [start, end) up to the end of one reply at the most.
   * @returns the position behind what was read; `reply` and `fault` say what came of it.
   */
  read(chunk: Uint8Array, start: number, end: number): number {
    this.reply = undefined
    if (this.#memo !== undefined && this.isIdle && this.fault === undefined) {
      return this.#readKnown(this.#memo, chunk, start, end)
    }
    return this.#readLines(chunk, start, end)
  }

  #readKnown(memo: ReplyMemo, chunk: Uint8Array, start: number, end: number): number {
    const known = memo.find(chunk, start, end)
    if (known !== undefined) {
      this.reply = known.reply
      return start + known.octets.length
    }
    const at = this.#readLines(chunk, start, end)
    if (this.reply?.lines.length === 1) memo.keep(chunk, start, at, this.reply)
    return at
  }

  #readLines(chunk: Uint8Array, start: number, end: number): number {
    let at = start
    while (at < end && this.reply === undefined && this.fault === undefined) {
      at = this.#readLine(chunk, at, end)
    }
    return this.fault === undefined ? at : end
  }

  #readLine(chunk: Uint8Array, start: number, end: number): number {
    let at = start
    while (at < end && chunk[at] !== lf) at++
    const isWhole = at < end
    this.#octets += at - start + 1
    if (this.#partial.length + at - start > replyLineOctetsMax) this.fault = 'line-too-long'
    else if (this.#octets > replyOctetsMax) this.fault = 'reply-too-long'
    else if (isWhole) this.#takeLine(this.#partial + textOf(chunk, start, at))
    else this.#partial += textOf(chunk, start, at)
    return isWhole ? at + 1 : end
  }

  // Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
  #takeLine(raw: string): void {
    this.#partial = ''
    const line = raw.charCodeAt(raw.length - 1) === cr ? raw.slice(0, -1) : raw
    const code = codeOf(line)
    if (code === 0) {
      this.fault = 'no-code'
      return
    }
    if (this.#code !== 0 && code !== this.#code) {
      this.fault = 'code-changes'
      return
    }
    const isLast = line.charCodeAt(3) !== hyphen
    const text = line.slice(4)
    const enhanced = enhancedOf(text, code)
    if (this.#code === 0) this.#enhanced = enhanced
    this.#code = code
    if (this.#lines.length < replyLinesKeptMax) {
      this.#lines.push(printable(enhanced === '' ? text : text.slice(enhanced.length + 1)))
    }
    if (isLast) this.#finish()
  }

  #finish(): void {
    this.reply = { code: this.#code, enhanced: this.#enhanced, lines: this.#lines }
    this.#code = 0
    this.#enhanced = ''
    this.#lines = []
    this.#octets = 0
  }
}

/** The code of a line, 0 when it does not begin with one. `%x32-35 %x30-35 %x30-39`, third free. */
function codeOf(line: string): number {
  const hundreds = line.charCodeAt(0) - 0x30
  const tens = line.charCodeAt(1) - 0x30
  const ones = line.charCodeAt(2) - 0x30
  if (!(hundreds >= 2 && hundreds <= 5 && tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9)) {
    return 0
  }
  const separator = line.charCodeAt(3)
  const isSeparated = line.length === 3 || separator === space || separator === hyphen
  return isSeparated ? hundreds * 100 + tens * 10 + ones : 0
}

/** The enhanced code that a text begins with: same class as the code. RFC 3463 §2. */
function enhancedOf(text: string, code: number): string {
  if (text.charCodeAt(1) !== 0x2e || text.charCodeAt(0) - 0x30 !== Math.trunc(code / 100)) return ''
  return /^[245]\.\d{1,3}\.\d{1,3}(?= |$)/.exec(text)?.[0] ?? ''
}

/** The text with control octets replaced: it is sent on and logged. */
function printable(text: string): string {
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit < space || unit === 0x7f) return text.replace(/[\x00-\x1f\x7f]/g, '?')
  }
  return text
}
