/**
 * A simulated mailhost: reads SMTP in its own plain way, and meets with every kind of trouble.
 *
 * It is the witness: it keeps each message whose final dot came, with what it answered and whether
 * the proxy got that answer. Each answer to a final dot bears a token of its own, so that the reply
 * which a client is told can be matched to one message and no other.
 */
import assert from 'node:assert/strict'
import type { Random } from '../support/random.ts'
import type { FarEnd, Wire } from './network.ts'

/** A message whose final dot has come. */
export interface DotAnswer {
  /** Unique over the whole world; stands in the answer. */
  readonly token: string
  readonly sender: string
  /** Those that this mailhost took, as `local@domain`. */
  readonly recipients: readonly string[]
  /** Octets behind the 354, before the final dot line. */
  readonly octets: string
  /** The mailhost has taken charge of it. */
  readonly isStored: boolean
  /** The answer's last line, '' when none was given. */
  readonly answer: string
  /** The network's event in which the proxy had the whole answer; 0 = never. */
  heardAt: number
}

/** What a world's mailhosts have in common. */
export interface MailhostPlace {
  readonly random: Random
  readonly keywords: readonly string[]
  /** Trouble happens with this chance at each step; 0 = none. */
  troubleShare: number
  /** Kinds of trouble that happened. */
  readonly troubles: Map<string, number>
  event(): number
  newToken(): string
  /** Called before a message is taken: is it one that a client has sent whole? */
  onMessage(message: DotAnswer): void
}

const fates = [
  'refuse',
  'refuse',
  'tempfail',
  'tempfail',
  'slow',
  'slow',
  'too-late',
  'silent',
  'cut',
  'cut-after',
  'farewell',
  'nonsense',
] as const
type Fate = (typeof fates)[number] | 'ok' | 'early' | 'stuck' | 'once-more' | 'torn'

/** What may happen at one step alone. */
const ownFates: Readonly<Record<string, readonly Fate[]>> = {
  data: ['early', 'stuck'],
  greeting: ['once-more'],
  dot: ['once-more', 'torn'],
  rset: ['torn'],
  mail: ['torn'],
  rcpt: ['torn'],
}

/** One mailhost. */
export class SimulatedMailhost {
  readonly answers: DotAnswer[] = []
  readonly place: MailhostPlace

  constructor(place: MailhostPlace) {
    this.place = place
  }

  /** A connection comes. */
  accept(wire: Wire): FarEnd | 'silent' | undefined {
    const fate = this.fateAt('connect')
    if (fate === 'ok' || fate === 'slow') return new MailhostSession(this, wire)
    return fate === 'silent' || fate === 'too-late' ? 'silent' : undefined
  }

  /** What happens at a step. */
  fateAt(step: string): Fate {
    const { random, troubleShare, troubles } = this.place
    if (troubleShare === 0 || !random.chance(troubleShare)) return 'ok'
    const own = ownFates[step] ?? []
    const isOwn = own.length > 0 && random.chance(0.3)
    const fate: Fate = isOwn ? random.pick(own) : random.pick(fates)
    const name = `${step} ${fate}`
    troubles.set(name, (troubles.get(name) ?? 0) + 1)
    return fate
  }
}

class MailhostSession implements FarEnd {
  readonly #host: SimulatedMailhost
  readonly #wire: Wire
  #pending = ''
  #sender = ''
  #recipients: string[] = []
  #isInData = false
  /** Answers that the mailhost has not given yet, and when it gives the last of them. */
  #answersDue = 0
  #answerAtMs = 0
  /** It says nothing any more. */
  #isMute = false
  #isOver = false

  constructor(host: SimulatedMailhost, wire: Wire) {
    this.#host = host
    this.#wire = wire
    this.#answer('220 mailhost.example ESMTP', host.fateAt('greeting'), 'greeting')
    const { random, troubleShare } = host.place
    if (troubleShare > 0 && random.chance(0.1)) {
      setTimeout(() => this.#leave('421 4.4.2 idle for too long'), random.below(4_000))
    }
  }

  onText(text: string): void {
    this.#pending += text
    while (!this.#isOver && (this.#isInData ? this.#takeMessage() : this.#takeCommand())) {
      // Each turn takes one command or message.
    }
  }

  onGone(): void {
    this.#isOver = true
  }

  #takeCommand(): boolean {
    const end = this.#pending.indexOf('\r\n')
    if (end < 0) return false
    const line = this.#pending.slice(0, end)
    this.#pending = this.#pending.slice(end + 2)
    assert(!/[\r\n\0]/.test(line), `no stray octet in a command: ${JSON.stringify(line)}`)
    const isAhead = this.#answersDue > 0 || this.#pending !== ''
    const mayPipeline = this.#host.place.keywords.includes('PIPELINING')
    assert(mayPipeline || !isAhead || line === 'QUIT' || line.startsWith('PROXY '), 'one by one')
    this.#obey(line)
    return true
  }

  #obey(line: string): void {
    const [verb = '', ...rest] = line.split(/[ :]/)
    switch (verb) {
      case 'PROXY':
        return
      case 'EHLO':
        this.#forget()
        this.#answer(this.#ehlo(), this.#host.fateAt('ehlo'), 'ehlo')
        return
      case 'HELO':
        this.#forget()
        this.#answer('250 mailhost.example', 'ok', 'helo')
        return
      case 'XFORWARD':
        this.#answer('250 2.0.0 Ok', 'ok', 'xforward')
        return
      case 'XCLIENT':
        this.#answer('220 mailhost.example again', 'ok', 'xclient')
        return
      case 'RSET':
        this.#forget()
        this.#answer('250 2.0.0 Ok', this.#host.fateAt('rset'), 'rset')
        return
      case 'QUIT':
        this.#answer('221 2.0.0 Bye', 'ok', 'quit')
        return
      case 'MAIL':
        this.#obeyMail(rest)
        return
      case 'RCPT':
        this.#obeyRecipient(rest)
        return
      case 'DATA':
        this.#obeyData()
        return
      default:
        throw new Error(`the mailhost got a command that is none: ${JSON.stringify(line)}`)
    }
  }

  #ehlo(): string {
    const lines = ['mailhost.example', ...this.#host.place.keywords]
    return lines.map((word, at) => `250${at < lines.length - 1 ? '-' : ' '}${word}`).join('\r\n')
  }

  #obeyMail(rest: readonly string[]): void {
    assert(this.#sender === '', 'no MAIL inside an envelope')
    const fate = this.#host.fateAt('mail')
    const sender = addressIn(rest.join(':'))
    if (isTaken(fate)) this.#sender = sender
    this.#answer(`250 2.1.0 <${sender}> ok`, fate, 'mail', `<${sender}>`)
  }

  #obeyRecipient(rest: readonly string[]): void {
    const address = addressIn(rest.join(':'))
    assert(/@protected\.example$|\.sub\.example$|^postmaster$/.test(address), `ours: ${address}`)
    if (this.#sender === '') {
      this.#answer(`503 5.5.1 <${address}> without MAIL`, 'ok', 'rcpt')
      return
    }
    const isKnown = !address.startsWith('nobody')
    const fate = isKnown ? this.#host.fateAt('rcpt') : 'refuse'
    if (isTaken(fate)) this.#recipients.push(address)
    this.#answer(`250 2.1.5 <${address}> ok`, fate, 'rcpt', `<${address}>`)
  }

  #obeyData(): void {
    assert(this.#pending === '', 'nothing is sent ahead of 354')
    if (this.#recipients.length === 0) {
      this.#answer('554 5.5.1 no recipients', 'ok', 'data')
      return
    }
    const fate = this.#host.fateAt('data')
    this.#isInData = isTaken(fate) || fate === 'early' || fate === 'stuck'
    if (fate === 'stuck') this.#wire.isStuck = true
    const early = '354 go on\r\n250 2.0.0 done before it came'
    this.#answer(fate === 'early' ? early : '354 go on', fate, 'data')
  }

  #takeMessage(): boolean {
    const end = this.#pending.startsWith('.\r\n') ? -2 : this.#pending.indexOf('\r\n.\r\n')
    if (end === -1) return false
    const octets = this.#pending.slice(0, end + 2)
    this.#pending = this.#pending.slice(end + 5)
    this.#isInData = false
    assert(!/\r(?!\n)|(?<!\r)\n|\0/.test(octets), 'no stray octet in a message')
    const { place, answers } = this.#host
    const fate = this.#host.fateAt('dot')
    const token = place.newToken()
    const isStored = isTaken(fate) || (isMute(fate) && place.random.chance(0.5))
    const answer = `250 2.0.0 queued as ${token}`
    const { text, isSaid } = wordsOf(answer, fate, token)
    const message: DotAnswer = {
      token,
      sender: this.#sender,
      recipients: this.#recipients,
      octets,
      isStored,
      answer: isSaid ? (text.split('\r\n').at(0) ?? '') : '',
      heardAt: 0,
    }
    place.onMessage(message)
    answers.push(message)
    this.#forget()
    this.#answer(answer, fate, 'dot', token, () => {
      message.heardAt = place.event()
    })
    return true
  }

  #forget(): void {
    this.#sender = ''
    this.#recipients = []
  }

  /** Answers as fate has it, behind the answers before; `good` is the answer when all is well. */
  #answer(good: string, fate: Fate, step: string, token = step, onHeard?: () => void): void {
    const { random } = this.#host.place
    const { text, isSaid } = wordsOf(good, fate, token)
    const afterMs = fate === 'slow' ? random.below(1_500) : fate === 'too-late' ? 20_000 : 0
    this.#answersDue++
    this.#answerAtMs = Math.max(this.#answerAtMs, Date.now() + afterMs)
    const say = () => {
      this.#answersDue--
      if (this.#isOver || this.#isMute) return
      if (fate === 'silent') this.#isMute = true
      else if (fate === 'farewell') this.#leave(text, onHeard)
      // Behind the 354, in a piece of its own, it could not be told from the answer to a final dot
      // that is on its way.
      else if (fate === 'torn') this.#wire.say(text.slice(0, random.below(text.length)))
      else if (isSaid) this.#say(text, onHeard, fate === 'early' || fate === 'once-more')
      if (fate !== 'cut' && fate !== 'cut-after' && fate !== 'torn') return
      this.#wire.cut()
      this.#isOver = true
    }
    const waitMs = this.#answerAtMs - Date.now()
    if (waitMs === 0 && this.#answersDue === 1) say()
    else setTimeout(say, waitMs)
  }

  #leave(text: string, onHeard?: () => void): void {
    if (this.#isOver) return
    this.#say(text, onHeard)
    this.#wire.end()
    this.#isOver = true
  }

  #say(text: string, onHeard?: () => void, isWhole = false): void {
    const { random } = this.#host.place
    const pieces = !isWhole && random.chance(0.1) ? random.pieces(`${text}\r\n`) : [`${text}\r\n`]
    pieces.forEach((piece, at) => {
      this.#wire.say(piece, at === pieces.length - 1 ? onHeard : undefined)
    })
  }
}

/** Will the mailhost act on the command, whatever becomes of its answer? */
function isTaken(fate: Fate): boolean {
  return ['ok', 'slow', 'too-late', 'cut-after', 'once-more'].includes(fate)
}

/** Nobody will hear whether it did. */
function isMute(fate: Fate): boolean {
  return fate === 'silent' || fate === 'cut' || fate === 'torn'
}

function wordsOf(good: string, fate: Fate, token: string): { text: string; isSaid: boolean } {
  switch (fate) {
    case 'refuse':
      return { text: `550 5.1.1 ${token} refused`, isSaid: true }
    case 'tempfail':
      return { text: `452 4.3.1 ${token} not now`, isSaid: true }
    case 'farewell':
      return { text: `421 4.3.2 ${token} closing`, isSaid: true }
    case 'nonsense':
      return { text: 'HTTP/1.1 400 Bad Request', isSaid: true }
    case 'once-more':
      return { text: `${good}\r\n250 2.0.0 once more`, isSaid: true }
    case 'torn':
      return { text: good, isSaid: false }
    case 'silent':
    case 'cut':
      return { text: '', isSaid: false }
    default:
      return { text: good, isSaid: true }
  }
}

function addressIn(text: string): string {
  return /<([^>]*)>/.exec(text)?.[1] ?? ''
}
