/**
 * SMTP probe: one conversation with a server that somebody else chose, without any I/O.
 *
 *   connected ─ greeting ─ EHLO (HELO) ─ [STARTTLS ─ EHLO] ─┬─ MAIL ─ RCPT ─┬─ RSET ─┐
 *                                                           └───────────────┼────────┘
 *                                        DATA and a header, at depth only ──┴─ QUIT or close
 *
 * Octets come in through on…, effects go out through ProbeEffects; the driver is converse.ts.
 * Invariants: DATA is sent at depth `data` and `message` only, for the last question only, and the
 * final dot never: after DATA the connection is reset. What the server sends is bounded in lines
 * and octets; a reply that nobody asked for ends the conversation. One that came by itself shifts
 * all behind it, so where an acceptance condemns, the reply to QUIT is to come next. `onEnded`
 * comes exactly once.
 * RFC 5321 §4.1.4 (order of commands), RFC 3207 §4.2.
 */
import {
  probeAddressOctetsMax,
  probeLinesMax,
  probeOctetsMax,
  probeReplyLinesMax,
} from '../base/limits.ts'
import type { ProbeStep } from '../checks/reply-meaning.ts'
import type { Reply } from '../smtp/reply.ts'
import { ReplyReader } from '../smtp/reply-reader.ts'
import type { Depth } from './settings.ts'

/** One transaction to offer. Paths without angle brackets, '' = the null path. */
export interface ProbeQuestion {
  readonly name: string
  readonly sender: string
  readonly recipient: string
}

/** What to ask, and whether to go on after a question's last reply. */
export interface ProbePlan {
  readonly helo: string
  /** None: the connection alone was the question; nothing is sent. */
  readonly questions: readonly ProbeQuestion[]
  /** How far the last question goes. */
  readonly depth: Depth
  /** STARTTLS where it is offered. */
  readonly isTlsTried: boolean
  readonly goesOn: (question: ProbeQuestion, step: ProbeStep, reply: Reply) => boolean
  /** Behind a recipient that is taken, a reply to QUIT other than 221 is another command's. */
  readonly isQuitRead?: boolean
}

/** A reply with its place. `question` is '' before the first MAIL. */
export interface ProbeAnswer {
  readonly step: ProbeStep
  readonly question: string
  readonly reply: Reply
}

/** How the conversation ended: in order, or by whose fault. */
export type ProbeEnd =
  | 'finished'
  | 'closed-by-peer'
  | 'nonsense'
  | 'too-much'
  | 'timed-out'
  | 'tls-failed'
  | 'unsafe-address'

/** Everything that was learnt. */
export interface ProbeReport {
  readonly end: ProbeEnd
  readonly answers: readonly ProbeAnswer[]
  /** `C: EHLO …` and `S: 250 …`, bounded; peer octets as the reply reader keeps them. */
  readonly dialogue: readonly string[]
}

/** What the probe does to the world. */
export interface ProbeEffects {
  send(text: string): void
  /** TLS over the connection; then onTlsEstablished or onTlsFailed. */
  startTls(): void
  /** Starts the wait for the next reply. */
  awaitReply(step: ProbeStep): void
  /** Closes: in order, or with a reset (behind DATA, and for whoever misbehaves). */
  close(how: 'quit' | 'reset'): void
  onEnded(report: ProbeReport): void
}

type State = ProbeStep | 'connecting' | 'tls' | 'reset' | 'quit' | 'ended'

/** The header that depth `message` offers; no final dot ever follows it. */
const offeredHeader = 'Subject: address verification\r\n\r\n'

/** One conversation. */
export class SmtpProbe {
  readonly #plan: ProbePlan
  readonly #effects: ProbeEffects
  readonly #reader = new ReplyReader()
  readonly #answers: ProbeAnswer[] = []
  readonly #dialogue: string[] = []
  #state: State = 'connecting'
  #at = 0
  #isOldHello = false
  #isEncrypted = false
  #octets = 0
  #lines = 0
  #linesOfReply = 0

  constructor(plan: ProbePlan, effects: ProbeEffects) {
    this.#plan = plan
    this.#effects = effects
  }

  /** The connection was made. */
  onConnected(): void {
    const texts = this.#plan.questions.flatMap((each) => [each.sender, each.recipient])
    if (!isSafe(this.#plan.helo) || !texts.every(isSafe)) this.#end('unsafe-address', 'reset')
    else if (this.#plan.questions.length === 0) this.#end('finished', 'quit')
    else this.#await('greeting')
  }

  /** Octets have arrived. */
  onOctets(octets: Uint8Array): void {
    if (this.#state === 'ended') return
    if (!this.#isWithinLimits(octets)) {
      this.#end('too-much', 'reset')
      return
    }
    const reader = this.#reader
    const at = reader.read(octets, 0, octets.length)
    const { reply } = reader
    if (reply !== undefined) {
      this.#linesOfReply = 0
      this.#note('S', `${reply.code} ${reply.enhanced} ${reply.lines.join(' / ')}`)
    }
    // Octets behind a complete reply were sent unasked: the server is out of step.
    const isOutOfStep = reply !== undefined && at < octets.length
    if (reader.fault !== undefined || isOutOfStep) this.#end('nonsense', 'reset')
    else if (reply !== undefined) this.#take(reply)
  }

  /** The peer will send no more. */
  onEnd(): void {
    this.#end(this.#state === 'quit' ? 'finished' : 'closed-by-peer', 'reset')
  }

  /** A wait ended without a whole reply. */
  onTimeout(): void {
    // At depth `message` silence behind the header is what an honest server does.
    const isDone = this.#state === 'message' || this.#state === 'quit'
    this.#end(isDone ? 'finished' : 'timed-out', 'reset')
  }

  onTlsEstablished(): void {
    this.#isEncrypted = true
    this.#note('-', 'TLS')
    this.#hello()
  }

  onTlsFailed(reason: string): void {
    this.#note('-', `TLS failed: ${reason}`)
    this.#end('tls-failed', 'reset')
  }

  #isWithinLimits(octets: Uint8Array): boolean {
    this.#octets += octets.length
    for (const octet of octets) {
      if (octet !== 0x0a) continue
      this.#lines++
      this.#linesOfReply++
    }
    const areLinesFew = this.#lines <= probeLinesMax && this.#linesOfReply <= probeReplyLinesMax
    return areLinesFew && this.#octets <= probeOctetsMax
  }

  #take(reply: Reply): void {
    const state = this.#state
    if (state === 'greeting') this.#takeGreeting(reply)
    else if (state === 'hello') this.#takeHello(reply)
    else if (state === 'starttls') this.#takeStartTls(reply)
    else if (state === 'reset') this.#takeReset(reply)
    else if (state === 'quit') this.#end(reply.code === 221 ? 'finished' : 'nonsense', 'quit')
    else if (state === 'connecting' || state === 'tls') this.#end('nonsense', 'reset')
    else if (state !== 'ended') this.#takeAnswer(state, reply)
  }

  #takeGreeting(reply: Reply): void {
    if (this.#isGood(reply)) this.#hello()
  }

  #takeReset(reply: Reply): void {
    if (reply.code === 421) this.#end('closed-by-peer', 'reset')
    else this.#ask()
  }

  /** Notes the reply; a refusal of greeting or HELO ends the conversation in order. */
  #isGood(reply: Reply): boolean {
    this.#answer(reply)
    const isGood = reply.code >= 200 && reply.code < 300
    if (!isGood) this.#end('finished', 'quit')
    return isGood
  }

  #hello(): void {
    this.#command('hello', `${this.#isOldHello ? 'HELO' : 'EHLO'} ${this.#plan.helo}`)
  }

  #takeHello(reply: Reply): void {
    if (!this.#isOldHello && !this.#isEncrypted && reply.code >= 500 && reply.code <= 504) {
      this.#isOldHello = true
      this.#hello()
      return
    }
    if (!this.#isGood(reply)) return
    const offersTls = reply.lines.some((line) => line.trim().toUpperCase() === 'STARTTLS')
    if (offersTls && this.#plan.isTlsTried && !this.#isEncrypted) {
      this.#command('starttls', 'STARTTLS')
      return
    }
    this.#ask()
  }

  #takeStartTls(reply: Reply): void {
    if (reply.code === 220) {
      this.#state = 'tls'
      this.#effects.startTls()
    } else {
      this.#ask()
    }
  }

  #ask(): void {
    const question = this.#plan.questions[this.#at]
    if (question === undefined) this.#end('finished', 'quit')
    else this.#command('mail', `MAIL FROM:<${question.sender}>`)
  }

  #takeAnswer(step: ProbeStep, reply: Reply): void {
    const question = this.#plan.questions[this.#at]
    this.#answer(reply)
    const isAccepted = reply.code >= 200 && reply.code < 400
    const isLast = this.#at === this.#plan.questions.length - 1
    const goesDeeper = isLast && this.#plan.depth !== 'rcpt'
    if (question === undefined || step === 'message') this.#end('finished', 'reset')
    else if (reply.code === 421) this.#end('closed-by-peer', 'reset')
    else if (step === 'data' && reply.code === 354) this.#takeGoAhead()
    else if (step === 'mail' && isAccepted) {
      this.#command('recipient', `RCPT TO:<${question.recipient}>`)
    } else if (step === 'recipient' && isAccepted && goesDeeper) this.#command('data', 'DATA')
    else if (!isLast && this.#plan.goesOn(question, step, reply)) this.#reset()
    else if (this.#plan.isQuitRead === true && step === 'recipient' && isAccepted) this.#quit()
    else this.#end('finished', 'quit')
  }

  #quit(): void {
    this.#state = 'quit'
    this.#note('C', 'QUIT')
    this.#effects.send('QUIT\r\n')
    this.#effects.awaitReply('recipient')
  }

  #reset(): void {
    this.#at++
    this.#state = 'reset'
    this.#note('C', 'RSET')
    this.#effects.send('RSET\r\n')
    this.#effects.awaitReply('mail')
  }

  #takeGoAhead(): void {
    if (this.#plan.depth === 'message') {
      this.#note('C', '(a header, no final dot)')
      this.#effects.send(offeredHeader)
      this.#await('message')
    } else {
      this.#end('finished', 'reset')
    }
  }

  #command(step: ProbeStep, text: string): void {
    this.#note('C', text)
    this.#effects.send(`${text}\r\n`)
    this.#await(step)
  }

  #await(step: ProbeStep): void {
    this.#state = step
    this.#effects.awaitReply(step)
  }

  #answer(reply: Reply): void {
    const question = this.#plan.questions[this.#at]?.name ?? ''
    const isAsked = this.#state !== 'greeting' && this.#state !== 'hello'
    const step = this.#state as ProbeStep
    this.#answers.push({ step, question: isAsked ? question : '', reply })
  }

  #note(who: 'C' | 'S' | '-', text: string): void {
    if (this.#dialogue.length < probeLinesMax) this.#dialogue.push(`${who}: ${text.slice(0, 512)}`)
  }

  #end(end: ProbeEnd, how: 'quit' | 'reset'): void {
    if (this.#state === 'ended') return
    const isQuitDue = this.#answers.length > 0 && this.#state !== 'quit'
    this.#state = 'ended'
    if (how === 'quit' && isQuitDue) {
      this.#note('C', 'QUIT')
      this.#effects.send('QUIT\r\n')
    }
    this.#effects.close(how)
    this.#effects.onEnded({ end, answers: this.#answers, dialogue: this.#dialogue })
  }
}

/**
 * May the text stand in a command of ours? No control character, no blank, no angle bracket,
 * nothing beyond ASCII, bounded: an address that a client chose never becomes a second command.
 */
export function isSafe(text: string): boolean {
  if (text.length > probeAddressOctetsMax) return false
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code <= 0x20 || code >= 0x7f || code === 0x3c || code === 0x3e) return false
  }
  return true
}
