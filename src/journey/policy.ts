/**
 * Policy: everything the journey is configured by, as frozen plain values.
 *
 * The configuration (src/config/) makes one JourneyPolicy; it travels to the worker threads by
 * message, where `compilePolicy` turns it once into what the stages read. A reload makes a new one;
 * a connection keeps the policy that it began with. A check finds, the policy acts: `judge` is the
 * one place where a finding becomes an action.
 */

import { OperatingError } from '../base/errors.ts'
import type { Finding, Layer } from '../checks/finding.ts'
import type { HeaderCheck } from '../checks/header-form.ts'
import { type HeaderRule, parseHeaderRules } from '../checks/header-rules.ts'
import type { ScanBody } from '../smtp/body-scanner.ts'
import { DomainSet } from '../smtp/domain-set.ts'

/** What a test does with what it finds: not run, told only, answered 4xx, answered 5xx. */
export type TestMode = 'off' | 'observe' | 'tempfail' | 'enforce'

/** A test's mode, and what happens when it could not find out. */
export interface TestPolicy {
  readonly mode: TestMode
  readonly indeterminate: 'pass' | 'tempfail'
}

/** The header filter: rules of a file and built-in checks. */
export interface HeaderPolicy extends TestPolicy {
  /** Text of the rules file (grammar: src/checks/header-rules.ts), '' for none. */
  readonly rules: string
  /** Name of that file, for messages. */
  readonly rulesFile: string
  readonly checks: readonly HeaderCheck[]
  /** Received fields that make a loop. */
  readonly receivedMax: number
}

/** How long the client may take, milliseconds. RFC 5321 §4.5.3.2 for the normal ones. */
export interface Timeouts {
  /** From the greeting to the end of the first command. */
  readonly firstCommandMs: number
  /** Silence between two commands. */
  readonly commandMs: number
  /** From a line's first octet to its CRLF. */
  readonly lineMs: number
  /** Silence inside a message. */
  readonly dataMs: number
  /** The whole connection, 0 = no limit; then 421 4.4.2 at the next command. */
  readonly sessionMs: number
}

/** Everything the journey judges by. */
export interface JourneyPolicy {
  /** Our name in the greeting, EHLO's reply and Received. */
  readonly name: string
  /** Octets of a message, 0 = no limit. */
  readonly sizeOctetsMax: number
  /** Lower case; `*.example.org` holds every name below it, not itself. */
  readonly recipientDomains: readonly string[]
  /** Domains of others that trusted clients may write to; form as above. */
  readonly partnerDomains: readonly string[]
  /** Tell whom senders of ours have written to there. */
  readonly learnsPartners: boolean
  /** Local parts for which no active test runs (postmaster, abuse). */
  readonly exemptRecipients: readonly string[]
  /** Is there any trusted domain name to ask for? */
  readonly hasTrustedNames: boolean
  /** `proved`: a match counts only with SPF pass, which the broker finds out. */
  readonly whitelist: 'on' | 'off' | 'proved'
  readonly testsAt: 'mail' | 'rcpt' | 'data'
  readonly dialup: TestPolicy
  readonly relay: TestPolicy
  readonly user: TestPolicy
  readonly headers: HeaderPolicy
  /** The gate judged early talkers; this is for those that it let through. */
  readonly earlyTalker: TestMode
  /** Commands sent ahead of a reply that must be waited for (RFC 2920 §3.1). */
  readonly illegalPipelining: TestMode
  /** Bare CR, bare LF and NUL in a message. */
  readonly stray: 'refuse' | 'normalise'
  /** A certificate is there: STARTTLS may be offered. */
  readonly hasCertificate: boolean
  readonly recipientsMax: number
  /** Faulty commands of a connection; above: 421 4.7.0 and close. */
  readonly errorsMax: number
  /** Messages of a connection, 0 = no limit; above: 421 4.7.0 at the next MAIL. */
  readonly transactionsMax: number
  /** Add a Received field (RFC 5321 §4.4). */
  readonly addsReceived: boolean
  readonly timeouts: Timeouts
  /** In stress mode. */
  readonly stressTimeouts: Timeouts
  readonly stressErrorsMax: number
  /** A message stated larger is put off in stress mode; 0 = none is. */
  readonly stressSizeOctetsMax: number
}

/** What the stages read of a policy, made once per thread and policy. */
export interface CompiledPolicy {
  readonly policy: JourneyPolicy
  readonly scanBody: ScanBody
  readonly headerRules: readonly HeaderRule[]
  readonly domains: DomainSet
  readonly partners: DomainSet
  readonly exemptRecipients: ReadonlySet<string>
  /** Is any test on that asks somebody? */
  readonly hasActiveTests: boolean
  /**
   * Stress mode: shorter waits. Set at any time, by Journey.onStress for connections that are open.
   */
  isStressed: boolean
}

/** Makes what the stages read of a policy; throws OperatingError for a wrong rules text. */
export function compilePolicy(policy: JourneyPolicy, scanBody: ScanBody): CompiledPolicy {
  const { rules, faults } = parseHeaderRules(policy.headers.rules, policy.headers.rulesFile)
  if (faults.length > 0) throw new OperatingError('HEADER_RULES', faults.join('\n'))
  return {
    policy,
    scanBody,
    headerRules: rules,
    domains: new DomainSet(policy.recipientDomains),
    partners: new DomainSet(policy.partnerDomains),
    exemptRecipients: new Set(policy.exemptRecipients.map((local) => local.toLowerCase())),
    hasActiveTests: [policy.dialup, policy.relay, policy.user].some((test) => test.mode !== 'off'),
    isStressed: false,
  }
}

/** The waits that hold now. */
export function timeoutsNow({ policy, isStressed }: CompiledPolicy): Timeouts {
  return isStressed ? policy.stressTimeouts : policy.timeouts
}

/** A policy to start from: tests off, nothing permitted. */
export const defaultPolicy: JourneyPolicy = {
  name: 'localhost',
  sizeOctetsMax: 50_000_000,
  recipientDomains: [],
  partnerDomains: [],
  learnsPartners: false,
  exemptRecipients: ['postmaster', 'abuse'],
  hasTrustedNames: false,
  whitelist: 'on',
  testsAt: 'rcpt',
  dialup: { mode: 'off', indeterminate: 'pass' },
  relay: { mode: 'off', indeterminate: 'pass' },
  user: { mode: 'off', indeterminate: 'pass' },
  headers: {
    mode: 'off',
    indeterminate: 'pass',
    rules: '',
    rulesFile: '',
    checks: [],
    receivedMax: 100,
  },
  earlyTalker: 'enforce',
  illegalPipelining: 'observe',
  stray: 'refuse',
  hasCertificate: false,
  recipientsMax: 100,
  errorsMax: 20,
  transactionsMax: 1000,
  addsReceived: true,
  timeouts: {
    firstCommandMs: 60_000,
    commandMs: 300_000,
    lineMs: 60_000,
    dataMs: 180_000,
    sessionMs: 7_200_000,
  },
  stressTimeouts: {
    firstCommandMs: 10_000,
    commandMs: 10_000,
    lineMs: 10_000,
    dataMs: 30_000,
    sessionMs: 600_000,
  },
  stressErrorsMax: 5,
  stressSizeOctetsMax: 25_000_000,
}

/** What a policy makes of a finding. `observe`: passed, but told as what would have been. */
export type Judgement = 'pass' | 'observe' | 'tempfail' | 'refuse'

/** The one place where the finding of an active test becomes an action. */
export function judge(policy: JourneyPolicy, finding: Finding): Judgement {
  const test = testOf(policy, finding.layer)
  if (test === undefined || finding.outcome === 'negative') return 'pass'
  if (finding.outcome === 'positive') return judgementOf(test.mode)
  // A test that could not find out never refuses for good.
  if (test.indeterminate === 'pass' || test.mode === 'off') return 'pass'
  return test.mode === 'observe' ? 'observe' : 'tempfail'
}

/** What a mode makes of something positive. */
export function judgementOf(mode: TestMode): Judgement {
  if (mode === 'off') return 'pass'
  return mode === 'enforce' ? 'refuse' : mode
}

function testOf(policy: JourneyPolicy, layer: Layer): TestPolicy | undefined {
  if (layer === 'dialup') return policy.dialup
  if (layer === 'relay') return policy.relay
  return layer === 'user' ? policy.user : undefined
}
