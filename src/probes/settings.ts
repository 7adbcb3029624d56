/**
 * Probe settings: what the broker is configured by, as frozen plain values. The composition root
 * makes them of the configuration; a reload hands over new ones.
 */

/** A test's mode; a test that is off is not run. */
export type TestMode = 'off' | 'observe' | 'tempfail' | 'enforce'

/** The address forms of the relay probe (src/probes/relay-forms.ts). */
export type RelayForm =
  | 'plain'
  | 'own-name'
  | 'localhost'
  | 'no-domain'
  | 'null'
  | 'literal'
  | 'quoted'
  | 'percent'
  | 'bang'
  | 'route'

/** How far the user test goes. The final dot is never sent. */
export type Depth = 'rcpt' | 'data' | 'message'

/** At most `count` per `windowMs`; count 0 = no limit. */
export interface Rate {
  readonly count: number
  readonly windowMs: number
}

/** Mailhosts of ours, in order; no domains: the route of all the others. */
export interface MailhostRoute {
  /** Lower case; `*.example.org` holds every name below it. */
  readonly domains: readonly string[]
  readonly mailhosts: readonly { readonly address: string; readonly port: number }[]
}

/** How we ask others. */
export interface ProbeSettings {
  readonly modes: Readonly<Record<'dialup' | 'relay' | 'user', TestMode>>
  readonly noPtr: 'indeterminate' | 'dialup'
  /** Addresses asked on each side, 0 – 8. */
  readonly neighbours: number
  readonly neighboursAlike: number
  readonly relayForms: readonly RelayForm[]
  readonly userDepth: Depth
  readonly nextMx: boolean
  readonly callAhead: boolean
  /** Whom call-ahead asks. */
  readonly mailhostRoutes: readonly MailhostRoute[]
  readonly helo: string
  /** Local addresses to ask from; empty: the system's choice. */
  readonly sources: readonly string[]
  /** MAIL FROM of the relay probe, '' = `<>`. */
  readonly sender: string
  /** An address of ours for the relay probe. */
  readonly relayRecipient: string
  readonly port: number
  readonly budgetMs: number
  /** The same in stress mode. */
  readonly stressBudgetMs: number
  /** Wait for a connection and its greeting. */
  readonly connectWaitMs: number
  readonly replyWaitMs: number
  readonly perDomain: Rate
  readonly perHost: Rate
  readonly perNetwork: Rate
  readonly perClient: Rate
  readonly total: Rate
  readonly inFlightMax: number
  readonly backOffMs: number
  /** Share of networks (0 – 1) whose last probe failed that opens the circuit breaker. */
  readonly breakerShare: number
  readonly breakerWaitMs: number
  readonly allowLoopback: boolean
  /**
   * Domains that are ours: their users are never asked for. Lower case; `*.` as in [recipients].
   */
  readonly ownDomains: readonly string[]
  /** Networks and addresses that are ours. */
  readonly ownNetworks: readonly string[]
  /** How long results are kept, milliseconds. */
  readonly keep: {
    readonly userExistsMs: number
    readonly userUnknownMs: number
    readonly acceptsAllMs: number
    readonly refusesUsMs: number
    readonly dialupMs: number
    readonly relayMs: number
    readonly indeterminateMs: number
  }
}
