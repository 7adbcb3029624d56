/**
 * A client that plays the octets of a dialogue in step: it cuts them into what one reply answers (a
 * command, a message, a chunk), and waits for that reply.
 */
import type { Dialogue } from './captured-dialogues.ts'
import { SmtpClient } from './smtp-client.ts'

/** What a played dialogue has come to. */
export interface Played {
  readonly client: SmtpClient
  /** Messages whose end was answered by 250, as they were sent: DATA's stuffed, chunks joined. */
  readonly completed: readonly CompletedMessage[]
  /** Nothing is under way: another command may follow. */
  readonly isAtCommand: boolean
}

/** A message that the server has taken. */
export interface CompletedMessage {
  readonly isChunked: boolean
  readonly octets: string
}

/** Plays dialogues as their clients did, waiting for each reply. */
export class DialoguePlayer {
  readonly #client: SmtpClient
  readonly #isGrouped: boolean
  readonly #completed: CompletedMessage[] = []
  #text: string
  #chunks = ''
  #isAtCommand = true
  #isPipelining = false

  /**
   * Plays a whole dialogue but for its QUIT. @param isGrouped envelopes go out in one piece, as
   * PIPELINING allows.
   */
  static async play(port: number, { octets }: Dialogue, isGrouped: boolean): Promise<Played> {
    const player = new DialoguePlayer(await SmtpClient.open(port), octets, isGrouped)
    await player.#play()
    return {
      client: player.#client,
      completed: player.#completed,
      isAtCommand: player.#isAtCommand && !player.#client.isClosed,
    }
  }

  constructor(client: SmtpClient, octets: Buffer, isGrouped: boolean) {
    this.#client = client
    this.#text = octets.toString('latin1')
    this.#isGrouped = isGrouped
  }

  async #play(): Promise<void> {
    while (this.#text !== '' && !this.#client.isClosed) {
      const line = this.#cutLine()
      if (line === '') {
        // The capture ends, or the client breaks off, inside a line.
        this.#isAtCommand = false
        this.#client.send(this.#text)
        return
      }
      const chunk = /^BDAT (\d+)( LAST)?\r\n$/i.exec(line)
      if (/^QUIT\b/i.test(line)) continue
      if (chunk !== null) await this.#sendChunk(line, Number(chunk[1]), chunk[2] !== undefined)
      else if (/^DATA\r\n$/i.test(line)) await this.#sendMessage(line)
      else await this.#sendCommands(line)
    }
  }

  /** A command, or a group of those that may be sent in one piece. RFC 2920 §3.1. */
  async #sendCommands(first: string): Promise<void> {
    const group = [first]
    const isGroup = /^(?:MAIL|RCPT|RSET)\b[^\r\n]*\r\n/i
    const mayGroup = this.#isGrouped && this.#isPipelining && isGroup.test(first)
    while (mayGroup && isGroup.test(this.#text)) {
      group.push(this.#cutLine())
    }
    this.#client.send(group.join(''))
    for (const line of group) {
      const reply = await this.#client.reply()
      if (/^(RSET|HELO|EHLO)/i.test(line)) this.#chunks = ''
      if (/^(HELO|EHLO)/i.test(line)) this.#isPipelining = /PIPELINING/.test(reply)
    }
  }

  async #sendMessage(command: string): Promise<void> {
    this.#client.send(command)
    const isTaken = (await this.#client.reply()).startsWith('354')
    // A client that is refused sends no message: it goes on with a command, if the capture has one.
    if (!isTaken && /^(?:MAIL|RCPT|RSET|HELO|EHLO|DATA|QUIT)\b/i.test(this.#text)) return
    const isEmpty = this.#text.startsWith('.\r\n')
    const end = isEmpty ? 3 : this.#text.indexOf('\r\n.\r\n') + 5
    const isWhole = isEmpty || end >= 5
    const message = this.#cut(isWhole ? end : this.#text.length)
    if (!isTaken) return
    this.#client.send(message)
    if (!isWhole) {
      this.#isAtCommand = false
      return
    }
    const reply = await this.#client.reply()
    const octets = message.slice(0, -3)
    if (reply.startsWith('250')) this.#completed.push({ isChunked: false, octets })
  }

  async #sendChunk(line: string, size: number, isLast: boolean): Promise<void> {
    const isWhole = this.#text.length >= size
    const octets = this.#cut(Math.min(size, this.#text.length))
    this.#client.send(line + octets)
    if (!isWhole) {
      this.#isAtCommand = false
      return
    }
    const isTaken = (await this.#client.reply()).startsWith('250')
    this.#chunks = isTaken ? this.#chunks + octets : ''
    if (!isTaken || !isLast) return
    this.#completed.push({ isChunked: true, octets: this.#chunks })
    this.#chunks = ''
  }

  /** Takes a line from the front; '' where none is whole. */
  #cutLine(): string {
    const end = this.#text.indexOf('\r\n')
    return end < 0 ? '' : this.#cut(end + 2)
  }

  #cut(length: number): string {
    const octets = this.#text.slice(0, length)
    this.#text = this.#text.slice(length)
    return octets
  }
}
