/**
 * Inquiry: one question to the outside, made and written down: about a host (step 5: relay or
 * dialup by the outcome of the reverse connection, never both), a sender (step 6) or a recipient
 * (call-ahead).
 *
 * One run per key, whoever waits for it, within the budgets of the client and the destination
 * domain; what comes out is kept and told. When to ask whom is the broker's.
 */
import { randomBytes } from 'node:crypto'
import { endpointText } from '../base/endpoint.ts'
import { domainWaitersMax } from '../base/limits.ts'
import type { Finding } from '../checks/finding.ts'
import type { Mailbox } from '../checks/sender-key.ts'
import { RateBudget } from './budget.ts'
import { callAhead } from './call-ahead.ts'
import type { Caller } from './caller.ts'
import { testDialup } from './dialup-test.ts'
import type { NameService } from './dns.ts'
import { hostKey } from './guard.ts'
import type { NamePatterns } from './name-patterns.ts'
import { readRelayReport, relayPlan } from './relay-test.ts'
import type { ProbeSettings } from './settings.ts'
import { makeFinding, type ProbeTools, type TestResult } from './tools.ts'
import { Turns } from './turns.ts'
import { testUser, type UserResult } from './user-test.ts'
import {
  type HostTests,
  hostCacheKey,
  type MailboxRole,
  mailboxCacheKey,
  type VerdictMemory,
} from './verdict-memory.ts'

/** One probe as the log tells it. */
export interface ProbeRecord {
  readonly time: number
  readonly test: 'host' | MailboxRole
  /** The client that caused it; '' = an operator. */
  readonly client: string
  /** Address or mailbox that was asked about. */
  readonly subject: string
  /** `address:port` that was asked, '' = nobody was. */
  readonly target: string
  readonly finding: Finding
  readonly dialogue: readonly string[]
  readonly ms: number
}

/** What inquiries are made with. */
export interface InquiryParts {
  readonly settings: ProbeSettings
  readonly names: NameService
  readonly patterns: NamePatterns
  readonly caller: Caller
  readonly memory: VerdictMemory
  readonly now: () => number
  readonly wallNow: () => number
  readonly onProbe: (record: ProbeRecord) => void
}

/** What came out, and whether somebody was asked for it now. */
interface Told {
  readonly result: UserResult
  readonly isAsked: boolean
}

/** Asks. One per broker. */
export class Inquiry {
  #parts: InquiryParts
  readonly #flights = new Map<string, Promise<UserResult>>()
  readonly #turns = new Turns(domainWaitersMax)
  readonly #perClient: RateBudget
  readonly #perDomain: RateBudget

  constructor(parts: InquiryParts) {
    this.#parts = parts
    this.#perClient = new RateBudget(parts.settings.perClient)
    this.#perDomain = new RateBudget(parts.settings.perDomain)
  }

  /** New settings: what runs ends by the old ones, and is still joined and counted. */
  configure(parts: Pick<InquiryParts, 'settings' | 'names' | 'patterns' | 'memory'>): void {
    this.#parts = { ...this.#parts, ...parts }
    this.#perClient.configure(parts.settings.perClient)
    this.#perDomain.configure(parts.settings.perDomain)
  }

  /** What is known of a host, or what asking it finds. */
  async host(address: string, tests: HostTests): Promise<Finding> {
    const { memory, now } = this.#parts
    const key = hostCacheKey(address, tests)
    const known = memory.host(key)
    if (known !== undefined) return known
    const layer = tests.relay ? 'relay' : 'dialup'
    const { finding } = await this.#flight(key, async () => {
      if (!this.#perClient.take(hostKey(address), now())) return spent(layer, 'client')
      const result = await this.#askHost(address, tests, address)
      if (isUnasked(result.finding)) this.#perClient.giveBack(hostKey(address), now())
      return result
    })
    return finding
  }

  /** The same of a sender, or of a recipient of ours. */
  async mailbox(role: MailboxRole, mailbox: Mailbox, client: string): Promise<Finding> {
    const known = this.#parts.memory.mailbox(role, mailbox)
    if (known !== undefined) return known
    const { finding } = await this.#flight(mailboxCacheKey(role, mailbox), async () => {
      // A mailhost of ours is asked for whoever comes: its bound is the number at once.
      if (role === 'recipient') return (await this.#inTurn(role, mailbox, client)).result
      const nowMs = this.#parts.now()
      if (!this.#perDomain.hasRoom(mailbox.domain, nowMs)) return spent(role, 'domain')
      if (!this.#perClient.take(hostKey(client), nowMs)) return spent(role, 'client')
      this.#perDomain.take(mailbox.domain, nowMs)
      const { result, isAsked } = await this.#inTurn(role, mailbox, client)
      if (!isAsked || isUnasked(result.finding)) this.#giveBack(mailbox.domain, client)
      return result
    })
    return finding
  }

  /**
   * One question at a time to a domain that is not known yet: the first learns whether it takes
   * all, or judges each. Whoever has waited for longer than its client did asks no more.
   */
  async #inTurn(role: MailboxRole, mailbox: Mailbox, client: string): Promise<Told> {
    const { memory, now, settings } = this.#parts
    const { domain } = mailbox
    const ask = async (): Promise<Told> => {
      return { result: await this.#askMailbox(role, mailbox, client), isAsked: true }
    }
    if (memory.domainFact(role, domain) !== undefined) return ask()
    const untilMs = now() + settings.budgetMs
    const line = `${role} ${domain}`
    if (!(await this.#turns.take(line))) return { result: spent(role, 'domain'), isAsked: false }
    try {
      const known = memory.mailbox(role, mailbox)
      if (known !== undefined) return { result: knownResult(known), isAsked: false }
      if (now() > untilMs) return { result: spent(role, 'domain'), isAsked: false }
      if (memory.domainFact(role, domain) === undefined) return await ask()
    } finally {
      this.#turns.pass(line)
    }
    return ask()
  }

  /** For an operator: past memory and the client's budget, but kept, and joined if it runs. */
  askHost(address: string, tests: HostTests): Promise<TestResult> {
    return this.#flight(hostCacheKey(address, tests), () => this.#askHost(address, tests, ''))
  }

  /** The same for a sender. */
  askSender(mailbox: Mailbox): Promise<UserResult> {
    const key = mailboxCacheKey('user', mailbox)
    return this.#flight(key, () => this.#askMailbox('user', mailbox, ''))
  }

  /** Asks; meanwhile the host is marked as being asked. */
  async #askHost(address: string, tests: HostTests, client: string): Promise<TestResult> {
    const startMs = this.#parts.now()
    const { caller, memory } = this.#parts
    const found = await caller.mark(address, this.#testHost(address, tests))
    const finding = memory.keepHost(hostCacheKey(address, tests), found.finding)
    const result = { ...found, finding }
    this.#tell('host', client, address, result, startMs)
    return result
  }

  async #askMailbox(role: MailboxRole, mailbox: Mailbox, client: string): Promise<UserResult> {
    const { memory, now, caller, settings } = this.#parts
    const startMs = now()
    const isEachAsked = memory.domainFact(role, mailbox.domain) !== undefined
    const found =
      role === 'user'
        ? await testUser(mailbox, isEachAsked, this.#tools(mailbox.domain))
        : await callAhead(mailbox, isEachAsked, {
            settings,
            attempt: (address, port, plan) => caller.attemptMailhost(address, port, plan),
            randomLocalPart,
          })
    const result = { ...found, finding: memory.keepMailbox(role, mailbox, found) }
    this.#tell(role, client, `${mailbox.local}@${mailbox.domain}`, result, startMs)
    return result
  }

  #giveBack(domain: string, client: string): void {
    const nowMs = this.#parts.now()
    this.#perDomain.giveBack(domain, nowMs)
    this.#perClient.giveBack(hostKey(client), nowMs)
  }

  /** One run per key, whoever waits for it. */
  #flight(key: string, run: () => Promise<UserResult>): Promise<UserResult> {
    const running = this.#flights.get(key)
    if (running !== undefined) return running
    const flight = run().finally(() => this.#flights.delete(key))
    this.#flights.set(key, flight)
    return flight
  }

  /** Step 5: the reverse connection, then relay or dialup by its outcome. */
  async #testHost(address: string, tests: HostTests): Promise<TestResult> {
    const tools = this.#tools('')
    const { settings } = tools
    const needsName = tests.relay && settings.relayForms.some((form) => form !== 'plain')
    const names = needsName ? await tools.names.names(address) : undefined
    const name = names?.kind === 'found' ? (names.records[0] ?? '') : ''
    const plan = relayPlan(tools, address, name, tests.relay)
    const attempt = await tools.attempt(address, name, plan)
    const isTried = attempt.kind !== 'forbidden' && attempt.kind !== 'not-now'
    const target = isTried ? endpointText(address, settings.port) : ''
    if (attempt.kind === 'made') {
      const { report } = attempt
      if (tests.relay) return { ...readRelayReport(report, plan.questions.length), target }
      return { ...notAsked('relay', 'reverse connection made', report.dialogue), target }
    }
    if (attempt.kind === 'refused' || attempt.kind === 'unreachable') {
      const reason = `${attempt.kind} (${attempt.reason})`
      if (tests.dialup) return { ...(await testDialup(address, reason, tools)), target }
      return { ...notAsked('dialup', `reverse connection ${reason}`, []), target }
    }
    const layer = tests.relay ? 'relay' : 'dialup'
    const facts = [`reverse connection ${attempt.kind}: ${attempt.reason}`]
    const finding = makeFinding(layer, 'indeterminate', attempt.kind, facts)
    return { finding, dialogue: facts, target }
  }

  /** `domain`: for whom the breaker learns. */
  #tools(domain: string): ProbeTools {
    const { settings, names, patterns, caller } = this.#parts
    return {
      settings,
      names,
      patterns,
      attempt: (address, name, plan) => caller.attempt(address, name, plan, domain),
      randomLocalPart,
    }
  }

  #tell(
    test: ProbeRecord['test'],
    client: string,
    subject: string,
    { finding, dialogue, target }: TestResult,
    startMs: number,
  ): void {
    const { now, wallNow } = this.#parts
    const time = wallNow()
    const ms = Math.round(now() - startMs)
    this.#parts.onProbe({ time, test, client, subject, target, finding, dialogue, ms })
  }
}

function randomLocalPart(): string {
  return `x${randomBytes(9).toString('hex')}`
}

function notAsked(layer: 'relay' | 'dialup', fact: string, dialogue: readonly string[]) {
  return { finding: makeFinding(layer, 'negative', 'not-asked', [fact]), dialogue }
}

/**
 * Nobody was asked, for a budget, back-off, the breaker or a fault of ours: the asker's budgets are
 * not spent.
 */
function isUnasked({ name }: Finding): boolean {
  return name === 'not-now' || name === 'our-fault'
}

function spent(layer: 'relay' | 'dialup' | MailboxRole, whose: 'client' | 'domain'): TestResult {
  const facts = [`budget of the ${whose}`]
  const finding = makeFinding(layer, 'indeterminate', 'not-now', facts)
  return { finding, dialogue: facts, target: '' }
}

function knownResult(finding: Finding): TestResult {
  return { finding, dialogue: finding.evidence, target: '' }
}
