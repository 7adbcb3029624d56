/**
 * Probe broker: the only place that asks the outside, one per instance, on the main thread.
 *
 * `examine` answers from the cache at once, or asks step by step, each question once whoever waits
 * for it (inquiry.ts): is the whitelisted sender's host allowed to send for it (SPF), does the
 * recipient exist (call-ahead), step 5 (relay or dialup, never both), step 6 (user); a client that
 * one step condemns is not asked further. All of it stays within the time budget: then the answer
 * is *indeterminate*, and what still runs reaches the cache. A client whose host is being probed by
 * us at this moment is deferred, so that two such proxies never wait for each other; its answer
 * follows, so that this is no way round. The null sender causes no question at all (probes come
 * with it), a sender of ours none but call-ahead; what is known of their host holds for them too.
 */
import { messageOf, OperatingError } from '../base/errors.ts'
import type { Finding } from '../checks/finding.ts'
import { type Mailbox, mailboxOf } from '../checks/sender-key.ts'
import type { Question } from '../journey/ports.ts'
import { Caller } from './caller.ts'
import type { Converse } from './converse.ts'
import type { NameService } from './dns.ts'
import { Inquiry, type ProbeRecord } from './inquiry.ts'
import { type Exemptions, Known } from './known.ts'
import type { NamePatterns } from './name-patterns.ts'
import { ProbeSwitch } from './probe-switch.ts'
import type { ProbeSettings } from './settings.ts'
import { checkSpf } from './spf.ts'
import { makeFinding, type TestResult } from './tools.ts'
import type { UserResult } from './user-test.ts'
import type { VerdictCache } from './verdict-cache.ts'
import { type HostTests, VerdictMemory } from './verdict-memory.ts'

/** Where an examination's answer goes. Exactly one `onAnswer`, which may come inside `examine`. */
export interface Respondent {
  /** The answer comes later, and RCPT is not to wait for it; DATA is. */
  onDeferred(): void
  onAnswer(findings: readonly Finding[]): void
}

/** What a broker is made of. */
export interface BrokerParts {
  readonly settings: ProbeSettings
  readonly names: NameService
  readonly patterns: NamePatterns
  readonly converse: Converse
  readonly cache: VerdictCache
  readonly exemptions: Exemptions
  /** Absent: one of the broker's own. */
  readonly probeSwitch?: ProbeSwitch
  /** Milliseconds on a clock that nobody sets: budgets, waits. */
  readonly now: () => number
  /** The wall clock, for what is kept over a restart and what is told. */
  readonly wallNow: () => number
  readonly onProbe: (record: ProbeRecord) => void
}

/** The broker. */
export class ProbeBroker {
  #parts: BrokerParts
  #settings: ProbeSettings
  readonly #caller: Caller
  #known: Known
  readonly #inquiry: Inquiry
  readonly #switch: ProbeSwitch
  #isStressed = false

  constructor(parts: BrokerParts) {
    const { settings, names, patterns, converse, cache, now, wallNow, onProbe } = parts
    this.#parts = parts
    this.#settings = settings
    this.#switch = parts.probeSwitch ?? new ProbeSwitch()
    this.#caller = new Caller(settings, converse, this.#switch, now)
    const memory = new VerdictMemory(cache, settings.keep, wallNow)
    const caller = this.#caller
    this.#known = new Known(settings, memory, parts.exemptions)
    const clocks = { now, wallNow }
    this.#inquiry = new Inquiry({ settings, names, patterns, caller, memory, ...clocks, onProbe })
  }

  /**
   * New settings. What runs, the budgets, who rests, the switch and stress mode stay as they are.
   */
  configure(parts: Pick<BrokerParts, 'settings' | 'names' | 'patterns'>): void {
    const { settings } = parts
    const { cache, wallNow, exemptions } = this.#parts
    const memory = new VerdictMemory(cache, settings.keep, wallNow)
    this.#parts = { ...this.#parts, ...parts }
    this.#settings = settings
    this.#known = new Known(settings, memory, exemptions)
    this.#caller.configure(settings)
    this.#inquiry.configure({ ...parts, memory })
  }

  /** Conversations with the outside now. */
  get inFlight(): number {
    return this.#caller.inFlight
  }

  /** Answers a client's question, from the cache at once where that holds everything. */
  examine(question: Question, respondent: Respondent): void {
    const known = this.#switch.isOn ? this.#known.findings(question) : []
    if (known !== undefined || question.sender === '') {
      respondent.onAnswer(known ?? [])
      return
    }
    const running = this.#caller.runningAgainst(question.address)
    if (running !== undefined) respondent.onDeferred()
    void this.#examineWithin(question, respondent, running)
  }

  /** Off: no further question leaves, examinations are answered with nothing found. */
  switch(isOn: boolean): void {
    this.#switch.turn(isOn)
  }

  /** Is probing switched on? */
  get isOn(): boolean {
    return this.#switch.isOn
  }

  /** Stress mode began or ended: examinations from now on have another budget. */
  stress(isStressed: boolean): void {
    this.#isStressed = isStressed
  }

  /**
   * Asks about an address for an operator: past the cache, within guard and budgets, and kept, but
   * for `only` one test under a key that serves where no other host test is on. Throws
   * OperatingError where the identity or the address that this takes is not set.
   */
  askHost(address: string, only?: 'relay' | 'dialup'): Promise<TestResult> {
    this.#claimIdentity()
    const hasRecipient = this.#settings.relayRecipient !== ''
    if (only === 'relay' && !hasRecipient) {
      const remedy = 'name an address in a domain of ours to offer'
      throw new OperatingError('PROBE_RECIPIENT', `probe.relay_recipient is empty; ${remedy}`)
    }
    const { relay, dialup } =
      only === undefined
        ? this.#usualTests(address)
        : { relay: only === 'relay', dialup: only === 'dialup' }
    if (!relay && !dialup) return Promise.resolve(exemptResult(address))
    return this.#inquiry.askHost(address, { relay: relay && hasRecipient, dialup })
  }

  /** Those of a client; where both are off those that the databases of hosts permit. */
  #usualTests(address: string): HostTests {
    const { relay, dialup } = this.#settings.modes
    const isOff = relay === 'off' && dialup === 'off'
    return isOff ? this.#known.permittedTests(address) : this.#known.hostTests(address)
  }

  /** The same for a sender. */
  askUser(mailbox: Mailbox): Promise<UserResult> {
    this.#claimIdentity()
    return this.#inquiry.askSender(mailbox)
  }

  /** An operator may ask while every test is off, where no rule asks for a name of ours. */
  #claimIdentity(): void {
    if (this.#settings.helo !== '') return
    const remedy = 'name a host that resolves to the probing address and back'
    throw new OperatingError('PROBE_IDENTITY', `probe.helo is empty; ${remedy}`)
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
    const { budgetMs, stressBudgetMs } = this.#settings
    const waitMs = this.#isStressed ? Math.min(budgetMs, stressBudgetMs) : budgetMs
    const leaveOpen = (name: string, fact: string): void => {
      findings.push(...this.#leftOpen(question, findings, name, fact))
    }
    const timer = setTimeout(() => {
      leaveOpen('budget-spent', `no answer within ${waitMs} ms`)
      answer()
    }, waitMs)
    try {
      if (running !== undefined) await running
      for (const step of [this.#proof, this.#recipient, this.#host, this.#user]) {
        if (isAnswered) return
        const asking = step.call(this, question)
        if (asking === undefined) continue
        const finding = await asking
        if (isAnswered) return
        findings.push(finding)
        if (this.#known.isFinal(finding)) break
      }
    } catch (error) {
      // A bug of ours: it is this client's question that stays open, not the process that ends.
      if (!isAnswered) leaveOpen('internal-error', messageOf(error))
    }
    answer()
  }

  /** What is said of the steps that were not finished. */
  #leftOpen(
    question: Question,
    found: readonly Finding[],
    name: string,
    fact: string,
  ): readonly Finding[] {
    const tests = this.#known.hostTests(question.address)
    const isHostTold = found.some(({ layer }) => layer === 'relay' || layer === 'dialup')
    const isHostOpen = !isHostTold && !this.#known.isOurSender(question.sender)
    const isUserOpen = this.#known.senderToAsk(question.sender).kind !== 'nobody'
    // Which of the two it would have been is what was not found out: each has its own policy.
    const open = { relay: isHostOpen && tests.relay, dialup: isHostOpen && tests.dialup }
    return (['relay', 'dialup', 'user'] as const)
      .filter((layer) => (layer === 'user' ? isUserOpen : open[layer]))
      .map((layer) => makeFinding(layer, 'indeterminate', name, [fact]))
  }

  /** A whitelist match that counts only with SPF pass (`whitelist.require`). */
  #proof({ isWhitelisted, sender, address, helo }: Question): Promise<Finding> | undefined {
    const mailbox = isWhitelisted === true ? mailboxOf(sender) : undefined
    if (mailbox === undefined) return undefined
    return checkSpf(mailbox, address, helo, this.#parts.names).then((result) => {
      const outcome = result === 'pass' ? 'negative' : 'indeterminate'
      const evidence = [`SPF of ${mailbox.domain} for ${address}: ${result}`]
      return makeFinding('whitelist', outcome, `spf-${result}`, evidence)
    })
  }

  #recipient(question: Question): Promise<Finding> | undefined {
    const mailbox = this.#known.recipientToAsk(question)
    if (mailbox === undefined) return undefined
    return this.#inquiry.mailbox('recipient', mailbox, question.address)
  }

  #host({ address, sender }: Question): Promise<Finding> | undefined {
    const tests = this.#known.hostTests(address)
    if (!tests.relay && !tests.dialup) return undefined
    if (this.#known.isOurSender(sender)) {
      const known = this.#known.host(address, tests)
      return known === undefined ? undefined : Promise.resolve(known)
    }
    return this.#inquiry.host(address, tests)
  }

  #user({ sender, address }: Question): Promise<Finding> | undefined {
    const asked = this.#known.senderToAsk(sender)
    if (asked.kind === 'unaskable') return Promise.resolve(asked.finding)
    if (asked.kind === 'nobody') return undefined
    return this.#inquiry.mailbox('user', asked.mailbox, address)
  }
}

function exemptResult(address: string): TestResult {
  const evidence = [`${address} is exempt from every test that would be made; --test makes one`]
  return {
    finding: makeFinding('dialup', 'negative', 'exempt', evidence),
    dialogue: [],
    target: '',
  }
}
