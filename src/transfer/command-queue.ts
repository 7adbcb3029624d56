/**
 * CommandQueue: the commands of one session to a mailhost, in order: sent and not answered yet,
 * then not sent yet. RFC 2920: what may be sent ahead is; without PIPELINING one at a time.
 */

/** What a reply answers. */
export type CommandKind =
  | 'greeting'
  | 'ehlo'
  | 'helo'
  | 'starttls'
  | 'xclient'
  | 'rset'
  | 'xforward'
  | 'mail'
  | 'rcpt'
  | 'data'
  | 'dot'

/** The commands of one session. */
export class CommandQueue {
  /** The mailhost takes several at once. */
  isPipelining = false
  readonly #kinds: CommandKind[] = []
  readonly #lines: string[] = []
  /** The first so many are sent. */
  #sent = 0

  /** How many replies are due. */
  get due(): number {
    return this.#sent
  }

  /** What the next reply answers. */
  get oldest(): CommandKind | undefined {
    return this.#sent > 0 ? this.#kinds[0] : undefined
  }

  /** Nothing is due and nothing is left to send. */
  get isEmpty(): boolean {
    return this.#kinds.length === 0
  }

  /** Behind XCLIENT the session begins anew: nothing else may be sent before that is answered. */
  get isAtXclient(): boolean {
    return this.#kinds[this.#sent - 1] === 'xclient'
  }

  /** A command that the caller sends now, before all that is unsent. */
  expect(kind: CommandKind): void {
    this.#kinds.splice(this.#sent, 0, kind)
    this.#lines.splice(this.#sent, 0, '')
    this.#sent++
  }

  /** A command, with CRLF, that waits for `take`. */
  add(kind: CommandKind, line: string): void {
    this.#kinds.push(kind)
    this.#lines.push(line)
  }

  /** What may be sent now, '' for nothing; its replies are due from here on. */
  take(): string {
    if (!this.isPipelining && this.#sent > 0) return ''
    const end = this.isPipelining ? this.#kinds.length : Math.min(1, this.#kinds.length)
    let text = ''
    while (this.#sent < end && !this.isAtXclient) {
      text += this.#lines[this.#sent] ?? ''
      this.#sent++
    }
    return text
  }

  /** The oldest command is answered. */
  answer(): CommandKind | undefined {
    if (this.#sent === 0) return undefined
    this.#sent--
    this.#lines.shift()
    return this.#kinds.shift()
  }

  /** What is not sent will not be. */
  dropUnsent(): void {
    if (this.#kinds.length === this.#sent) return
    this.#kinds.length = this.#sent
    this.#lines.length = this.#sent
  }

  /** The session is over. */
  clear(): void {
    this.#sent = 0
    this.dropUnsent()
  }
}
