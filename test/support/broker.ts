/**
 * A broker over a loopback internet, with the waits of a test.
 */
import type { Finding } from '../../src/checks/finding.ts'
import { type BrokerParts, ProbeBroker } from '../../src/probes/broker.ts'
import { converse } from '../../src/probes/converse.ts'
import { DnsNameService } from '../../src/probes/dns.ts'
import type { ProbeRecord } from '../../src/probes/inquiry.ts'
import { noPatterns } from '../../src/probes/name-patterns.ts'
import type { ProbeSettings } from '../../src/probes/settings.ts'
import { MemoryVerdictCache } from '../../src/probes/verdict-cache.ts'
import type { Internet } from '../internet/internet.ts'
import { defaultProbeSettings } from './probe-settings.ts'

/** Settings of a test: every test enforced, short waits, no rate to run into. */
export const testProbeSettings: ProbeSettings = {
  ...defaultProbeSettings,
  modes: { dialup: 'enforce', relay: 'enforce', user: 'enforce' },
  helo: 'probe.home.example',
  sender: 'probe@home.example',
  relayRecipient: 'probe@home.example',
  connectWaitMs: 1500,
  replyWaitMs: 1500,
  budgetMs: 20_000,
  perDomain: { count: 0, windowMs: 1 },
  perHost: { count: 0, windowMs: 1 },
  perNetwork: { count: 0, windowMs: 1 },
  perClient: { count: 0, windowMs: 1 },
  total: { count: 0, windowMs: 1 },
  breakerShare: 1.1,
  allowLoopback: true,
  ownDomains: ['home.example'],
  ownNetworks: ['127.0.0.1/32'],
}

/** A broker and what it told. */
export interface TestBroker {
  readonly broker: ProbeBroker
  readonly cache: MemoryVerdictCache
  readonly records: ProbeRecord[]
  /** The findings of one question. */
  ask(address: string, sender: string): Promise<readonly Finding[]>
}

/** Makes a broker whose outside is the internet given. */
export function brokerOver(
  internet: Internet,
  settings: Partial<ProbeSettings> = {},
  parts: Partial<BrokerParts> = {},
): TestBroker {
  const records: ProbeRecord[] = []
  const cache = new MemoryVerdictCache(1000)
  const broker = new ProbeBroker({
    settings: { ...testProbeSettings, port: internet.smtpPort, ...settings },
    names: new DnsNameService({
      servers: [internet.nameServer],
      waitMs: 1000,
      tries: 1,
      ttlMaxMs: 60_000,
      ttlMs: 60_000,
      negativeTtlMs: 60_000,
      entriesMax: 1000,
    }),
    patterns: noPatterns,
    converse,
    cache,
    exemptions: { isRelayExempt: () => false, isDialupExempt: () => false },
    now: () => performance.now(),
    wallNow: Date.now,
    onProbe: (record) => records.push(record),
    ...parts,
  })
  const ask = (address: string, sender: string): Promise<readonly Finding[]> =>
    new Promise((resolve) => {
      const question = {
        address,
        helo: 'client.example',
        sender,
        recipient: 'postbox@home.example',
      }
      broker.examine(question, { onDeferred: () => undefined, onAnswer: resolve })
    })
  return { broker, cache, records, ask }
}
