/**
 * Finding: what a check or a test learnt. A check finds; a policy (src/journey/policy.ts) acts.
 */

/** The layer of the filter that a finding or verdict belongs to; the words of the log. */
export type Layer =
  | 'connect'
  | 'protocol'
  | 'whitelist'
  | 'dialup'
  | 'relay'
  | 'user'
  | 'recipient'
  | 'headers'
  | 'transfer'

/** What a test says. `indeterminate` covers every trouble of ours and of the network. */
export type Outcome = 'positive' | 'negative' | 'indeterminate'

/** One finding, with the evidence that a postmaster can check. */
export interface Finding {
  readonly layer: Layer
  readonly outcome: Outcome
  /** Stable kebab-case word: `bare-newline`, `open-relay`, `no-such-user`. */
  readonly name: string
  /** Short facts in order of discovery, peer octets as received (the log escapes them). */
  readonly evidence: readonly string[]
  /** When the probe found it, wall clock in ms: one that is kept is no new one. Else: just now. */
  readonly foundAtMs?: number
}
