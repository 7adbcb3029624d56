/**
 * Known: what a question comes to where the cache holds all that must be known, and whom it is
 * about.
 *
 * The broker asks it before it asks anybody else; so does each serving thread, which shares the
 * store and spares the way to the main thread (`harmless`). Pure but for the cache's reads.
 */
import type { Finding } from '../checks/finding.ts'
import { type Mailbox, mailboxOf } from '../checks/sender-key.ts'
import type { Question } from '../journey/ports.ts'
import type { ProbeSettings } from './settings.ts'
import { isSafe } from './smtp-probe.ts'
import { makeFinding } from './tools.ts'
import { type HostTests, hostCacheKey, type VerdictMemory } from './verdict-memory.ts'

/** The sender as the user test sees it. */
export type AskedSender =
  | { readonly kind: 'nobody' }
  | { readonly kind: 'unaskable'; readonly finding: Finding }
  | { readonly kind: 'mailbox'; readonly mailbox: Mailbox }

const nobody: AskedSender = { kind: 'nobody' }

/** What is known, by the settings of one configuration. */
export class Known {
  readonly #settings: ProbeSettings
  readonly #memory: VerdictMemory

  constructor(settings: ProbeSettings, memory: VerdictMemory) {
    this.#settings = settings
    this.#memory = memory
  }

  /** Every finding in the order of the steps, or undefined: something must be asked. */
  findings(question: Question, tests: HostTests): readonly Finding[] | undefined {
    if (question.isWhitelisted === true) return undefined
    const findings: Finding[] = []
    const recipient = this.recipientToAsk(question)
    if (recipient !== undefined) {
      const found = this.#memory.mailbox('recipient', recipient)
      if (found === undefined) return undefined
      findings.push(found)
      if (found.outcome === 'positive') return findings
    }
    if (tests.relay || tests.dialup) {
      const host = this.#memory.host(hostCacheKey(question.address, tests))
      if (host === undefined) return undefined
      findings.push(host)
      if (this.isFinal(host)) return findings
    }
    const asked = this.senderToAsk(question.sender)
    if (asked.kind === 'nobody') return findings
    const user =
      asked.kind === 'unaskable' ? asked.finding : this.#memory.mailbox('user', asked.mailbox)
    return user === undefined ? undefined : [...findings, user]
  }

  /**
   * The same for a thread, which knows neither the exemptions nor the switch, where everybody was
   * cleared: that passes either way. What is positive is the broker's for feedback, and what is
   * indeterminate too, since a policy may refuse it though the host is exempt or probing is off.
   */
  harmless(question: Question): readonly Finding[] | undefined {
    const { relay, dialup } = this.#settings.modes
    const tests = { relay: relay !== 'off', dialup: dialup !== 'off' }
    const findings = this.findings(question, tests)
    return findings?.every(({ outcome }) => outcome === 'negative') === true ? findings : undefined
  }

  /**
   * Whom the user test asks for: nobody for `<>` and senders of ours. What cannot be asked for is
   * told as indeterminate, so that an odd address is no way round the policy for that.
   */
  senderToAsk(sender: string): AskedSender {
    if (this.#settings.modes.user === 'off' || sender === '') return nobody
    if (this.isOurSender(sender)) return nobody
    const mailbox = mailboxOf(sender)
    if (mailbox !== undefined && isSafe(sender) && !mailbox.domain.startsWith('[')) {
      return { kind: 'mailbox', mailbox }
    }
    const facts = ['no mail exchanger can be asked for this form of address']
    const finding = makeFinding('user', 'indeterminate', 'not-askable', facts)
    return { kind: 'unaskable', finding }
  }

  /** Does the sender claim to be of one of our domains? Nobody outside is asked for it. */
  isOurSender(sender: string): boolean {
    const mailbox = mailboxOf(sender)
    return mailbox !== undefined && this.#isOurs(mailbox.domain)
  }

  /** The recipient that call-ahead asks our mailhost for. */
  recipientToAsk({ recipient }: Question): Mailbox | undefined {
    if (!this.#settings.callAhead || recipient === '' || !isSafe(recipient)) return undefined
    return mailboxOf(recipient)
  }

  /** Does this finding decide, so that nothing more need be asked? */
  isFinal({ layer, outcome }: Finding): boolean {
    if (layer === 'whitelist') return outcome === 'negative'
    if (outcome !== 'positive') return false
    if (layer === 'recipient') return true
    const mode = layer === 'relay' || layer === 'dialup' ? this.#settings.modes[layer] : 'off'
    return mode === 'enforce' || mode === 'tempfail'
  }

  #isOurs(domain: string): boolean {
    return this.#settings.ownDomains.some((own) => holdsDomain(own, domain))
  }
}

/** `*.example.org` holds every name below it, not itself. */
function holdsDomain(own: string, domain: string): boolean {
  return own.startsWith('*.') ? domain.endsWith(own.slice(1)) : own === domain
}
