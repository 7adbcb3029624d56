/**
 * Tools: what the three tests work with, so that each can be run with stand-ins.
 */

import { evidenceCountMax, evidenceOctetsMax } from '../base/limits.ts'
import type { Finding, Layer, Outcome } from '../checks/finding.ts'
import type { Attempt } from './caller.ts'
import type { Target } from './converse.ts'
import type { NameService } from './dns.ts'
import type { NamePatterns } from './name-patterns.ts'
import type { ProbeSettings } from './settings.ts'
import type { ProbePlan } from './smtp-probe.ts'

/** The outside world of a test. */
export interface ProbeTools {
  readonly settings: ProbeSettings
  readonly names: NameService
  readonly patterns: NamePatterns
  /** Connects to a judged address within budgets; never rejects. */
  attempt(address: string, serverName: string, plan: ProbePlan): Promise<Attempt>
  /** A local part that nobody has. */
  randomLocalPart(): string
}

/** What a test found, with everything that was said. */
export interface TestResult {
  readonly finding: Finding
  readonly dialogue: readonly string[]
  /** `address:port` that was asked last, '' = nobody was. */
  readonly target: string
}

/** A finding with bounded evidence. */
export function makeFinding(
  layer: Layer,
  outcome: Outcome,
  name: string,
  evidence: readonly string[],
): Finding {
  const bounded = evidence
    .slice(0, evidenceCountMax)
    .map((fact) => fact.slice(0, evidenceOctetsMax))
  return { layer, outcome, name, evidence: bounded }
}

/** Where a conversation goes, by the settings. */
export function targetOf(
  settings: ProbeSettings,
  address: string,
  serverName: string,
  port = settings.port,
): Target {
  const isSix = address.includes(':')
  const sources = settings.sources.filter((source) => source.includes(':') === isSix)
  const source = sources[Math.floor(Math.random() * sources.length)] ?? ''
  return {
    address,
    port,
    serverName,
    source,
    connectWaitMs: settings.connectWaitMs,
    replyWaitMs: settings.replyWaitMs,
    totalWaitMs: settings.budgetMs,
  }
}
