/**
 * One simulated world: a serving thread as the product builds it (edge, journeys, transfer, pool)
 * over a network in memory, with twenty clients at a time, three mailhosts and a probe broker. All
 * chances come from one seed, the clock is that of fake timers.
 */

import assert from 'node:assert/strict'
import { vi } from 'vitest'
import { Counters } from '../../src/edge/counters.ts'
import { Edge } from '../../src/edge/edge.ts'
import { compilePolicy, type JourneyPolicy, type TestMode } from '../../src/journey/policy.ts'
import type { VerdictRecord } from '../../src/journey/record.ts'
import { scanBodyByteLoop } from '../../src/smtp/body-scanner.ts'
import type { Mailhost, TransferPolicy } from '../../src/transfer/mailhost.ts'
import { SessionCap } from '../../src/transfer/session-cap.ts'
import { testPolicy } from '../journey/world.ts'
import type { Random } from '../support/random.ts'
import { type Letter, type Script, SimulatedClient } from './client.ts'
import { SimulatedDesk } from './desk.ts'
import { type DotAnswer, SimulatedMailhost } from './mailhost.ts'
import { SimulatedNetwork, type WorldNetwork } from './network.ts'
import { newScript } from './script.ts'
import { WakeUpNetwork } from './wake-ups.ts'

/** Clients of one world. */
export const clientsPerWorld = 20

/** How a world is made. */
export interface WorldForm {
  readonly clients: number
  /** Events come in batches, and the service is reloaded, stressed and drained meanwhile. */
  readonly isInWakeUps: boolean
}

const plainForm: WorldForm = { clients: clientsPerWorld, isInWakeUps: false }

const addresses = ['192.0.2.101', '192.0.2.102', '192.0.2.103'] as const

/** A world with its clients under way. */
export class SimulatedWorld {
  readonly clients: SimulatedClient[] = []
  readonly verdicts: VerdictRecord[] = []
  /** Bugs of ours that were met. */
  readonly faults: string[] = []
  readonly mailhosts: readonly SimulatedMailhost[]
  readonly network: WorldNetwork
  readonly edge: Edge
  readonly policy: JourneyPolicy
  readonly keywords: readonly string[]
  readonly troubles = new Map<string, number>()
  readonly #random: Random
  readonly #place: SimulatedMailhost['place']
  readonly #desk: SimulatedDesk
  #letters = 0
  #tokens = 0
  #ids = 0
  readonly #form: WorldForm
  readonly #capMemory = SessionCap.allocate(2)
  readonly #comeMsMax: number
  #stopped: Promise<void> | undefined

  constructor(random: Random, form = plainForm) {
    this.#random = random
    this.#form = form
    this.#comeMsMax = form.isInWakeUps ? random.pick([50, 2_000]) : 2_000
    this.policy = policyOf(random)
    this.keywords = keywordsOf(random)
    this.network = form.isInWakeUps ? new WakeUpNetwork(random) : new SimulatedNetwork(random)
    this.#place = {
      random,
      keywords: this.keywords,
      troubleShare: random.pick([0, 0.02, 0.05, 0.1]),
      troubles: this.troubles,
      event: () => this.network.event,
      newToken: () => `T${++this.#tokens}.`,
      onMessage: (message) => this.#checkSentWhole(message),
    }
    this.mailhosts = addresses.map(() => new SimulatedMailhost(this.#place))
    addresses.forEach((address, at) => {
      this.network.listen(address, (wire) => this.mailhosts[at]?.accept(wire))
    })
    this.#desk = new SimulatedDesk(random, this.network)
    this.edge = this.#newEdge()
    for (let at = 0; at < form.clients; at++) this.#comeClient(at)
    if (form.isInWakeUps) this.#planSignals()
  }

  /** Who sent the letter with this sender. */
  clientOf(sender: string): { client: SimulatedClient; letter: Letter } | undefined {
    for (const client of this.clients) {
      for (const { letter } of client.script.turns.flat()) {
        if (letter?.sender === sender) return { client, letter }
      }
    }
    return undefined
  }

  /** Questions that nobody has answered or given up. */
  get questionsOpen(): number {
    return this.#desk.waiting
  }

  /** Everything that was answered at a final dot. */
  answers(): readonly DotAnswer[] {
    return this.mailhosts.flatMap(({ answers }) => answers)
  }

  /** Runs until every client is gone. */
  run(): void {
    const endMs = Date.now() + 900_000
    const isDone = () =>
      this.clients.length === this.#form.clients && this.clients.every((client) => client.isDone)
    while (!isDone()) {
      assert(Date.now() < endMs, 'every client comes to its end')
      vi.advanceTimersToNextTimer()
    }
  }

  /** Trouble is over: an honest client is served; then nothing is left over. */
  async heal(): Promise<void> {
    this.#place.troubleShare = 0
    this.#desk.isQuiet = true
    this.edge.stress(false)
    vi.advanceTimersByTime(40_000)
    if (this.#stopped === undefined) this.#serveHonest()
    const stopped = this.edge.stop()
    vi.advanceTimersByTime(10_000)
    await stopped
    await this.#stopped
  }

  #serveHonest(): void {
    const letter: Letter = {
      sender: 'honest@client.example',
      recipients: ['honest@protected.example'],
      octets: 'From: honest@client.example\r\n\r\nhello\r\n',
    }
    const client = this.#accept(addressOf(250), honestScript(letter))
    while (!client.isDone) vi.advanceTimersToNextTimer()
    assert(/queued as/.test(client.wire.written), `served: ${client.wire.written}`)
  }

  /** What comes from outside the sockets: reload, stress, drain. */
  #planSignals(): void {
    const random = this.#random
    for (let left = random.below(6); left > 0; left--) {
      setTimeout(() => this.#signal(), random.below(3_000))
    }
    if (random.chance(0.2)) {
      const atMs = random.below(3_000)
      setTimeout(() => {
        this.#stopped = this.edge.stop()
      }, atMs)
      if (random.chance(0.3)) {
        setTimeout(() => {
          this.#stopped = this.edge.close()
        }, atMs + random.below(800))
      }
    }
  }

  #signal(): void {
    const random = this.#random
    this.network.event++
    if (random.chance(0.3)) this.#otherThread()
    else if (random.chance(0.5)) this.edge.stress(random.chance(0.5))
    else {
      const compiled = compilePolicy(this.policy, scanBodyByteLoop)
      this.edge.configure(compiled, transferPolicyOf(random))
    }
  }

  /** Another thread takes a place at a mailhost, waits for one, and gives all of it back. */
  #otherThread(): void {
    const random = this.#random
    const other = new SessionCap(this.#capMemory, 1)
    const slot = random.below(addresses.length)
    const hasPlace = other.take(slot, this.edge.pool.policy.sessionsMax)
    other.waiting(slot, random.below(3))
    setTimeout(() => {
      if (hasPlace) other.release(slot)
      other.waiting(slot, 0)
    }, random.below(2_000))
  }

  #comeClient(at: number): void {
    const random = this.#random
    const isTrusted = random.chance(0.1)
    const { policy, keywords } = this
    const newNumber = () => ++this.#letters
    const script = newScript({ random, policy, isTrusted, keywords, newNumber })
    setTimeout(() => this.#accept(addressOf(at), script, isTrusted), random.below(this.#comeMsMax))
  }

  #accept(address: string, script: Script, isTrusted = false): SimulatedClient {
    const peer = {
      address,
      port: 1024 + this.clients.length,
      localAddress: '203.0.113.5',
      localPort: 25,
      isTrusted,
      verdictClass: 0,
      isEarlyTalker: false,
      acceptedAtMs: Math.floor(performance.now()),
    }
    let client: SimulatedClient | undefined
    this.network.accept(peer, (wire) => {
      client = new SimulatedClient(wire, script, this.#random)
      this.clients.push(client)
      return client
    })
    assert(client !== undefined, 'a client was made')
    return client
  }

  /** A final dot reaches a mailhost only when the client's own has reached the proxy. */
  #checkSentWhole({ sender }: DotAnswer): void {
    const found = this.clientOf(sender)
    assert(found !== undefined, `somebody sends as ${sender}`)
    const { client, letter } = found
    const isEnd = ({ kind, isLast }: { kind: string; isLast?: boolean }) =>
      kind === 'body' || isLast === true
    const whole = client.asked.filter((step) => {
      const at = client.wholeAt.get(step) ?? Number.POSITIVE_INFINITY
      const isOfLetter = client.script.isNoise || step.letter === letter
      return isEnd(step) && isOfLetter && at <= client.wire.arrived
    })
    assert(whole.length > 0, `the client of ${sender} has sent its end of data`)
  }

  #newEdge(): Edge {
    const { network } = this
    const cap = new SessionCap(this.#capMemory, 0)
    return new Edge({
      newEngine: (handler) => {
        network.handler = handler
        return network
      },
      compiled: compilePolicy(this.policy, scanBodyByteLoop),
      transfer: transferPolicyOf(this.#random),
      cap,
      counters: new Counters(Counters.allocate(1), 0),
      lists: {
        isWhitelisted: (sender) => sender.endsWith('7@client.example'),
        listsOf: () => [],
      },
      questions: this.#desk,
      log: {
        verdict: (record) => this.verdicts.push(record),
        record: (record) => {
          const detail = record.event === 'service' && record.what === 'fault' ? record.detail : ''
          if (detail !== '') this.faults.push(detail)
        },
        takes: () => false,
        isTraced: () => false,
      },
      newId: () => `ID${++this.#ids}`,
    })
  }
}

function policyOf(random: Random): JourneyPolicy {
  const mode = (): TestMode => random.pick(['off', 'off', 'off', 'observe', 'tempfail', 'enforce'])
  const indeterminate = random.pick(['pass', 'tempfail'] as const)
  return {
    ...testPolicy,
    hasTrustedNames: random.chance(0.3),
    testsAt: random.pick(['mail', 'rcpt', 'data']),
    dialup: { mode: mode(), indeterminate },
    relay: { mode: mode(), indeterminate },
    user: { mode: mode(), indeterminate },
    headers: {
      mode: mode(),
      indeterminate,
      rules: 'Subject: /bad/ refuse',
      rulesFile: 'rules',
      checks: [],
      receivedMax: 100,
    },
    illegalPipelining: random.pick(['off', 'observe', 'observe', 'tempfail', 'enforce']),
    stray: random.pick(['refuse', 'normalise']),
    sizeOctetsMax: random.pick([0, 3_000, 50_000]),
    timeouts: {
      firstCommandMs: 5_000,
      commandMs: 10_000,
      lineMs: 5_000,
      dataMs: 10_000,
      sessionMs: 7_200_000,
    },
  }
}

function keywordsOf(random: Random): readonly string[] {
  const always = ['SIZE', 'XFORWARD NAME ADDR PORT PROTO HELO SOURCE', 'XCLIENT NAME ADDR PORT']
  const words = ['8BITMIME', 'SMTPUTF8', 'DSN', 'ENHANCEDSTATUSCODES', 'CHUNKING']
  const chosen = words.filter(() => random.chance(0.8))
  return [...always, ...chosen, ...(random.chance(0.8) ? ['PIPELINING'] : [])]
}

function transferPolicyOf(random: Random): TransferPolicy {
  const hosts = addresses.map((address, slot): Mailhost => ({ address, port: 25, slot }))
  return {
    name: 'mx.protected.example',
    tls: 'off',
    trust: '',
    sessionsMax: random.pick([1, 2, 4, 0]),
    waitMs: 5_000,
    stressWaitMs: 1_000,
    clientIdentity: random.pick(['none', 'xforward', 'xforward', 'xclient', 'proxy']),
    connectWaitMs: 1_000,
    replyWaitMs: 4_000,
    finalReplyWaitMs: 6_000,
    idleMs: 5_000,
    transactionsPerSessionMax: random.pick([0, 2]),
    retryMs: 2_000,
    route: { mailhosts: hosts.slice(0, 2) },
    domainRoutes: new Map([['*.sub.example', { mailhosts: hosts.slice(2) }]]),
  }
}

function addressOf(at: number): string {
  return `198.51.100.${at + 1}`
}

function honestScript(letter: Letter): Script {
  const address = letter.recipients[0] ?? ''
  const commands = [
    'EHLO honest.example',
    `MAIL FROM:<${letter.sender}>`,
    `RCPT TO:<${address}>`,
    'DATA',
  ]
  const kinds = ['hello', 'mail', 'rcpt', 'data'] as const
  const turns = kinds.map((kind, at) => [{ kind, text: `${commands[at]}\r\n`, letter, address }])
  const body = { kind: 'body' as const, text: `${letter.octets}.\r\n`, letter }
  return {
    turns: [...turns, [body], [{ kind: 'plain', text: 'QUIT\r\n', want: /^221 / }]],
    leavesAt: Number.POSITIVE_INFINITY,
    leaving: 'end',
    isBlind: false,
    isNoise: false,
  }
}
