/**
 * Policy: everything the journey is configured by, as frozen plain values.
 *
 * The configuration (src/config/) makes one JourneyPolicy; it travels to the worker threads by
 * message, where `compilePolicy` turns it once into what the stages read. A reload makes a new one;
 * a connection keeps the policy that it began with. A check finds, the policy acts: `judge` is the
 * one place where a finding becomes an action.
 */

/** What a test does with what it finds: not run, told only, answered 4xx, answered 5xx. */
export type TestMode = 'off' | 'observe' | 'tempfail' | 'enforce'

/** A test's mode, and what happens when it could not find out. */
export interface TestPolicy {
  readonly mode: TestMode
  readonly indeterminate: 'pass' | 'tempfail'
}

/** The built-in header checks, each switchable. */
export type HeaderCheck =
  | 'missing-from'
  | 'double-from'
  | 'missing-date'
  | 'double-date'
  | 'missing-message-id'
  | 'double-message-id'
  | 'received-loop'
  | 'long-line'
  | 'forbidden-octet'

/** The header filter: rules of a file and built-in checks. */
export interface HeaderPolicy extends TestPolicy {
  /** Text of the rules file (grammar: src/checks/header-rules.ts), '' for none. */
  readonly rules: string
  /** Name of that file, for messages. */
  readonly rulesFile: string
  readonly checks: readonly HeaderCheck[]
}

/** How long the client may take, milliseconds. RFC 5321 §4.5.3.2 for the normal ones. */
export interface Timeouts {
  /** Silence between two commands. */
  readonly commandMs: number
  /** From a line's first octet to its CRLF. */
  readonly lineMs: number
  /** Silence inside a message. */
  readonly dataMs: number
}

/** Everything the journey judges by. */
export interface JourneyPolicy {
  /** Our name in the greeting, EHLO's reply and Received. */
  readonly name: string
  /** Octets of a message, 0 = no limit. */
  readonly sizeOctetsMax: number
  /** Lower case; `*.example.org` holds every name below it, not itself. */
  readonly recipientDomains: readonly string[]
  /** Local parts for which no active test runs (postmaster, abuse). */
  readonly exemptRecipients: readonly string[]
  /** Is there any trusted domain name to ask for? */
  readonly hasTrustedNames: boolean
  readonly whitelist: 'on' | 'off'
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
  readonly timeouts: Timeouts
  /** In stress mode. */
  readonly stressTimeouts: Timeouts
}

/** A policy to start from: tests off, nothing permitted. */
export const defaultPolicy: JourneyPolicy = {
  name: 'localhost',
  sizeOctetsMax: 50_000_000,
  recipientDomains: [],
  exemptRecipients: ['postmaster', 'abuse'],
  hasTrustedNames: false,
  whitelist: 'on',
  testsAt: 'rcpt',
  dialup: { mode: 'off', indeterminate: 'pass' },
  relay: { mode: 'off', indeterminate: 'pass' },
  user: { mode: 'off', indeterminate: 'pass' },
  headers: { mode: 'off', indeterminate: 'pass', rules: '', rulesFile: '', checks: [] },
  earlyTalker: 'enforce',
  illegalPipelining: 'observe',
  stray: 'refuse',
  hasCertificate: false,
  recipientsMax: 1000,
  errorsMax: 20,
  timeouts: { commandMs: 300_000, lineMs: 60_000, dataMs: 180_000 },
  stressTimeouts: { commandMs: 10_000, lineMs: 10_000, dataMs: 10_000 },
}
