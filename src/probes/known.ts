/**
 * Known: what a question comes to where the cache holds all that must be known, and whom it is
 * about.
 *
 * The broker asks it before it asks anybody else; so does each serving thread, which shares the
 * store and the databases and spares the way to the main thread. Pure but for their reads.
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

/** Hosts that the tests leave alone: the relay and dialup databases. */
export interface Exemptions {
  isRelayExempt(address: string): boolean
  isDialupExempt(address: string): boolean
}

const nobody: AskedSender = { kind: 'nobody' }

/** What is known, by the settings of one configuration. */
export class Known {
  readonly #settings: ProbeSettings
  readonly #memory: VerdictMemory
  readonly #exemptions: Exemptions

  constructor(settings: ProbeSettings, memory: VerdictMemory, exemptions: Exemptions) {
    this.#settings = settings
    this.#memory = memory
    this.#exemptions = exemptions
  }

  /**
   * Every finding in the order of the steps, or undefined: something must be asked. For `<>` nobody
   * is asked, so a recipient that is not known is passed over: what is known of the host holds.
   */
  findings(question: Question): readonly Finding[] | undefined {
    if (question.isWhitelisted === true) return undefined
    const findings: Finding[] = []
    const recipient = this.recipientToAsk(question)
    if (recipient !== undefined) {
      const found = this.#memory.mailbox('recipient', recipient)
      if (found === undefined && question.sender !== '') return undefined
      if (found !== undefined) findings.push(found)
      if (found?.outcome === 'positive') return findings
    }
    const tests = this.hostTests(question.address)
    if (tests.relay || tests.dialup) {
      const host = this.host(question.address, tests)
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

  /** Which tests are made of a host. */
  hostTests(address: string): HostTests {
    const { relay, dialup } = this.#settings.modes
    const permitted = this.permittedTests(address)
    return {
      relay: relay !== 'off' && permitted.relay,
      dialup: dialup !== 'off' && permitted.dialup,
    }
  }

  /** Which tests the databases let be made of a host, whatever their modes. */
  permittedTests(address: string): HostTests {
    return {
      relay: !this.#exemptions.isRelayExempt(address),
      dialup: !this.#exemptions.isDialupExempt(address),
    }
  }

  /** What these tests have found of a host. */
  host(address: string, tests: HostTests): Finding | undefined {
    return this.#memory.host(hostCacheKey(address, tests))
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
