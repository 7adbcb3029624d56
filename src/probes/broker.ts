/**
 * Probe broker: the only place that asks the outside, one per instance, on the main thread.
 *
 * `examine` answers from the cache at once, or asks: one question per key at a time, whoever waits
 * for it. Step 5 (relay or dialup, by the outcome of the reverse connection, never both) comes before
 * step 6 (user); a client that step 5 condemns is not asked further. All of it stays within the time
 * budget: then the answer is *indeterminate*, and what still runs reaches the cache. A client whose
 * host is being probed by us at this moment is deferred, so that two such proxies never wait for each
 * other; its answer follows, so that this is no way round. The null sender causes no question at all
 * (probes come with it), but what is known of its host holds for it too.
 */
import { randomBytes } from 'node:crypto'
import type { Finding } from '../checks/finding.ts'
import { type Mailbox, mailboxOf, senderKey } from '../checks/sender-key.ts'
import type { Question } from '../journey/ports.ts'
import { RateBudget } from './budget.ts'
import { Caller } from './caller.ts'
import type { Converse } from './converse.ts'
import { testDialup } from './dialup-test.ts'
import type { NameService } from './dns.ts'
import { hostKey } from './guard.ts'
import type { NamePatterns } from './name-patterns.ts'
import { readRelayReport, relayPlan } from './relay-test.ts'
import type { ProbeSettings } from './settings.ts'
import { isSafe } from './smtp-probe.ts'
import { makeFinding, type ProbeTools, type TestResult } from './tools.ts'
import { testUser, type UserResult } from './user-test.ts'
import type { VerdictCache } from './verdict-cache.ts'

/** Hosts that the tests leave alone: the relay and dialup databases. */
export interface Exemptions {
  isRelayExempt(address: string): boolean
  isDialupExempt(address: string): boolean
}

/** Where an examination's answer goes. Exactly one `onAnswer`, which may come inside `examine`. */
export interface Respondent {
  /** The answer comes later, and RCPT is not to wait for it; DATA is. */
  onDeferred(): void
  onAnswer(findings: readonly Finding[]): void
}

/** One probe as the log tells it. */
export interface ProbeRecord {
  readonly time: number
  readonly test: 'host' | 'user'
  /** Address or sender that was asked about. */
  readonly subject: string
  readonly finding: Finding
  readonly dialogue: readonly string[]
  readonly ms: number
}

/** What a broker is made of. */
export interface BrokerParts {
  readonly settings: ProbeSettings
  readonly names: NameService
  readonly patterns: NamePatterns
  readonly converse: Converse
  readonly cache: VerdictCache
  readonly exemptions: Exemptions
  readonly now: () => number
  readonly onProbe: (record: ProbeRecord) => void
}

/** Which of the host tests are asked for an address. */
interface HostTests {
  readonly relay: boolean
  readonly dialup: boolean
}

/** Greylisting lifts within minutes: what said *later* is asked again soon. */
const tryLaterKeepMsMax = 600_000

/** The broker. */
export class ProbeBroker {
  readonly #parts: BrokerParts
  readonly #settings: ProbeSettings
  readonly #caller: Caller
  readonly #flights = new Map<string, Promise<Finding>>()
  readonly #domainsAsked = new Map<string, Promise<Finding>>()
  readonly #perClient: RateBudget
  readonly #perDomain: RateBudget
  #isStopped = false

  constructor(parts: BrokerParts) {
    this.#parts = parts
    this.#settings = parts.settings
    this.#caller = new Caller(parts.settings, parts.converse, parts.now)
    this.#perClient = new RateBudget(parts.settings.perClient)
    this.#perDomain = new RateBudget(parts.settings.perDomain)
  }

  /** Conversations with the outside now. */
  get inFlight(): number {
    return this.#caller.inFlight
  }

  /** Answers a client's question, from the cache at once where that holds everything. */
  examine(question: Question, respondent: Respondent): void {
    if (this.#isStopped) {
      respondent.onAnswer([])
      return
    }
    const running = this.#caller.runningAgainst(question.address)
    if (running !== undefined && question.sender !== '') {
      respondent.onDeferred()
      void this.#examineWithin(question, respondent, running)
      return
    }
    const known = this.#known(question)
    if (known !== undefined) respondent.onAnswer(known)
    else if (question.sender === '') respondent.onAnswer([])
    else void this.#examineWithin(question, respondent, undefined)
  }

  /** Off: no further question leaves, examinations are answered with nothing found. */
  switch(isOn: boolean): void {
    this.#isStopped = !isOn
    this.#caller.switch(isOn)
  }

  /** Is probing switched on? */
  get isOn(): boolean {
    return !this.#isStopped
  }

  /** Asks about an address for an operator: past the cache, within guard and budgets, and kept. */
  askHost(address: string): Promise<TestResult> {
    const tests = this.#hostTests(address)
    return this.#askHostOnce(address, tests, hostCacheKey(address, tests))
  }

  /** The same for a sender. */
  askUser(mailbox: Mailbox): Promise<UserResult> {
    return this.#askUserOnce(mailbox)
  }

  /** Every finding, where the cache holds all that must be known; else undefined. */
  #known(question: Question): readonly Finding[] | undefined {
    const tests = this.#hostTests(question.address)
    const findings: Finding[] = []
    if (tests.relay || tests.dialup) {
      const host = this.#cached(hostCacheKey(question.address, tests))
      if (host === undefined) return undefined
      findings.push(host)
      if (this.#isFinal(host)) return findings
    }
    const mailbox = this.#mailboxToAsk(question.sender)
    if (mailbox === undefined) return findings
    const user = this.#cachedUser(mailbox)
    return user === undefined ? undefined : [...findings, user]
  }

  /** Asks step by step until done or out of time; the flights go on without us then. */
  async #examineWithin(
    question: Question,
    respondent: Respondent,
    running: Promise<unknown> | undefined,
  ): Promise<void> {
    const findings: Finding[] = []
    let isAnswered = false
    const answer = (): void => {
      clearTimeout(timer)
      if (!isAnswered) respondent.onAnswer(findings)
      isAnswered = true
    }
    const timer = setTimeout(() => {
      findings.push(...this.#outOfTime(question, findings))
      answer()
    }, this.#settings.budgetMs)
    if (running !== undefined) await running
    const host = await this.#hostFinding(question)
    if (isAnswered) return
    if (host !== undefined) findings.push(host)
    const mailbox = this.#mailboxToAsk(question.sender)
    if (mailbox !== undefined && (host === undefined || !this.#isFinal(host))) {
      const user = await this.#userFinding(mailbox, question.address)
      if (!isAnswered) findings.push(user)
    }
    answer()
  }

  /** What is said of the steps that the budget left open. */
  #outOfTime(question: Question, found: readonly Finding[]): readonly Finding[] {
    const facts = [`no answer within ${this.#settings.budgetMs} ms`]
    const tests = this.#hostTests(question.address)
    const missing: Finding[] = []
    if (found.length === 0 && (tests.relay || tests.dialup)) {
      const layer = tests.relay ? 'relay' : 'dialup'
      missing.push(makeFinding(layer, 'indeterminate', 'budget-spent', facts))
    }
    if (this.#mailboxToAsk(question.sender) !== undefined) {
      missing.push(makeFinding('user', 'indeterminate', 'budget-spent', facts))
    }
    return missing
  }

  #hostTests(address: string): HostTests {
    const { modes } = this.#settings
    const { exemptions } = this.#parts
    return {
      relay: modes.relay !== 'off' && !exemptions.isRelayExempt(address),
      dialup: modes.dialup !== 'off' && !exemptions.isDialupExempt(address),
    }
  }

  /** The sender's mailbox where it is to be asked for: not `<>`, not ours, not unsafe. */
  #mailboxToAsk(sender: string): Mailbox | undefined {
    if (this.#settings.modes.user === 'off' || !isSafe(sender)) return undefined
    const mailbox = mailboxOf(sender)
    if (mailbox === undefined || mailbox.domain.startsWith('[')) return undefined
    const isOurs = this.#settings.ownDomains.some((own) => holdsDomain(own, mailbox.domain))
    return isOurs ? undefined : mailbox
  }

  /** Does this finding end the connection, so that nothing more need be asked? */
  #isFinal(finding: Finding): boolean {
    if (finding.outcome !== 'positive') return false
    const { layer } = finding
    const mode = layer === 'relay' || layer === 'dialup' ? this.#settings.modes[layer] : 'off'
    return mode === 'enforce' || mode === 'tempfail'
  }

  #cached(key: string): Finding | undefined {
    return this.#parts.cache.get(key, this.#parts.now())?.finding
  }

  #cachedUser(mailbox: Mailbox): Finding | undefined {
    const fact = this.#parts.cache.get(`d:${mailbox.domain}`, this.#parts.now())?.fact
    if (fact === 'accepts-all') {
      return makeFinding('user', 'negative', fact, [`${mailbox.domain} accepts every user`])
    }
    if (fact === 'refuses-us') {
      return makeFinding('user', 'indeterminate', fact, [`${mailbox.domain} refuses us`])
    }
    return this.#cached(`u:${senderKey(mailbox)}`)
  }

  async #hostFinding({ address }: Question): Promise<Finding | undefined> {
    const tests = this.#hostTests(address)
    if (!tests.relay && !tests.dialup) return undefined
    const key = hostCacheKey(address, tests)
    const known = this.#cached(key)
    if (known !== undefined) return known
    const nowMs = this.#parts.now()
    const layer = tests.relay ? 'relay' : 'dialup'
    return this.#flight(key, () => {
      if (!this.#perClient.take(hostKey(address), nowMs)) return clientSpent(layer)
      const asking = this.#askHostOnce(address, tests, key).then(({ finding }) => finding)
      return this.#caller.mark(address, asking)
    })
  }

  async #userFinding(mailbox: Mailbox, client: string): Promise<Finding> {
    // One question at a time to a domain that is not known yet: the first learns whether it takes all.
    while (!this.#isDomainKnown(mailbox.domain)) {
      const asked = this.#domainsAsked.get(mailbox.domain)
      if (asked === undefined) break
      await asked
    }
    const known = this.#cachedUser(mailbox)
    if (known !== undefined) return known
    const flight = this.#flight(`u:${senderKey(mailbox)}`, () => {
      const nowMs = this.#parts.now()
      if (!this.#perDomain.hasRoom(mailbox.domain, nowMs)) return domainSpent()
      if (!this.#perClient.take(hostKey(client), nowMs)) return clientSpent('user')
      this.#perDomain.take(mailbox.domain, nowMs)
      return this.#askUserOnce(mailbox).then(({ finding }) => finding)
    })
    this.#domainsAsked.set(mailbox.domain, flight)
    const finding = await flight
    if (this.#domainsAsked.get(mailbox.domain) === flight) this.#domainsAsked.delete(mailbox.domain)
    return finding
  }

  #isDomainKnown(domain: string): boolean {
    return this.#parts.cache.get(`d:${domain}`, this.#parts.now()) !== undefined
  }

  /** One run per key, whoever waits for it. */
  #flight(key: string, run: () => Finding | Promise<Finding>): Promise<Finding> {
    const running = this.#flights.get(key)
    if (running !== undefined) return running
    const flight = Promise.resolve(run()).finally(() => this.#flights.delete(key))
    this.#flights.set(key, flight)
    return flight
  }

  async #askHostOnce(address: string, tests: HostTests, key: string): Promise<TestResult> {
    const startMs = this.#parts.now()
    const result = await this.#testHost(address, tests)
    this.#keep(key, result.finding)
    this.#tell('host', address, result, startMs)
    return result
  }

  async #askUserOnce(mailbox: Mailbox): Promise<UserResult> {
    const startMs = this.#parts.now()
    const isEachAsked = this.#isDomainKnown(mailbox.domain)
    const result = await testUser(mailbox, isEachAsked, this.#tools(true))
    this.#keepFact(mailbox.domain, result)
    if (result.fact !== 'accepts-all') this.#keep(`u:${senderKey(mailbox)}`, result.finding)
    this.#tell('user', `${mailbox.local}@${mailbox.domain}`, result, startMs)
    return result
  }

  /** Step 5: the reverse connection, then relay or dialup by its outcome. */
  async #testHost(address: string, tests: HostTests): Promise<TestResult> {
    const tools = this.#tools(false)
    const needsName = tests.relay && this.#settings.relayForms.some((form) => form !== 'plain')
    const names = needsName ? await tools.names.names(address) : undefined
    const name = names?.kind === 'found' ? (names.records[0] ?? '') : ''
    const plan = relayPlan(tools, address, name, tests.relay)
    const attempt = await tools.attempt(address, name, plan)
    if (attempt.kind === 'made') {
      if (tests.relay) return readRelayReport(attempt.report, plan.questions.length)
      return notAsked('relay', 'reverse connection made', attempt.report.dialogue)
    }
    if (attempt.kind === 'refused' || attempt.kind === 'unreachable') {
      const reason = `${attempt.kind} (${attempt.reason})`
      if (tests.dialup) return testDialup(address, reason, tools)
      return notAsked('dialup', `reverse connection ${reason}`, [])
    }
    const layer = tests.relay ? 'relay' : 'dialup'
    const facts = [`reverse connection ${attempt.kind}: ${attempt.reason}`]
    return { finding: makeFinding(layer, 'indeterminate', attempt.kind, facts), dialogue: facts }
  }

  #tools(isJudged: boolean): ProbeTools {
    const { settings, names, patterns } = this.#parts
    return {
      settings,
      names,
      patterns,
      attempt: (address, name, plan) => this.#caller.attempt(address, name, plan, isJudged),
      randomLocalPart: () => `x${randomBytes(9).toString('hex')}`,
    }
  }

  #keep(key: string, finding: Finding): void {
    const keepMs = this.#keepMs(finding)
    if (keepMs <= 0) return
    const foundAtMs = this.#parts.now()
    this.#parts.cache.put(key, { finding, foundAtMs, untilMs: foundAtMs + keepMs })
  }

  #keepFact(domain: string, { fact }: UserResult): void {
    if (fact === undefined) return
    const { acceptsAllMs, refusesUsMs } = this.#settings.keep
    const foundAtMs = this.#parts.now()
    const keepMs = fact === 'refuses-us' ? refusesUsMs : acceptsAllMs
    this.#parts.cache.put(`d:${domain}`, { fact, foundAtMs, untilMs: foundAtMs + keepMs })
  }

  /** How long a finding is true; what we did not ask for lack of budget is not kept at all. */
  #keepMs(finding: Finding): number {
    const { keep } = this.#settings
    if (finding.name === 'not-now' || finding.name === 'our-fault') return 0
    if (finding.name === 'try-later') return Math.min(keep.indeterminateMs, tryLaterKeepMsMax)
    if (finding.outcome === 'indeterminate') return keep.indeterminateMs
    if (finding.layer === 'relay') return keep.relayMs
    if (finding.layer === 'dialup') return keep.dialupMs
    return finding.outcome === 'positive' ? keep.userUnknownMs : keep.userExistsMs
  }

  #tell(test: 'host' | 'user', subject: string, result: TestResult, startMs: number): void {
    const time = this.#parts.now()
    const { finding, dialogue } = result
    this.#parts.onProbe({ time, test, subject, finding, dialogue, ms: time - startMs })
  }
}

/** The key of a host's verdict: another one where other tests are asked. */
function hostCacheKey(address: string, tests: HostTests): string {
  return `h:${hostKey(address)}:${tests.relay ? 'r' : ''}${tests.dialup ? 'd' : ''}`
}

function notAsked(
  layer: 'relay' | 'dialup',
  fact: string,
  dialogue: readonly string[],
): TestResult {
  return { finding: makeFinding(layer, 'negative', 'not-asked', [fact]), dialogue }
}

function clientSpent(layer: 'relay' | 'dialup' | 'user'): Finding {
  return makeFinding(layer, 'indeterminate', 'not-now', ['budget of the client'])
}

function domainSpent(): Finding {
  return makeFinding('user', 'indeterminate', 'not-now', ['budget of the domain'])
}

/** `*.example.org` holds every name below it, not itself. */
function holdsDomain(own: string, domain: string): boolean {
  return own.startsWith('*.') ? domain.endsWith(own.slice(1)) : own === domain
}
