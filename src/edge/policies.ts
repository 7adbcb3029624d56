/**
 * Policies: what the configuration comes to for gate, journey and transfer.
 *
 * Pure but for the files that the configuration names, read by `readPolicyFiles`. The values travel
 * to the serving threads by message.
 */
import { hash, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { messageOf, OperatingError } from '../base/errors.ts'
import { mailhostSlotsMax } from '../base/limits.ts'
import { parseHeaderRules } from '../checks/header-rules.ts'
import { effective } from '../config/effective.ts'
import type { Endpoint } from '../config/kinds.ts'
import { isDomainPattern } from '../config/rules.ts'
import type { Config } from '../config/schema.ts'
import type { ClassRule, GatePolicy } from '../io/gate.ts'
import { defaultPolicy, type JourneyPolicy, type Timeouts } from '../journey/policy.ts'
import { type Certificate, InboundTls, type InboundTlsPolicy } from '../tls/inbound.ts'
import type { Mailhost, Route, TransferPolicy } from '../transfer/mailhost.ts'
import type { TlsPolicy } from './thread-tls.ts'

/** Texts of files that the configuration names. */
export interface PolicyFiles {
  /** Recipient domains of recipients.domains_file. */
  readonly recipientDomains: readonly string[]
  /** Text of tests.headers.rules. */
  readonly headerRules: string
  /** Certificates of clients' STARTTLS, the first for all names; none: not offered. */
  readonly certificates: readonly Certificate[]
  /** Secret of the ticket keys; undefined: one of this process. */
  readonly ticketSecret: Uint8Array | undefined
  /** Text of mailhost.ca. */
  readonly mailhostCa: string
}

/** What lists and tables come to for the gate. */
export interface GateTables {
  /** Handles of native tables, 0 = none. */
  readonly blacklist: number
  readonly trusted: number
  readonly proxyProtocolFrom: number
  readonly classRules: readonly ClassRule[]
}

/** Gives every mailhost address a slot that it keeps over reloads. */
export class MailhostSlots {
  readonly #slots = new Map<string, number>()

  /** Throws OperatingError when there are too many. */
  of({ address, port }: Endpoint): Mailhost {
    const key = `[${address}]:${port}`
    const slot = this.#slots.get(key) ?? this.#slots.size
    if (slot >= mailhostSlotsMax) {
      const limit = `more than ${mailhostSlotsMax} mailhost addresses since start`
      throw new OperatingError('MAILHOSTS_TOO_MANY', `mailhost.addresses: ${limit}; restart`)
    }
    this.#slots.set(key, slot)
    return { address, port, slot }
  }
}

/** Reads the files. Throws OperatingError naming setting, file and reason. */
export function readPolicyFiles(config: Config): PolicyFiles {
  const { recipients, tests } = config
  return {
    recipientDomains: readRecipientDomains(recipients.domainsFile),
    headerRules: readHeaderRules(tests.headers.rules),
    ...readTlsFiles(config),
  }
}

/**
 * The domains of recipients.domains_file, lower case. Throws OperatingError for a line that is none
 * and where there is none at all: a file of another form, or one that is being written, would
 * refuse mail for good.
 */
function readRecipientDomains(file: string): readonly string[] {
  const domains = readSetting('recipients.domains_file', file)
    .split(/\r?\n/)
    .map((line) => line.replace(/#.*/, '').trim().toLowerCase())
  const wrong = [...domains.entries()].filter(
    ([, domain]) => domain !== '' && !isDomainPattern(domain),
  )
  const found = domains.filter((domain) => domain !== '')
  if (file === '' || (wrong.length === 0 && found.length > 0)) return found
  const named = wrong
    .slice(0, wrongLinesNamedMax)
    .map(([at, domain]) => `${file}:${at + 1}: ${JSON.stringify(domain.slice(0, 80))} is no domain`)
  const more = wrong.length - named.length
  if (more > 0) named.push(`${more} more lines are none`)
  const what = named.join(', ') || `${file}: holds no domain`
  const remedy = 'write one a line, such as example.net or *.example.net; xn--… beyond ASCII'
  throw new OperatingError('RECIPIENT_DOMAINS', `recipients.domains_file: ${what}; ${remedy}`)
}

/** Of wrong lines, those that a fault names. */
const wrongLinesNamedMax = 5

/** Read here to be found wrong here: the serving threads could do nothing about it. */
function readHeaderRules(file: string): string {
  const text = readSetting('tests.headers.rules', file)
  const [fault] = parseHeaderRules(text, file).faults
  if (fault === undefined) return text
  throw new OperatingError('HEADER_RULES', `tests.headers.rules: ${fault}; mend the line`)
}

/** Certificates of our own service and their keys, as files; `place` is the table of both. */
export function certificatePairsOf({ tls }: Config) {
  const { certificate, key } = tls
  const first = { names: [], certificate, key, place: 'tls' }
  const others = tls.sni.map((pair, at) => ({ ...pair, place: `tls.sni[${at}]` }))
  return [first, ...others].filter((pair) => pair.certificate !== '')
}

function readTlsFiles(config: Config) {
  const { tls, mailhost } = config
  const secret = readOctets('tls.ticket_secret', tls.ticketSecret)
  return {
    certificates: certificatePairsOf(config).map(({ names, certificate, key, place }) => ({
      names,
      certificate: readSetting(`${place}.certificate`, certificate),
      key: readSetting(`${place}.key`, key),
    })),
    ticketSecret: secret.length === 0 ? undefined : secret,
    mailhostCa: readAuthorities('mailhost.ca', mailhost.ca),
  }
}

/**
 * The text of a file of authorities. Throws OperatingError where it is not readable or holds none.
 */
export function readAuthorities(name: string, file: string): string {
  const text = readSetting(name, file)
  const fault = file === '' ? '' : authoritiesFault(text)
  if (fault === '') return text
  throw new OperatingError('TLS_CA', `${name} = ${file}: ${fault}`)
}

/**
 * What is wrong with a text of authorities, ''; OpenSSL takes one without any as none: then nobody
 * could be trusted, or, where it is empty, whom the system trusts.
 */
export function authoritiesFault(text: string): string {
  try {
    new X509Certificate(text)
    return ''
  } catch (cause) {
    return `holds no certificate: ${messageOf(cause)}; give PEM`
  }
}

/**
 * What TLS is done with, both sides. @param processSecret where no secret is set: tickets are good
 * for this process alone. Throws OperatingError for a certificate that does not fit its key.
 */
export function tlsPolicyOf(
  config: Config,
  files: PolicyFiles,
  processSecret: Uint8Array,
): TlsPolicy {
  const { mailhost, tls, tlsDaemon, name } = config
  const { certificates, mailhostCa: ca, ticketSecret = processSecret } = files
  const inbound: InboundTlsPolicy = {
    certificates,
    versionMin: tls.versionMin,
    ticketSecret,
    service: name,
  }
  if (certificates.length > 0) checkCertificates(inbound)
  return {
    inbound: certificates.length === 0 ? undefined : inbound,
    handshakeMs: tls.handshakeWaitMs,
    stressHandshakeMs: effective(config, true).tls.handshakeWaitMs,
    mailhost: mailhost.tls === 'off' ? undefined : outboundOf(mailhost, ca),
    daemonSocket: mailhost.sessions === 'shared' ? tlsDaemon.socket : '',
    sessionsMax: mailhost.sessionsMax,
    ehlo: mailhost.helo === '' ? name : mailhost.helo,
  }
}

function outboundOf(mailhost: Config['mailhost'], ca: string) {
  const isChecked = mailhost.tls === 'required'
  return { ca, servername: mailhost.servername, isChecked }
}

function checkCertificates(inbound: InboundTlsPolicy): void {
  try {
    new InboundTls(inbound, Date.now)
  } catch (cause) {
    const message = `tls.certificate, tls.key: ${messageOf(cause)}; give a chain and its own key`
    throw new OperatingError('TLS_CERTIFICATE', message, { cause })
  }
}

/** What the journey judges by. */
export function journeyPolicyOf(
  config: Config,
  files: PolicyFiles,
  hasTrustedNames: boolean,
): JourneyPolicy {
  const { body, listen, recipients, tests, tls, whitelist } = config
  const stressed = effective(config, true)
  return {
    ...defaultPolicy,
    name: config.name,
    sizeOctetsMax: body.sizeMaxOctets,
    recipientDomains: [
      ...recipients.domains.map((domain) => domain.toLowerCase()),
      ...files.recipientDomains,
    ],
    partnerDomains: recipients.partners.map((domain) => domain.toLowerCase()),
    learnsPartners: whitelist.learn,
    exemptRecipients: recipients.exempt,
    hasTrustedNames,
    whitelist: whitelist.mode === 'on' && whitelist.require === 'spf' ? 'proved' : whitelist.mode,
    testsAt: tests.at,
    dialup: tests.dialup,
    relay: tests.relay,
    user: tests.user,
    headers: {
      ...defaultPolicy.headers,
      mode: tests.headers.mode,
      indeterminate: tests.headers.indeterminate,
      rules: files.headerRules,
      rulesFile: tests.headers.rules,
      checks: tests.headers.checks,
      receivedMax: tests.headers.receivedMax,
    },
    earlyTalker: listen.earlyTalker,
    illegalPipelining: listen.illegalPipelining,
    stray: body.stray,
    hasCertificate: tls.certificate !== '',
    recipientsMax: recipients.max,
    errorsMax: listen.errorsMax,
    transactionsMax: listen.transactionsMax,
    addsReceived: body.received,
    timeouts: timeoutsOf(config),
    stressTimeouts: timeoutsOf(stressed),
    stressErrorsMax: stressed.listen.errorsMax,
    stressSizeOctetsMax: stressed.body.sizeMaxOctets,
  }
}

/** Where mail goes. */
export function transferPolicyOf(
  config: Config,
  files: PolicyFiles,
  slots: MailhostSlots,
): TransferPolicy {
  const { mailhost } = config
  const isShared = mailhost.sessions === 'shared'
  const routeTo = (addresses: readonly Endpoint[]): Route => ({
    mailhosts: addresses.map((endpoint) => slots.of(endpoint)),
  })
  const domainRoutes = mailhost.route.flatMap(({ domains, addresses }) => {
    const route = routeTo(addresses)
    return domains.map((domain) => [domain.toLowerCase(), route] as const)
  })
  return {
    name: mailhost.helo === '' ? config.name : mailhost.helo,
    // A shared session has its TLS in the daemon; its user sees a plain one.
    tls: isShared ? 'off' : mailhost.tls,
    trust: trustOf(config, files),
    sessionsMax: mailhost.sessionsMax,
    waitMs: mailhost.waitMs,
    stressWaitMs: effective(config, true).mailhost.waitMs,
    clientIdentity: mailhost.clientIdentity,
    connectWaitMs: mailhost.connectWaitMs,
    replyWaitMs: mailhost.replyWaitMs,
    finalReplyWaitMs: mailhost.finalReplyWaitMs,
    idleMs: mailhost.idleMs,
    transactionsPerSessionMax: mailhost.messagesPerSessionMax,
    retryMs: mailhost.retryMs,
    route: routeTo(mailhost.addresses),
    domainRoutes: new Map(domainRoutes),
  }
}

/** What a session's TLS rests on; sessions in plain text stay what they are. */
function trustOf({ mailhost, tlsDaemon }: Config, { mailhostCa }: PolicyFiles): string {
  const { tls, sessions, servername } = mailhost
  if (tls === 'off') return ''
  const maker = sessions === 'shared' ? tlsDaemon.socket : ''
  // Short, since each message asks whether its session is still of the policy.
  return hash('sha256', JSON.stringify([tls, sessions, maker, servername, mailhostCa]))
}

/** What the gate judges by. */
export function gatePolicyOf(config: Config, tables: GateTables, isStressed: boolean): GatePolicy {
  const { listen } = effective(config, isStressed)
  const isTemporary = listen.earlyTalker === 'tempfail'
  const early = isTemporary ? '421 4.7.0' : '554 5.5.1'
  return {
    greeting: `220 ${config.name} ESMTP activemx\r\n`,
    greetDelayMs: listen.greetDelayMs,
    earlyTalker: listen.earlyTalker,
    earlyTalkerReply: `${early} protocol: you talked before the greeting, id={id}\r\n`,
    ...tables,
    connectionsMax: listen.connectionsMax,
    perAddressMax: listen.perAddressMax,
    rateMax: listen.rateMax.count,
    rateWindowMs: listen.rateMax.windowMs,
    tarpitMax: listen.tarpitMax,
    sessionsPerWorkerMax: listen.sessionsPerWorkerMax,
    limitReply: '421 4.7.0 connect: too many connections from your address, id={id}\r\n',
    overloadReply: '421 4.3.2 connect: too busy, try again later, id={id}\r\n',
    stoppingReply: '421 4.3.2 connect: shutting down, try again later, id={id}\r\n',
  }
}

function timeoutsOf({ listen }: Config): Timeouts {
  return {
    firstCommandMs: listen.firstCommandWaitMs,
    commandMs: listen.commandWaitMs,
    lineMs: listen.lineWaitMs,
    dataMs: listen.dataWaitMs,
    sessionMs: listen.sessionMaxMs,
  }
}

function readSetting(name: string, file: string): string {
  return Buffer.from(readOctets(name, file)).toString('utf8')
}

function readOctets(name: string, file: string): Uint8Array {
  if (file === '') return new Uint8Array(0)
  try {
    return readFileSync(file)
  } catch (cause) {
    const message = `${name} = ${file}: ${messageOf(cause)}; make it readable or unset it`
    throw new OperatingError('FILE_UNREADABLE', message, { cause })
  }
}
