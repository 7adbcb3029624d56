/**
 * Names: what the probes ask the DNS, with answers told apart and kept.
 *
 * Over the Resolver of node:dns (c-ares) with servers, tries and time-outs of our own. *There is no
 * such name* and *the name has no such record* are answers; everything else (SERVFAIL, REFUSED,
 * time-out, an answer that cannot be parsed, TCP refused after truncation) is trouble and proves
 * nothing; it is kept for a short time, so that a dead zone is not asked at each connection. c-ares
 * tells the time to live of A and AAAA alone: the other answers are kept for a set time. PTR is
 * asked as an ordinary query, since `reverse()` reads the hosts file first. Names in answers are
 * checked: what is no host name is left out. RFC 1035, RFC 2308, RFC 7505.
 */
import { Resolver } from 'node:dns'
import { domainToASCII } from 'node:url'
import { messageOf } from '../base/errors.ts'
import { newPrefixCell, parseAddress } from '../base/ip-address.ts'
import { dnsRecordsMax, dnsTroubleKeepMsMax } from '../base/limits.ts'
import { isHostName } from '../checks/dialup-name.ts'

/** An answer: records (at least one), no such name, no such record, or trouble. */
export type DnsAnswer<T> =
  | { readonly kind: 'found'; readonly records: readonly T[] }
  | { readonly kind: 'no-name' }
  | { readonly kind: 'no-data' }
  | { readonly kind: 'trouble'; readonly reason: string }

/** A mail exchanger; the null MX of RFC 7505 has the exchange ''. */
export interface MailExchanger {
  readonly preference: number
  readonly exchange: string
}

/** What the probes ask. Each call answers in bounded time and never rejects. */
export interface NameService {
  /** Names of an address (PTR); records of which none is a host name are trouble. */
  names(address: string): Promise<DnsAnswer<string>>
  /** IPv4 and IPv6 addresses of a name. */
  addresses(name: string): Promise<DnsAnswer<string>>
  /**
   * MX records in order of preference; records of which none can be used are trouble, and so is a
   * name that cannot be asked for.
   */
  exchangers(domain: string): Promise<DnsAnswer<MailExchanger>>
  /** TXT records, the strings of each joined (RFC 7208 §3.3). */
  texts(name: string): Promise<DnsAnswer<string>>
}

/** Settings of the name service; times in milliseconds. */
export interface DnsSettings {
  /** `address:port`, `[address]:port` or bare addresses; empty: the system's. */
  readonly servers: readonly string[]
  readonly waitMs: number
  readonly tries: number
  readonly ttlMaxMs: number
  readonly ttlMs: number
  readonly negativeTtlMs: number
  readonly entriesMax: number
}

interface Kept {
  readonly answer: DnsAnswer<unknown>
  readonly untilMs: number
}

interface Asked<T> {
  readonly records: readonly T[]
  /** Milliseconds, when the resolver told one. */
  readonly ttlMs: number | undefined
}

const monotonicNow = (): number => performance.now()

/** The DNS with a cache. */
export class DnsNameService implements NameService {
  readonly #resolver: Resolver
  readonly #settings: DnsSettings
  readonly #kept = new Map<string, Kept>()
  readonly #running = new Map<string, Promise<DnsAnswer<unknown>>>()
  readonly #now: () => number

  constructor(settings: DnsSettings, now: () => number = monotonicNow) {
    this.#settings = settings
    this.#now = now
    this.#resolver = new Resolver({ timeout: settings.waitMs, tries: settings.tries })
    if (settings.servers.length > 0) this.#resolver.setServers([...settings.servers])
  }

  names(address: string): Promise<DnsAnswer<string>> {
    const name = reverseName(address)
    if (name === '') return Promise.resolve({ kind: 'no-name' })
    return this.#ask(`PTR ${name}`, async () => {
      const names = await this.#query<string[]>(name, 'PTR')
      const checked = names.filter(isHostName).map(bareName)
      if (names.length > 0 && checked.length === 0) throw new Error('no usable PTR')
      return { records: checked, ttlMs: undefined }
    })
  }

  async addresses(name: string): Promise<DnsAnswer<string>> {
    const ascii = asciiName(name)
    if (ascii === '') return { kind: 'no-name' }
    const [four, six] = await Promise.all([
      this.#ask(`A ${ascii}`, () => this.#queryAddresses(ascii, 'A')),
      this.#ask(`AAAA ${ascii}`, () => this.#queryAddresses(ascii, 'AAAA')),
    ])
    if (four.kind === 'found' && six.kind === 'found') {
      return { kind: 'found', records: [...four.records, ...six.records] }
    }
    if (four.kind === 'found') return four
    if (six.kind === 'found') return six
    if (four.kind === 'trouble') return four
    return six.kind === 'trouble' ? six : four
  }

  exchangers(domain: string): Promise<DnsAnswer<MailExchanger>> {
    const name = asciiName(domain)
    // Nobody was asked, so nobody has said that it does not exist.
    if (name === '') return Promise.resolve({ kind: 'trouble', reason: 'EBADNAME' })
    return this.#ask(`MX ${name}`, async () => {
      const records = await this.#query<{ priority: number; exchange: string }[]>(name, 'MX')
      const checked = checkedExchangers(records)
      // There is an MX, so the domain's own address is not the one to ask (RFC 5321 §5.1).
      if (records.length > 0 && checked.length === 0) throw new Error('no usable MX')
      return { records: checked, ttlMs: undefined }
    })
  }

  texts(domain: string): Promise<DnsAnswer<string>> {
    const name = asciiName(domain)
    if (name === '') return Promise.resolve({ kind: 'no-name' })
    return this.#ask(`TXT ${name}`, async () => {
      const records = await this.#query<string[][]>(name, 'TXT')
      return { records: records.map((strings) => strings.join('')), ttlMs: undefined }
    })
  }

  /** Gives up what is being asked; the answers are trouble then. */
  close(): void {
    this.#resolver.cancel()
  }

  #ask<T>(key: string, ask: () => Promise<Asked<T>>): Promise<DnsAnswer<T>> {
    const kept = this.#kept.get(key)
    if (kept !== undefined && kept.untilMs > this.#now()) {
      return Promise.resolve(kept.answer as DnsAnswer<T>)
    }
    const running = this.#running.get(key)
    if (running !== undefined) return running as Promise<DnsAnswer<T>>
    const flight = this.#answer(key, ask)
    this.#running.set(key, flight)
    return flight
  }

  async #answer<T>(key: string, ask: () => Promise<Asked<T>>): Promise<DnsAnswer<T>> {
    let answer: DnsAnswer<T>
    let ttlMs = this.#settings.negativeTtlMs
    try {
      const asked = await ask()
      const records = asked.records.slice(0, dnsRecordsMax)
      answer = records.length === 0 ? { kind: 'no-data' } : { kind: 'found', records }
      if (records.length > 0) {
        ttlMs = Math.min(asked.ttlMs ?? this.#settings.ttlMs, this.#settings.ttlMaxMs)
      }
    } catch (error) {
      answer = answerOfFault(error)
      if (answer.kind === 'trouble') ttlMs = Math.min(ttlMs, dnsTroubleKeepMsMax)
    }
    this.#running.delete(key)
    if (ttlMs > 0) this.#keep(key, answer, ttlMs)
    return answer
  }

  #keep(key: string, answer: DnsAnswer<unknown>, ttlMs: number): void {
    this.#kept.delete(key)
    this.#kept.set(key, { answer, untilMs: this.#now() + ttlMs })
    if (this.#kept.size <= this.#settings.entriesMax) return
    const oldest = this.#kept.keys().next().value
    if (oldest !== undefined) this.#kept.delete(oldest)
  }

  #query<T>(name: string, type: 'PTR' | 'MX' | 'TXT'): Promise<T> {
    return new Promise((resolve, reject) => {
      checkAskable(name)
      this.#resolver.resolve(name, type, (error, records) => {
        if (error === null) resolve(records as T)
        else reject(error)
      })
    })
  }

  #queryAddresses(name: string, type: 'A' | 'AAAA'): Promise<Asked<string>> {
    return new Promise((resolve, reject) => {
      checkAskable(name)
      const done = (
        error: NodeJS.ErrnoException | null,
        records: readonly { address: string; ttl: number }[],
      ): void => {
        if (error !== null) {
          reject(error)
          return
        }
        const seconds = Math.min(...records.map((record) => record.ttl))
        resolve({ records: records.map((record) => record.address), ttlMs: seconds * 1000 })
      }
      if (type === 'A') this.#resolver.resolve4(name, { ttl: true }, done)
      else this.#resolver.resolve6(name, { ttl: true }, done)
    })
  }
}

/** node:dns asks for the root in place of a name that its IDNA refuses: no answer to ours. */
function checkAskable(name: string): void {
  if (domainToASCII(name) === '') throw new Error('EBADNAME')
}

/** ENOTFOUND is NXDOMAIN, ENODATA an empty answer; nothing else is an answer (c-ares' words). */
function answerOfFault(error: unknown): DnsAnswer<never> {
  const code = error instanceof Error && 'code' in error ? String(error.code) : messageOf(error)
  if (code === 'ENOTFOUND') return { kind: 'no-name' }
  if (code === 'ENODATA') return { kind: 'no-data' }
  return { kind: 'trouble', reason: code }
}

/** In order of preference; a null MX counts only where it stands alone (RFC 7505 §3). */
function checkedExchangers(
  records: readonly { priority: number; exchange: string }[],
): readonly MailExchanger[] {
  const isNull = (exchange: string) => exchange === '' || exchange === '.'
  const only = records[0]
  if (records.length === 1 && only !== undefined && isNull(only.exchange)) {
    return [{ preference: only.priority, exchange: '' }]
  }
  return records
    .filter((record) => isHostName(record.exchange))
    .map((record) => ({ preference: record.priority, exchange: bareName(record.exchange) }))
    .toSorted((one, other) => one.preference - other.preference)
}

/** The name under in-addr.arpa (RFC 1035 §3.5) or ip6.arpa (RFC 3596 §2.5), '' for no address. */
function reverseName(address: string): string {
  const cell = newPrefixCell()
  if (parseAddress(address, cell) !== '') return ''
  const word = cell.words[0] ?? 0
  if (cell.family === 4) {
    return `${word & 255}.${(word >>> 8) & 255}.${(word >>> 16) & 255}.${word >>> 24}.in-addr.arpa`
  }
  const nibbles = [...cell.words].map((part) => part.toString(16).padStart(8, '0')).join('')
  return `${[...nibbles].toReversed().join('.')}.ip6.arpa`
}

/**
 * The name as asked for: lower case, IDNA in ASCII; '' for what cannot be asked for. ASCII stands
 * as it is: whether an `xn--` label is well made is not ours to judge, it may exist. So may a
 * top-level domain with an MX (`ai`), and labels that a host name does not have.
 */
function asciiName(name: string): string {
  const ascii = isAscii(name) ? name.toLowerCase() : domainToASCII(name).toLowerCase()
  const bare = bareName(ascii)
  const labels = bare.split('.')
  const isAddress = /^\d+$/.test(labels.at(-1) ?? '')
  const isShort = bare.length <= 253 && labels.every((label) => label.length < 64)
  return isShort && !isAddress && labels.every((label) => /^[a-z0-9_-]+$/.test(label)) ? bare : ''
}

function isAscii(name: string): boolean {
  for (let index = 0; index < name.length; index++) if (name.charCodeAt(index) > 127) return false
  return true
}

function bareName(name: string): string {
  return (name.endsWith('.') ? name.slice(0, -1) : name).toLowerCase()
}
