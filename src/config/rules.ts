/**
 * What no single setting can know: rules between settings.
 *
 * Each rule looks at a whole configuration and reports what it finds; all rules always run, so that
 * an operator sees every fault at once. `warningsOf` names what is allowed but deserves a look.
 */
import { endpointText } from '../base/endpoint.ts'
import { newPrefixCell, parseAddress, parsePrefix } from '../base/ip-address.ts'
import { mailhostSlotsMax } from '../base/limits.ts'
import { listNameOf } from '../lists/list-name.ts'
import { type Endpoint, parseEndpoint } from './kinds.ts'
import type { ConfigFault } from './load.ts'
import { allMailhosts } from './mailhosts.ts'
import type { Config } from './schema.ts'

/** Faults of a configuration whose single values are all right. */
export function checkRules(config: Config): readonly ConfigFault[] {
  return rules.flatMap((rule) => rule(config))
}

/** The name of a list: as set, else its file's name without suffix. */
export function listName(list: { readonly name: string; readonly file: string }): string {
  return list.name === '' ? listNameOf(list.file) : list.name
}

/** What is allowed but should be looked at, one line each. */
export function warningsOf(config: Config): readonly string[] {
  const { lists, probe, process, mailhost, whitelist, tests, http } = config
  return [
    lists.allowLoopback && 'lists.allow_loopback = true: lists may refuse this machine itself',
    probe.allowLoopback && 'probe.allow_loopback = true: probes may connect to this machine',
    process.user === '' && 'process.user = "": started as root, the service stays root',
    mailhost.clientIdentity === 'none' &&
      'mailhost.client_identity = "none": the mailhost sees our address as the client’s',
    whitelist.mode === 'on' &&
      whitelist.require === 'none' &&
      activeTests.some((test) => tests[test].mode !== 'off') &&
      'whitelist.require = "none": a forged whitelisted sender skips the tests; "spf" asks for proof',
    (http.tokenFile !== '' || !['', '127.0.0.1:8025'].includes(http.address)) &&
      '[http]: nothing listens there yet; remove it',
    tests.user.callAhead &&
      tests.at !== 'rcpt' &&
      `tests.user.call_ahead = true: does nothing with tests.at = "${tests.at}"; set "rcpt", where the tests know the recipient`,
  ].filter((warning) => warning !== false)
}

type Rule = (config: Config) => readonly ConfigFault[]

const activeTests = ['dialup', 'relay', 'user'] as const

const rules: readonly Rule[] = [
  ({ mailhost }) =>
    when(mailhost.addresses.length === 0, 'mailhost.addresses', '[]', 'name at least one mailhost'),
  ({ recipients }) =>
    when(
      recipients.domains.length === 0 && recipients.domainsFile === '',
      'recipients.domains',
      '[]',
      'name the domains that are ours, here or in recipients.domains_file',
    ),
  ({ mailhost }) =>
    when(
      mailhost.clientIdentity === 'proxy' && mailhost.sessions === 'shared',
      'mailhost.client_identity',
      '"proxy"',
      'takes a connection per client: set mailhost.sessions = "pooled", or use xforward',
    ),
  ({ mailhost }) =>
    when(
      mailhost.sessions === 'shared' && mailhost.tls === 'off',
      'mailhost.tls',
      quote(mailhost.tls),
      'shared sessions are TLS sessions: set "required" or "opportunistic", or mailhost.sessions = "pooled"',
    ),
  ({ whitelist, recipients }) =>
    when(
      whitelist.learn && recipients.partners.length === 0,
      'whitelist.learn',
      'true',
      'learns recipients in recipients.partners, which is empty: name domains there, or set false',
    ),
  ({ listen }) =>
    when(listen.smtp.length === 0, 'listen.smtp', '[]', 'name at least one address to listen on'),
  ({ name }) =>
    when(
      !isHostName(name),
      'name',
      quote(name),
      'write a host name such as "mx1.example.net", without a dot at its end',
    ),
  ({ tls }) =>
    when(
      (tls.certificate === '') !== (tls.key === ''),
      tls.certificate === '' ? 'tls.certificate' : 'tls.key',
      '""',
      'certificate and key go together: set both or neither',
    ),
  ({ stress }) =>
    when(
      stress.until > stress.at,
      'stress.until',
      String(stress.until),
      `must not be above stress.at = ${stress.at}`,
    ),
  probeIdentity,
  callAheadAlone,
  probeNetworks,
  probeSources,
  relayRecipient,
  mailhostLoop,
  tooManyMailhosts,
  listenersOnce,
  domainNames,
  routes,
  listFiles,
  listNames,
  blacklistReplies,
]

function when(wrong: boolean, key: string, value: string, remedy: string): readonly ConfigFault[] {
  return wrong ? [{ key, value, remedy }] : []
}

function quote(text: string): string {
  return JSON.stringify(text)
}

/** Probing needs an identity before it can be switched on. */
function probeIdentity({ probe, tests }: Config): readonly ConfigFault[] {
  const test = activeTests.find((name) => tests[name].mode !== 'off')
  if (test === undefined) return []
  const remedy = `set it before tests.${test}.mode is switched on: a name of ours that resolves forward and back`
  return when(!isHostName(probe.helo), 'probe.helo', quote(probe.helo), remedy)
}

/** The recipient is asked about before a test asks others, and only for that. */
function callAheadAlone({ tests }: Config): readonly ConfigFault[] {
  const isAnyOn = activeTests.some((name) => tests[name].mode !== 'off')
  const remedy = 'comes before the active tests, which are all off: switch one on, or set false'
  return when(tests.user.callAhead && !isAnyOn, 'tests.user.call_ahead', 'true', remedy)
}

function probeNetworks({ probe }: Config): readonly ConfigFault[] {
  const remedy = 'write networks and addresses such as "198.51.100.0/24" or "2001:db8::25"'
  return probe.ownNetworks.flatMap((network) =>
    when(
      parsePrefix(network, newPrefixCell()) !== '',
      'probe.own_networks',
      quote(network),
      remedy,
    ),
  )
}

function probeSources({ probe }: Config): readonly ConfigFault[] {
  const remedy = 'write local addresses such as "198.51.100.7" or "2001:db8::25"'
  return probe.source.flatMap((address) =>
    when(parseAddress(address, newPrefixCell()) !== '', 'probe.source', quote(address), remedy),
  )
}

/** The relay probe offers an address in our own domain, so that an accident harms nobody. */
function relayRecipient({ probe, tests, recipients }: Config): readonly ConfigFault[] {
  // An operator may ask with the test off.
  if (tests.relay.mode === 'off' && probe.relayRecipient === '') return []
  const domain = domainOf(probe.relayRecipient)
  const key = 'probe.relay_recipient'
  if (domain === '') {
    const remedy = 'set it before tests.relay.mode is switched on: an address in a domain of ours'
    return when(true, key, quote(probe.relayRecipient), remedy)
  }
  const isOurs = recipients.domainsFile !== '' || isOneOf(domain, recipients.domains)
  const remedy =
    'must be in a domain of ours (recipients.domains), so that an accident harms nobody'
  return when(!isOurs, key, quote(probe.relayRecipient), remedy)
}

/** A mailhost that is ourselves would send every message round. */
function mailhostLoop(config: Config): readonly ConfigFault[] {
  const own = config.listen.smtp.flatMap((written) => parseEndpoint(written) ?? [])
  return allMailhosts(config).flatMap((mailhost) => {
    const { address, port } = mailhost
    const written = endpointText(address, port)
    const remedy = 'is one of listen.smtp: mail would go round; name the mailhost behind us'
    const isOwn = own.some((listener) => leadsTo(mailhost, listener))
    return when(isOwn, 'mailhost.addresses', quote(written), remedy)
  })
}

/** As many as there are places for their counters. */
function tooManyMailhosts(config: Config): readonly ConfigFault[] {
  const named = new Set(
    allMailhosts(config).map(({ address, port }) => endpointText(address, port)),
  )
  const remedy = `name at most ${mailhostSlotsMax} mailhosts, those of routes counted`
  return when(named.size > mailhostSlotsMax, 'mailhost.addresses', String(named.size), remedy)
}

function listenersOnce({ listen }: Config): readonly ConfigFault[] {
  const twice = listen.smtp.find((one, at) => !one.endsWith(':0') && listen.smtp.indexOf(one) < at)
  return when(
    twice !== undefined,
    'listen.smtp',
    quote(twice ?? ''),
    'is there twice; name it once',
  )
}

/** Who listens on all addresses listens on loopback; on `[::]` that is IPv6 only. */
function leadsTo({ address, port }: Endpoint, listener: Endpoint): boolean {
  if (port === 0 || port !== listener.port) return false
  if (address === listener.address) return true
  if (listener.address === '::') return address === '::1'
  return listener.address === '0.0.0.0' && /^(?:::ffff:)?127\./i.test(address)
}

function domainNames({ recipients, mailhost }: Config): readonly ConfigFault[] {
  const named = (key: string, domains: readonly string[]): readonly ConfigFault[] =>
    domains.flatMap((domain) =>
      when(
        !isDomainPattern(domain),
        key,
        quote(domain),
        'write a domain such as "example.net" or "*.example.net"; xn--… for names beyond ASCII',
      ),
    )
  return [
    ...named('recipients.domains', recipients.domains),
    ...named('recipients.partners', recipients.partners),
    ...mailhost.route.flatMap((route, index) =>
      named(`mailhost.route[${index}].domains`, route.domains),
    ),
  ]
}

function routes({ mailhost }: Config): readonly ConfigFault[] {
  const seen = new Set<string>()
  return mailhost.route.flatMap((route, index) => {
    const key = `mailhost.route[${index}]`
    const twice = route.domains
      .map((domain) => domain.toLowerCase())
      .find((domain) => {
        const isKnown = seen.has(domain)
        seen.add(domain)
        return isKnown
      })
    return [
      ...when(route.addresses.length === 0, `${key}.addresses`, '[]', 'name its mailhosts'),
      ...when(route.domains.length === 0, `${key}.domains`, '[]', 'name its recipient domains'),
      ...when(twice !== undefined, `${key}.domains`, quote(twice ?? ''), 'has a route already'),
    ]
  })
}

const kindsOfList = ['trusted', 'blacklist', 'relay', 'dialup', 'neverBlock'] as const
const writtenKinds = { neverBlock: 'never_block' } as const

function keyOfList(kind: (typeof kindsOfList)[number], index: number): string {
  return `lists.${kind === 'neverBlock' ? writtenKinds.neverBlock : kind}[${index}]`
}

function listFiles({ lists }: Config): readonly ConfigFault[] {
  return kindsOfList.flatMap((kind) =>
    lists[kind].flatMap(({ file }, index) => {
      const key = `${keyOfList(kind, index)}.file`
      const isForeign = /^[a-z]+:\/\//i.test(file) && !file.startsWith('https://')
      return [
        ...when(file === '', key, '""', 'name the file or https:// feed of this list'),
        ...when(isForeign, key, quote(file), 'only https:// feeds are fetched'),
      ]
    }),
  )
}

function listNames({ lists }: Config): readonly ConfigFault[] {
  return kindsOfList.flatMap((kind) => {
    const seen = new Set<string>(kind === 'blacklist' ? ['dynamic'] : [])
    return lists[kind].flatMap((list, index) => {
      const name = listName(list)
      const isTaken = seen.has(name)
      seen.add(name)
      const key = `${keyOfList(kind, index)}.name`
      const isWord = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(name)
      return [
        ...when(isTaken, key, quote(name), 'is taken by another list; give it a name of its own'),
        ...when(
          !isWord && list.file !== '',
          key,
          quote(name),
          'write letters, digits, ".", "_", "-"',
        ),
      ]
    })
  })
}

/** A reply must be a refusal, or the client takes it for a greeting. RFC 5321 §3.1. */
function blacklistReplies({ lists }: Config): readonly ConfigFault[] {
  const remedy = 'must begin with 554 or 421 and be one line of at most 400 characters'
  const check = (key: string, reply: string): readonly ConfigFault[] =>
    when(!/^(?:554|421) [\x20-\x7e]{1,396}$/.test(reply), key, quote(reply), remedy)
  return [
    ...check('lists.dynamic_reply', lists.dynamicReply),
    ...lists.blacklist.flatMap((list, index) =>
      check(`lists.blacklist[${index}].reply`, list.reply),
    ),
  ]
}

/** `example.net`, or `*.example.net` for every name below it. */
export function isDomainPattern(text: string): boolean {
  return isHostName(text.replace(/^\*\./, ''))
}

// RFC 5321 §2.3.5, with the underscore that real names have.
function isHostName(name: string): boolean {
  return (
    name.length <= 253 &&
    /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/i.test(name)
  )
}

function domainOf(mailbox: string): string {
  const at = mailbox.lastIndexOf('@')
  return at > 0 ? mailbox.slice(at + 1).toLowerCase() : ''
}

function isOneOf(domain: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => {
    const lower = pattern.toLowerCase()
    return lower.startsWith('*.') ? domain.endsWith(lower.slice(1)) : domain === lower
  })
}
