/**
 * The world of one journey, in memory: client, mailhost, questions, lists and log behind the ports,
 * on a virtual clock. What a port must answer comes back when the clock is pumped, never from
 * inside the call. The mailhost keeps every octet it was sent, as on the wire.
 */
import assert from 'node:assert/strict'
import type { Finding } from '../../src/checks/finding.ts'
import { Pass } from '../../src/io/socket-pass.ts'
import { type Client, compilePolicy, Journey } from '../../src/journey/journey.ts'
import { defaultPolicy, type JourneyPolicy } from '../../src/journey/policy.ts'
import type { Answer, Ports, Question, VerdictRecord } from '../../src/journey/ports.ts'
import { type ScanBody, scanBodyByteLoop } from '../../src/smtp/body-scanner.ts'
import { octetsOf, textOf } from '../../src/smtp/octets.ts'
import type { Reply } from '../../src/smtp/reply.ts'

/** A message that the mailhost has answered 250 for. */
export interface Delivered {
  readonly mailArguments: string
  readonly recipients: readonly string[]
  /** As on the wire, without the final dot line, without our Received field. */
  readonly octets: string
  /** Our Received field. */
  readonly received: string
}

/** How the world behaves. */
export interface WorldOptions {
  readonly policy?: Partial<JourneyPolicy>
  readonly client?: Partial<Client>
  readonly scanBody?: ScanBody
  readonly offered?: readonly string[]
  readonly sizeMax?: number
  /** Reply to a recipient; default 250 2.1.5. */
  readonly recipientReply?: (argument: string) => string | Reply
  readonly dataReply?: () => string
  readonly deliveryReply?: () => string
  readonly mailhostMs?: () => number
  readonly examine?: (question: Question) => readonly Finding[] | 'never'
  readonly examineMs?: () => number
  readonly isProvisional?: boolean
  readonly isTrustedName?: boolean
  readonly whitelist?: readonly string[]
  /** Does body() answer false (and drain later)? */
  readonly isSlowMailhost?: () => boolean
  /** Does reply() answer false (and drain later)? */
  readonly isSlowClient?: () => boolean
}

/** The policy of most tests: ours is protected.example. */
export const testPolicy: JourneyPolicy = {
  ...defaultPolicy,
  name: 'mx.protected.example',
  recipientDomains: ['protected.example', '*.sub.example'],
}

const allOffered = [
  'PIPELINING',
  'SIZE',
  '8BITMIME',
  'SMTPUTF8',
  'DSN',
  'ENHANCEDSTATUSCODES',
  'CHUNKING',
]

/** One client's world. */
export class World {
  readonly journey: Journey
  readonly verdicts: VerdictRecord[] = []
  readonly findings: Finding[] = []
  readonly delivered: Delivered[] = []
  readonly questions: Question[] = []
  /** Everything that the journey did to its ports, for the order of things. */
  readonly calls: string[] = []
  /** Every octet of message bodies that went to the mailhost, delivered or not. */
  bodySent = ''
  /** Message octets that the journey let go by unseen. */
  octetsPassed = 0
  output = ''
  nowMs = 1_000_000
  isClosed = false
  /** The client was closed, and what it still sends is read for a while. */
  isEndAwaited = false
  isPaused = false
  isTlsAsked = false
  /** Most octets that lay in the journey's ports unanswered at once. */
  releases = 0
  readonly #options: WorldOptions
  readonly #queue: { atMs: number; run: () => void }[] = []
  #deadlineAtMs = 0
  #generation = 0
  #forgotten = 0
  #envelope: { mailArguments: string; recipients: string[]; octets: string } | undefined
  #isInBody = false
  #pass: Pass | undefined
  #passedAtMs = 0
  #live: { chunk: Uint8Array; start: number; end: number } | undefined
  #ids = 0

  constructor(options: WorldOptions = {}) {
    this.#options = options
    const policy = { ...testPolicy, ...options.policy }
    const compiled = compilePolicy(policy, options.scanBody ?? scanBodyByteLoop)
    this.journey = new Journey(compiled, this.#ports(), {
      address: '192.0.2.7',
      port: 4321,
      isTrusted: false,
      verdictClass: 0,
      isEarlyTalker: false,
      acceptedAtMs: this.nowMs,
      ...options.client,
    })
    this.journey.onOpen(this.nowMs)
    this.pump()
  }

  /** The client sends text, in one piece. */
  send(text: string): this {
    return this.sendOctets(octetsOf(text))
  }

  /** The client sends octets, in one piece. */
  sendOctets(octets: Uint8Array): this {
    if (this.isClosed || this.#isPassed(octets)) return this
    this.#live = { chunk: octets, start: 0, end: octets.length }
    this.journey.onBytes(octets, 0, octets.length, this.nowMs)
    this.#live = undefined
    // The chunk is not the journey's: whoever keeps a view of it will read nonsense.
    octets.fill(0x21)
    this.pump()
    return this
  }

  /** The client closes its side. */
  end(): this {
    this.#endPass()
    this.journey.onEnd(this.nowMs)
    this.pump()
    return this
  }

  /** The connection breaks. */
  lose(): this {
    this.#endPass()
    this.isClosed = true
    this.journey.onClosed(this.nowMs)
    this.pump()
    return this
  }

  /** Time passes; what falls due happens. */
  passes(ms: number): this {
    const until = this.nowMs + ms
    for (;;) {
      this.pump()
      const next = Math.min(this.#nextAt(), this.#deadlineAtMs || Number.POSITIVE_INFINITY)
      if (next > until) break
      this.nowMs = Math.max(this.nowMs, next)
      if (this.#deadlineAtMs !== 0 && this.#deadlineAtMs <= this.nowMs) {
        this.#deadlineAtMs = 0
        this.#endPass()
        if (!this.isClosed) this.journey.onDeadline(this.nowMs)
      }
    }
    this.nowMs = until
    this.pump()
    return this
  }

  /** Everything that is due now happens. */
  pump(): void {
    for (let i = 0; i < 100_000; i++) {
      const index = this.#queue.findIndex((entry) => entry.atMs <= this.nowMs)
      if (index < 0) return
      this.#queue.splice(index, 1)[0]?.run()
    }
    throw new Error('the world does not come to rest')
  }

  /** What the client has been told since the last call. */
  take(): string {
    const { output } = this
    this.output = ''
    return output
  }

  /** Lets everything that is under way finish. */
  rest(): this {
    while (this.#queue.length > 0) this.passes(Math.max(0, this.#nextAt() - this.nowMs))
    return this
  }

  /** Octets that the journey lets go by, as an engine does it; what it does not is told. */
  #isPassed(octets: Uint8Array): boolean {
    const isTaking = this.#isInBody && this.#options.isSlowMailhost?.() !== true
    const passed = isTaking ? this.#pass?.take(octets) : undefined
    if (passed === undefined) {
      this.#endPass()
      return false
    }
    this.#passedAtMs = this.nowMs
    this.octetsPassed += octets.length
    if (passed.length > 0) this.#take(passed, 0, passed.length)
    octets.fill(0x21)
    return true
  }

  #endPass(): void {
    const pass = this.#pass
    this.#pass = undefined
    if (pass === undefined || this.isClosed) return
    const silentMs = this.nowMs - this.#passedAtMs
    this.journey.onPassed(pass.octets, pass.scanState, silentMs, this.nowMs)
  }

  #nextAt(): number {
    return this.#queue.reduce((least, { atMs }) => Math.min(least, atMs), Number.POSITIVE_INFINITY)
  }

  #later(ms: number, run: () => void): void {
    const atMs = this.nowMs + ms
    const index = this.#queue.findIndex((entry) => entry.atMs > atMs)
    this.#queue.splice(index < 0 ? this.#queue.length : index, 0, { atMs, run })
  }

  /** The mailhost answers, unless it was abandoned meanwhile. */
  #answer(run: () => void): void {
    const generation = this.#generation
    this.#later(this.#options.mailhostMs?.() ?? 0, () => {
      if (generation === this.#generation) run()
    })
  }

  #ports(): Ports {
    const options = this.#options
    const offered = new Set(options.offered ?? allOffered)
    const whitelist = new Set(options.whitelist)
    return {
      client: {
        reply: (text) => {
          assert(!this.isClosed, 'nothing is said after close')
          assert(/^(\d\d\d[ -][^\r\n\0]*\r\n)+$/.test(text), `a whole reply: ${text}`)
          this.output += text
          if (options.isSlowClient?.() !== true) return true
          this.#later(5, () => this.journey.onDrain(this.nowMs))
          return false
        },
        pause: () => {
          assert(!this.isPaused, 'paused once')
          this.isPaused = true
        },
        resume: () => {
          assert(this.isPaused, 'resumed after pause')
          this.isPaused = false
        },
        passBody: (scanState, octetsMax) => {
          assert(this.#live !== undefined, 'only while octets are taken')
          this.#passedAtMs = this.nowMs
          this.#pass = new Pass(0, scanState, octetsMax)
        },
        deadline: (afterMs) => {
          this.#deadlineAtMs = afterMs === 0 ? 0 : this.nowMs + afterMs
        },
        close: (isDone) => {
          this.isClosed = true
          this.isEndAwaited = isDone !== true
          this.#later(0, () => this.journey.onClosed(this.nowMs))
        },
        startTls: () => {
          this.isTlsAsked = true
          this.#deadlineAtMs = 0
        },
      },
      transfer: this.#transfer(),
      offers: { offered, sizeMax: options.sizeMax ?? 0 },
      questions: {
        trustedName: () => {
          const findings: Finding[] = []
          if (options.isTrustedName === true) {
            findings.push({
              layer: 'connect',
              outcome: 'positive',
              name: 'trusted-name',
              evidence: [],
            })
          }
          this.#answerQuestion({ question: 'trusted-name', findings })
        },
        examine: (question) => {
          this.questions.push(question)
          this.calls.push('examine')
          if (options.isProvisional === true) {
            this.#later(0, () => this.journey.onDeferred(this.nowMs))
          }
          const findings = options.examine?.(question) ?? []
          if (findings !== 'never') this.#answerQuestion({ question: 'examine', findings })
        },
        forget: () => {
          this.calls.push('forget')
          this.#forgotten++
        },
      },
      lists: {
        isWhitelisted: (sender) => whitelist.has(sender.toLowerCase()),
        listsOf: (verdictClass) => [`list-${verdictClass}`],
      },
      records: {
        verdict: (record) => {
          this.verdicts.push(record)
        },
        finding: (finding) => {
          this.findings.push(finding)
        },
        newId: () => `ID${++this.#ids}`,
        wallMs: () => this.nowMs,
      },
    }
  }

  #answerQuestion(answer: Answer): void {
    const forgotten = this.#forgotten
    this.#later(this.#options.examineMs?.() ?? 0, () => {
      if (forgotten === this.#forgotten) this.journey.onAnswer(answer, this.nowMs)
    })
  }

  #transfer(): Ports['transfer'] {
    const options = this.#options
    return {
      begin: (mailArguments, helo, protocol) => {
        assert(this.#envelope === undefined, 'one envelope at a time')
        this.calls.push(`begin ${mailArguments} of ${helo} ${protocol}`)
        this.#envelope = { mailArguments, recipients: [], octets: '' }
      },
      recipient: (argument, domain) => {
        this.calls.push(`recipient ${argument} ${domain}`)
        this.#answer(() => {
          const said = options.recipientReply?.(argument) ?? '250 2.1.5 ok'
          const reply = typeof said === 'string' ? parseReply(said) : said
          if (reply.code < 300) this.#envelope?.recipients.push(argument)
          this.journey.onRecipientReply(reply, this.nowMs)
        })
      },
      release: () => {
        this.calls.push('release')
        this.releases++
      },
      data: () => {
        this.calls.push('data')
        this.#answer(() => {
          const reply = parseReply(options.dataReply?.() ?? '354 go on')
          this.#isInBody = reply.code === 354
          this.journey.onDataReply(reply, this.nowMs)
        })
      },
      body: (octets) => this.#take(octets, 0, octets.length),
      bodyForward: (start, end) => {
        const live = this.#live
        assert(
          live !== undefined && start >= live.start && end <= live.end,
          'inside the live chunk',
        )
        assert(start < end, 'something is forwarded')
        return this.#take(live.chunk, start, end)
      },
      endOfData: () => this.#deliver(),
      abandon: () => {
        this.calls.push('abandon')
        this.#generation++
        this.#envelope = undefined
        this.#isInBody = false
      },
    }
  }

  #take(chunk: Uint8Array, start: number, end: number): boolean {
    assert(this.#isInBody && this.#envelope !== undefined, 'body only after 354')
    const text = textOf(chunk, start, end)
    this.bodySent += text
    this.#envelope.octets += text
    if (this.#options.isSlowMailhost?.() !== true) return true
    this.#answer(() => this.journey.onTransferDrain(this.nowMs))
    return false
  }

  #deliver(): void {
    this.calls.push('endOfData')
    const envelope = this.#envelope
    assert(this.#isInBody && envelope !== undefined, 'final dot only after 354')
    this.#isInBody = false
    const { octets } = envelope
    assert(octets === '' || octets.endsWith('\r\n'), 'the final dot begins a line')
    this.#answer(() => {
      const reply = parseReply(this.#options.deliveryReply?.() ?? '250 2.0.0 queued')
      this.#envelope = undefined
      if (reply.code === 250) {
        const received = /^Received: [^\n]*\n(?:\t[^\n]*\n)*/.exec(octets)?.[0] ?? ''
        const rest = octets.slice(received.length)
        this.delivered.push({ ...envelope, octets: rest, received })
      }
      this.journey.onDeliveryReply(reply, this.nowMs)
    })
  }
}

/** `550 5.1.1 text` as a Reply; lines are separated by `|`. */
export function parseReply(text: string): Reply {
  const [, code = '', enhanced = '', rest = ''] =
    /^(\d\d\d) ?(\d\.\d+\.\d+)? ?(.*)$/.exec(text) ?? []
  return { code: Number(code), enhanced, lines: rest.split('|') }
}

/** A small header and body. */
export const plainMessage =
  'From: <a@client.example>\r\nDate: Sat, 21 Nov 2026 23:00:00 +0000\r\n' +
  'Message-ID: <1@client.example>\r\nSubject: hello\r\n\r\nbody\r\n'

/** EHLO, MAIL, RCPT with their replies taken away. */
export function withEnvelope(world: World, sender = 'a@client.example'): World {
  world.send(`EHLO client.example\r\n`).send(`MAIL FROM:<${sender}>\r\n`)
  world.send('RCPT TO:<victim@protected.example>\r\n')
  world.take()
  return world
}
