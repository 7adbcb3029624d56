/**
 * What the configuration comes to for the probes.
 */
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { messageOf, OperatingError } from '../base/errors.ts'
import { effective } from '../config/effective.ts'
import { parseEndpoint } from '../config/kinds.ts'
import { allMailhosts } from '../config/mailhosts.ts'
import type { Config } from '../config/schema.ts'
import type { DnsSettings } from '../probes/dns.ts'
import type { FeedbackSettings } from '../probes/feedback.ts'
import { type NamePatterns, noPatterns, parseNamePatterns } from '../probes/name-patterns.ts'
import type { MailhostRoute, ProbeSettings } from '../probes/settings.ts'
import type { LearntSettings } from '../store/learnt.ts'

/** The probes' settings. `recipientDomains` are ours, with those of the domains file. */
export function probeSettingsOf(
  config: Config,
  recipientDomains: readonly string[],
): ProbeSettings {
  const { probe, tests, cache } = config
  return {
    modes: { dialup: tests.dialup.mode, relay: tests.relay.mode, user: tests.user.mode },
    noPtr: tests.dialup.noPtr,
    neighbours: tests.dialup.neighbours,
    neighboursAlike: tests.dialup.neighboursAlike,
    relayForms: tests.relay.forms,
    userDepth: tests.user.depth,
    nextMx: tests.user.nextMx,
    callAhead: tests.user.callAhead,
    mailhostRoutes: mailhostRoutesOf(config),
    helo: probe.helo,
    sources: probe.source,
    sender: probe.sender,
    relayRecipient: probe.relayRecipient,
    port: probe.port,
    budgetMs: probe.budgetMs,
    stressBudgetMs: effective(config, true).probe.budgetMs,
    connectWaitMs: probe.connectWaitMs,
    replyWaitMs: probe.replyWaitMs,
    perDomain: probe.perDomain,
    perHost: probe.perHost,
    perNetwork: probe.perNetwork,
    perClient: probe.perClient,
    total: probe.total,
    inFlightMax: probe.inFlightMax,
    backOffMs: probe.backOffMs,
    breakerShare: probe.breakerShare,
    breakerWaitMs: probe.breakerWaitMs,
    allowLoopback: probe.allowLoopback,
    ownDomains: recipientDomains,
    ownNetworks: ownAddresses(config),
    keep: cache,
  }
}

/** What is kept over a restart, and for how long. */
export function learntSettingsOf({ store, cache, whitelist, feedback }: Config): LearntSettings {
  return {
    sizeMaxOctets: store.sizeMaxOctets,
    verdictsMax: cache.entriesMax,
    whitelistExpiresMs: whitelist.expiresMs,
    goodForMs: feedback.goodForMs,
  }
}

/** The name service's settings. */
export function dnsSettingsOf({ dns }: Config): DnsSettings {
  return {
    servers: dns.servers,
    waitMs: dns.waitMs,
    tries: dns.tries,
    ttlMaxMs: dns.ttlMaxMs,
    ttlMs: dns.ttlMs,
    negativeTtlMs: dns.negativeTtlMs,
    entriesMax: dns.entriesMax,
  }
}

/** [feedback]. */
export function feedbackSettingsOf({ feedback }: Config): FeedbackSettings {
  const { layers, findings, ttlMs, promoteHosts, goodForMs } = feedback
  return { layers, findings, ttlMs, promoteHosts, goodForMs }
}

/**
 * The operator's file of name patterns. Lines that cannot be read are told and left out; throws
 * OperatingError where they are more than one in a hundred.
 */
export function readNamePatterns({ tests }: Config, tell: (text: string) => void): NamePatterns {
  const file = tests.dialup.patterns
  if (file === '') return noPatterns
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const message = `tests.dialup.patterns = ${file}: ${messageOf(error)}; name a readable file`
    throw new OperatingError('PATTERNS_UNREADABLE', message)
  }
  const { patterns, bad } = parseNamePatterns(text)
  const first = bad[0]
  if (first === undefined) return patterns
  const message = `${file}:${first.line}: ${first.reason}; ${bad.length} bad lines, mend or remove`
  if (bad.length * 100 > patterns.size) throw new OperatingError('PATTERNS_SYNTAX', message)
  tell(message)
  return patterns
}

function mailhostRoutesOf({ mailhost }: Config): readonly MailhostRoute[] {
  const own = mailhost.route.map(({ domains, addresses }) => ({
    domains: domains.map((domain) => domain.toLowerCase()),
    mailhosts: addresses,
  }))
  return [...own, { domains: [], mailhosts: mailhost.addresses }]
}

/**
 * What no probe connects to: listeners (all addresses of this machine where one listens on all),
 * what we probe from, mailhosts, and the operator's own networks.
 */
function ownAddresses(config: Config): readonly string[] {
  const { listen, probe } = config
  const listeners = listen.smtp.map((written) => parseEndpoint(written)?.address ?? '')
  const anywhere = ['', '0.0.0.0', '::']
  const isAnywhere = listeners.some((address) => anywhere.includes(address))
  const addresses = new Set([
    ...listeners,
    ...(isAnywhere ? addressesOfMachine() : []),
    ...probe.source,
    ...allMailhosts(config).map(({ address }) => address),
    ...probe.ownNetworks,
  ])
  for (const address of anywhere) addresses.delete(address)
  return [...addresses]
}

/** Throws OperatingError: without them a probe could be led to ourselves. */
function addressesOfMachine(): readonly string[] {
  try {
    const interfaces = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
    return interfaces.map(({ address }) => address.split('%', 1)[0] ?? '')
  } catch (cause) {
    const remedy = 'permit AF_NETLINK (RestrictAddressFamilies of the unit), or name the addresses'
    const message = `listen.smtp: the machine does not tell its addresses: ${messageOf(cause)}`
    throw new OperatingError('ADDRESSES_UNKNOWN', `${message}; ${remedy}`, { cause })
  }
}
