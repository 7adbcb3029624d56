/**
 * ConversationFollower: follows an SMTP client and server from the middle, to know where a
 * conversation stands.
 *
 * `tls wrap` needs four things of it: the client's QUIT, which must not reach a shared session;
 * when every command has had its reply; whether a message is under way; and whether the client has
 * said for whom the session speaks, which RSET does not undo. It changes nothing and judges
 * nothing: the octets before the QUIT go on as they came.
 *
 * After DATA the client must wait for the reply (RFC 5321 §4.1.1.4): 354 means that a message
 * follows until CRLF.CRLF. BDAT says its length (RFC 3030). Pure.
 */
import { commandLineOctetsMax } from '../base/limits.ts'
import { ReplyReader } from './reply-reader.ts'

type State =
  | { readonly kind: 'command' }
  | { readonly kind: 'afterData' }
  | { readonly kind: 'message'; matched: number }
  | { readonly kind: 'chunk'; left: number }

const endOfData = Buffer.from('\r\n.\r\n')
const lf = 0x0a
const cr = 0x0d

/** Follows one conversation. */
export class ConversationFollower {
  /** The client has said QUIT. */
  hasQuit = false
  /** Commands and messages that have had no reply yet. */
  awaited = 0
  /** The client has said AUTH or XCLIENT: the session is fit for nobody else. */
  isPersonal = false
  #state: State = { kind: 'command' }
  #line = ''
  /** The beginning of a line that may become QUIT; not sent on yet. */
  #held = ''
  #lastCode = 0
  readonly #replies = new ReplyReader()

  /** No message is under way, no command half said, and every reply has come. */
  get isAtRest(): boolean {
    return this.#state.kind === 'command' && this.#line === '' && this.awaited === 0
  }

  /**
   * Octets of the client.
   * @returns what goes on to the server: not a QUIT, nor what may become one; that comes later.
   */
  client(octets: Uint8Array): Uint8Array {
    const held = this.#held
    this.#held = ''
    // Where the last command line begins; −1: in octets that came before.
    let line = -1
    let at = 0
    while (at < octets.length && !this.hasQuit) {
      if (this.#state.kind === 'afterData') {
        this.#state = this.#lastCode === 354 ? message() : { kind: 'command' }
      }
      if (this.#state.kind === 'command') {
        if (this.#line === '') line = at
        at = this.#readLine(octets, at)
      } else at = this.#skip(this.#state, octets, at)
    }
    const mayBeQuit = this.#line !== '' && /^[ \t]*(q(u(i(t\s*)?)?)?)?$/i.test(this.#line)
    if (mayBeQuit) this.#held = this.#line
    if (!mayBeQuit && !this.hasQuit) return joined(held, octets)
    return line === -1 ? new Uint8Array(0) : joined(held, octets.subarray(0, line))
  }

  /** Octets of the server. False: they are no SMTP replies. */
  server(octets: Uint8Array): boolean {
    let at = 0
    while (at < octets.length && this.#replies.fault === undefined) {
      at = this.#replies.read(octets, at, octets.length)
      const { reply } = this.#replies
      if (reply === undefined) continue
      this.#lastCode = reply.code
      this.awaited = Math.max(0, this.awaited - 1)
      // The end of the message is answered by a reply of its own.
      if (reply.code === 354) this.awaited++
    }
    return this.#replies.fault === undefined
  }

  #readLine(octets: Uint8Array, start: number): number {
    let at = start
    while (at < octets.length && octets[at] !== lf) at++
    const room = commandLineOctetsMax - this.#line.length
    const end = Math.min(at, start + Math.max(0, room))
    this.#line += Buffer.from(octets.subarray(start, end)).toString('latin1')
    if (at === octets.length) return at
    // Servers skip white space before a command: Postfix does.
    const command = this.#line.replace(/\r$/, '').replace(/^[ \t]+/, '')
    this.#line = ''
    this.#onCommand(command)
    return at + 1
  }

  #onCommand(command: string): void {
    if (/^quit\s*$/i.test(command)) {
      this.hasQuit = true
      return
    }
    this.awaited++
    if (/^(auth|xclient)\b/i.test(command)) this.isPersonal = true
    if (/^data\s*$/i.test(command)) this.#state = { kind: 'afterData' }
    const chunk = /^bdat (\d{1,15})\b/i.exec(command)
    const left = Number(chunk?.[1] ?? 0)
    if (left > 0) this.#state = { kind: 'chunk', left }
  }

  #skip(state: State, octets: Uint8Array, at: number): number {
    if (state.kind === 'chunk') {
      const skipped = Math.min(state.left, octets.length - at)
      state.left -= skipped
      if (state.left === 0) this.#state = { kind: 'command' }
      return at + skipped
    }
    if (state.kind !== 'message') return at
    while (at < octets.length && state.matched < endOfData.length) {
      const octet = octets[at++]
      if (octet === endOfData[state.matched]) state.matched++
      else state.matched = octet === cr ? 1 : 0
    }
    if (state.matched === endOfData.length) this.#state = { kind: 'command' }
    return at
  }
}

function joined(held: string, octets: Uint8Array): Uint8Array {
  return held === '' ? octets : Buffer.concat([Buffer.from(held, 'latin1'), octets])
}

// The line before a message ended in CRLF: a dot line may come first (RFC 5321 §4.5.2).
function message(): State {
  return { kind: 'message', matched: 2 }
}
