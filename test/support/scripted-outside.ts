/**
 * An outside without sockets: name answers from a table, and servers that are one function of the
 * command. What is asked is counted by address; everything settles in microtasks.
 */
import type { Finding } from '../../src/checks/finding.ts'
import { type BrokerParts, ProbeBroker } from '../../src/probes/broker.ts'
import type { Conversation, Converse } from '../../src/probes/converse.ts'
import type { DnsAnswer, NameService } from '../../src/probes/dns.ts'
import { noPatterns } from '../../src/probes/name-patterns.ts'
import type { ProbeSettings } from '../../src/probes/settings.ts'
import { type ProbePlan, type ProbeReport, SmtpProbe } from '../../src/probes/smtp-probe.ts'
import { MemoryVerdictCache } from '../../src/probes/verdict-cache.ts'
import { testProbeSettings } from './broker.ts'

/** One reply line to a command; '' = the greeting. */
export type Server = (command: string) => string

/** Everybody called `known…` is there, nobody else. */
export const honestServer: Server = (command) => {
  if (command === '') return '220 ready'
  if (!command.startsWith('RCPT')) return '250 OK'
  return /<known/.test(command) ? '250 2.1.5 OK' : '550 5.1.1 no such user'
}

/** Greets with the code given, or answers with it at RCPT. */
export function serverSaying(code: number, at: 'greeting' | 'recipient'): Server {
  return (command) => {
    const isNow = at === 'greeting' ? command === '' : command.startsWith('RCPT')
    return isNow ? `${code} as told` : honestServer(command)
  }
}

/** What the plan's questions come to at this server. */
export function conversationWith(server: Server, plan: ProbePlan): Conversation {
  const sent: string[] = ['']
  let report: ProbeReport | undefined
  const probe = new SmtpProbe(plan, {
    send: (text) => sent.push(text),
    startTls: () => undefined,
    awaitReply: () => undefined,
    close: () => undefined,
    onEnded: (ended) => {
      report = ended
    },
  })
  probe.onConnected()
  while (report === undefined) probe.onOctets(Buffer.from(`${server(sent.shift() ?? '')}\r\n`))
  return { kind: 'made', report }
}

/**
 * Exchangers of a domain and addresses of a name; a domain that is not there is its own exchanger.
 */
export interface NameTable {
  readonly mx?: Readonly<Record<string, readonly string[]>>
  readonly addresses: Readonly<Record<string, readonly string[]>>
}

/** Answers out of a table. */
export function scriptedNames({ mx = {}, addresses }: NameTable): NameService {
  const answer = <T>(records: readonly T[] | undefined): Promise<DnsAnswer<T>> =>
    Promise.resolve(records === undefined ? { kind: 'no-data' } : { kind: 'found', records })
  return {
    names: () => answer<string>(undefined),
    texts: () => answer<string>(undefined),
    addresses: (name) => answer(addresses[name]),
    exchangers: (domain) =>
      answer(mx[domain]?.map((exchange, preference) => ({ preference, exchange }))),
  }
}

/** A broker with nothing outside but the script. */
export interface ScriptedBroker {
  readonly broker: ProbeBroker
  readonly cache: MemoryVerdictCache
  /** Addresses that were connected to, in order. */
  readonly asked: string[]
  /** The clock: milliseconds that the broker reads. */
  readonly clock: { nowMs: number }
  ask(address: string, sender: string): Promise<readonly Finding[]>
}

/** Makes a broker over a table of names and one stand-in for all connections. */
export function scriptedBroker(
  settings: Partial<ProbeSettings>,
  names: NameTable,
  converse: Converse = async (_target, plan) => conversationWith(honestServer, plan),
  parts: Partial<BrokerParts> = {},
): ScriptedBroker {
  const asked: string[] = []
  const clock = { nowMs: 1_000_000 }
  const cache = new MemoryVerdictCache(1000)
  const broker = new ProbeBroker({
    settings: { ...testProbeSettings, ...settings },
    names: scriptedNames(names),
    patterns: noPatterns,
    converse: (target, plan) => {
      asked.push(target.address)
      return converse(target, plan)
    },
    cache,
    exemptions: { isRelayExempt: () => false, isDialupExempt: () => false },
    now: () => clock.nowMs,
    wallNow: () => clock.nowMs,
    onProbe: () => undefined,
    ...parts,
  })
  const ask = (address: string, sender: string): Promise<readonly Finding[]> =>
    new Promise((resolve) => {
      const question = { address, helo: 'client.example', sender, recipient: 'b@home.example' }
      broker.examine(question, { onDeferred: () => undefined, onAnswer: resolve })
    })
  return { broker, cache, asked, clock, ask }
}
