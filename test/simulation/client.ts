/**
 * A simulated client: sends a script in turns, and leaves when it is told to.
 *
 * A turn is what is sent in one breath; the next one waits until each of its steps has been
 * answered. A body is sent only behind a 354, unless the client is blind: such a one sends all at
 * once.
 */
import type { Random } from '../support/random.ts'
import type { FarEnd, Wire } from './network.ts'

/** One message that a client means to send. */
export interface Letter {
  /** Unique over the whole world: everything about the letter is found by it. */
  readonly sender: string
  readonly recipients: readonly string[]
  /** What the mailhost must get behind our Received field; undefined: it must get nothing. */
  readonly octets: string | undefined
}

/** What a step is, and with it what may be answered. */
export type StepKind = 'hello' | 'mail' | 'rcpt' | 'data' | 'body' | 'chunk' | 'plain' | 'noise'

/** One command, message or chunk: what is sent until one reply is due. */
export interface Step {
  readonly kind: StepKind
  readonly text: string
  /** The reply that a step of kind `plain` gets. */
  readonly want?: RegExp
  readonly letter?: Letter
  /** RCPT: the address. */
  readonly address?: string
  /** BDAT: the chunk ends the message. */
  readonly isLast?: boolean
}

/** How a client ends before its script does. */
export type Leaving = 'cut' | 'end' | 'silent'

/** What a client does. */
export interface Script {
  readonly turns: readonly (readonly Step[])[]
  /** It leaves when so many octets are sent; infinite: at the end of the script. */
  readonly leavesAt: number
  readonly leaving: Leaving
  /** It sends everything at once; where DATA is refused its body is read as commands. */
  readonly isBlind: boolean
  /** Its steps come in any order: bodies under foreign envelopes. */
  readonly isNoise: boolean
}

/** One client of a world. */
export class SimulatedClient implements FarEnd {
  readonly wire: Wire
  readonly script: Script
  /** Steps sent, if only their first octets, in order. */
  readonly asked: Step[] = []
  /** Octets sent when the step was whole; a step cut short is not here. */
  readonly wholeAt = new Map<Step, number>()
  isDone = false
  readonly #random: Random
  #heard = ''
  #replies = 0
  #turn = 0
  #sent = 0
  #hasLeft = false
  #lastReply = ''

  constructor(wire: Wire, script: Script, random: Random) {
    this.wire = wire
    this.script = script
    this.#random = random
    setTimeout(() => this.#nextTurn(), random.below(40))
  }

  onText(text: string): void {
    this.#heard += text
    for (;;) {
      const [reply] = repliesIn(this.#heard)
      if (reply === undefined) break
      this.#heard = this.#heard.slice(reply.length)
      this.#lastReply = reply
      this.#replies++
    }
    if (this.#replies >= this.asked.length) this.#nextTurn()
  }

  onGone(): void {
    this.isDone = true
  }

  #nextTurn(): void {
    if (this.isDone || this.#hasLeft) return
    const turn = this.script.turns[this.#turn++]
    if (turn === undefined) {
      this.#leave(this.script.leaving)
      return
    }
    const [first] = turn
    const isUnwanted = first?.kind === 'body' && !this.#lastReply.startsWith('354')
    if (isUnwanted || turn.length === 0) {
      this.#nextTurn()
      return
    }
    const pauseMs = this.#random.chance(0.1) ? this.#random.below(300) : 0
    setTimeout(() => this.#send(turn), pauseMs)
  }

  #send(turn: readonly Step[]): void {
    if (this.isDone) return
    let text = ''
    for (const step of turn) {
      if (this.#sent + text.length >= this.script.leavesAt) break
      this.asked.push(step)
      text += step.text
      this.wholeAt.set(step, this.#sent + text.length)
    }
    const room = this.script.leavesAt - this.#sent
    const part = text.slice(0, room)
    for (const piece of this.#piecesOf(part)) this.wire.say(piece)
    this.#sent += part.length
    if (part.length === room) this.#leave(this.script.leaving)
  }

  #piecesOf(text: string): readonly string[] {
    if (text.length < 400 && this.#random.chance(0.5)) return this.#random.pieces(text)
    if (this.#random.chance(0.6)) return this.#random.pieces(text, 1 + text.length / 10)
    const cut = this.#random.below(text.length + 1)
    return [text.slice(0, cut), text.slice(cut)].filter((piece) => piece !== '')
  }

  #leave(how: Leaving): void {
    this.#hasLeft = true
    if (how === 'cut') this.wire.cut()
    else if (how === 'end') this.wire.end()
  }
}

/** The whole replies in a text, in order. RFC 5321 §4.2: `250-` goes on, `250 ` ends. */
export function repliesIn(text: string): readonly string[] {
  return text.match(/(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\n/g) ?? []
}
