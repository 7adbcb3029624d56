/**
 * MailhostSession: one session of the embedded mailhost, octets in, replies out.
 */
import { commandLineOctetsMax } from '../base/limits.ts'
import type { Maildir, MaildirMessage } from './maildir.ts'

const lineEnd = Buffer.from('\r\n')
const cr = 0x0d
const lf = 0x0a
const dot = 0x2e

/** What the octets of the message so far end with. */
type Position = 'line-start' | 'in-line' | 'cr' | 'dot' | 'dot-cr' | 'ended'

/** One session. `take` must not run twice at once. */
export class MailhostSession {
  /** QUIT was answered. */
  isOver = false
  readonly #maildir: Maildir
  readonly #sizeOctetsMax: number
  readonly #onDelivered: () => void
  #held: Buffer = Buffer.alloc(0)
  #sender: string | undefined
  #recipients: string[] = []
  #message: MaildirMessage | undefined
  #octets = 0
  #position: Position = 'line-start'

  constructor(maildir: Maildir, sizeOctetsMax: number, onDelivered: () => void) {
    this.#maildir = maildir
    this.#sizeOctetsMax = sizeOctetsMax
    this.#onDelivered = onDelivered
  }

  /** Takes octets of the proxy; resolves with the replies, CRLF included. */
  async take(chunk: Uint8Array): Promise<string> {
    this.#held = Buffer.concat([this.#held, chunk])
    let replies = ''
    for (;;) {
      const reply = this.#message === undefined ? await this.#command() : await this.#body()
      if (reply === undefined) return replies
      replies += reply
    }
  }

  /** The connection is gone: an unfinished message is removed. */
  async end(): Promise<void> {
    const message = this.#message
    this.#message = undefined
    // Gone with its folder, perhaps: nobody misses it.
    await message?.discard().catch(() => undefined)
  }

  async #command(): Promise<string | undefined> {
    const at = this.#held.indexOf(lineEnd)
    if (at < 0) {
      if (this.#held.length > commandLineOctetsMax) throw new Error('line too long')
      return undefined
    }
    const line = this.#held.toString('latin1', 0, at)
    this.#held = this.#held.subarray(at + lineEnd.length)
    return `${await this.#answer(line)}\r\n`
  }

  async #answer(line: string): Promise<string> {
    const verb = line.split(' ', 1)[0]?.toUpperCase() ?? ''
    switch (verb) {
      case 'EHLO':
        this.#reset()
        return [
          '250-mailhost',
          '250-PIPELINING',
          `250-SIZE ${this.#sizeOctetsMax}`,
          '250-8BITMIME',
          '250-SMTPUTF8',
          '250-ENHANCEDSTATUSCODES',
          '250 XFORWARD NAME ADDR PORT PROTO HELO SOURCE',
        ].join('\r\n')
      case 'HELO':
      case 'RSET':
        this.#reset()
        return '250 2.0.0 Ok'
      case 'XFORWARD':
      case 'NOOP':
        return '250 2.0.0 Ok'
      case 'MAIL':
        return this.#mail(line)
      case 'RCPT':
        return this.#recipient(line)
      case 'DATA':
        return this.#data()
      case 'QUIT':
        this.isOver = true
        return '221 2.0.0 Bye'
      default:
        return '502 5.5.2 Command not known'
    }
  }

  #mail(line: string): string {
    const path = /^MAIL FROM:<([^>]*)>/i.exec(line)?.[1]
    if (path === undefined) return '501 5.1.7 Bad sender'
    this.#reset()
    this.#sender = path
    return '250 2.1.0 Ok'
  }

  #recipient(line: string): string {
    const path = /^RCPT TO:<([^>]+)>/i.exec(line)?.[1]
    if (this.#sender === undefined) return '503 5.5.1 MAIL first'
    if (path === undefined) return '501 5.1.3 Bad recipient'
    this.#recipients.push(path)
    return '250 2.1.5 Ok'
  }

  async #data(): Promise<string> {
    if (this.#recipients.length === 0) return '503 5.5.1 RCPT first'
    const recipients = this.#recipients.map((path) => `Delivered-To: ${path}\r\n`).join('')
    this.#message = await this.#maildir.begin(`Return-Path: <${this.#sender}>\r\n${recipients}`)
    this.#octets = 0
    this.#position = 'line-start'
    return '354 End data with <CR><LF>.<CR><LF>'
  }

  async #body(): Promise<string | undefined> {
    const message = this.#message
    if (this.#held.length === 0 || message === undefined) return undefined
    const { kept, rest } = this.#unstuff(this.#held)
    this.#held = rest
    this.#octets += kept.length
    if (this.#octets <= this.#sizeOctetsMax) await message.write(kept)
    return this.#position === 'ended' ? this.#finish(message) : undefined
  }

  // RFC 5321 §4.5.2: a dot at the start of a line is taken away; a dot alone ends the message.
  #unstuff(octets: Buffer): { readonly kept: Buffer; readonly rest: Buffer } {
    const kept = Buffer.allocUnsafe(octets.length + 1)
    let length = 0
    for (let at = 0; at < octets.length; at++) {
      const octet = octets[at] ?? 0
      if (this.#position === 'dot' && octet === cr) this.#position = 'dot-cr'
      else if (this.#position === 'dot-cr' && octet === lf) {
        this.#position = 'ended'
        return { kept: kept.subarray(0, length), rest: octets.subarray(at + 1) }
      } else if (this.#position === 'line-start' && octet === dot) this.#position = 'dot'
      else {
        if (this.#position === 'dot-cr') kept[length++] = cr
        kept[length++] = octet
        if (octet === cr) this.#position = 'cr'
        else this.#position = octet === lf && this.#position === 'cr' ? 'line-start' : 'in-line'
      }
    }
    return { kept: kept.subarray(0, length), rest: octets.subarray(octets.length) }
  }

  async #finish(message: MaildirMessage): Promise<string> {
    this.#message = undefined
    const isTooBig = this.#octets > this.#sizeOctetsMax
    this.#reset()
    if (isTooBig) {
      await message.discard()
      return '552 5.3.4 Too big\r\n'
    }
    await message.deliver()
    this.#onDelivered()
    return '250 2.0.0 Filed\r\n'
  }

  #reset(): void {
    this.#sender = undefined
    this.#recipients = []
  }
}
