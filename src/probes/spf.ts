/**
 * SPF: may this client send for the sender's domain? Asked for whitelisted senders alone, where
 * `whitelist.require = "spf"`: a forged one gains nothing then. RFC 7208.
 *
 * Each record is read by src/checks/spf-record.ts. Look-ups are bounded as §4.6.4 says; trouble of
 * the DNS is *temperror*, a faulty record *permerror*, and neither is ever a pass.
 */
import { newPrefixCell, parseAddress } from '../base/ip-address.ts'
import { spfLookupsMax, spfVoidLookupsMax } from '../base/limits.ts'
import { prefixHolds } from '../base/prefix-holds.ts'
import type { Mailbox } from '../checks/sender-key.ts'
import {
  expandMacros,
  isSpfRecord,
  parseSpfRecord,
  type SpfMacros,
  type SpfRecord,
  type SpfTerm,
} from '../checks/spf-record.ts'
import type { DnsAnswer, NameService } from './dns.ts'

/** §2.6. */
export type SpfResult =
  | 'pass'
  | 'fail'
  | 'softfail'
  | 'neutral'
  | 'none'
  | 'temperror'
  | 'permerror'

/** Evaluates the policy of the sender's domain for a client. Never rejects. */
export function checkSpf(
  sender: Mailbox,
  address: string,
  helo: string,
  names: NameService,
): Promise<SpfResult> {
  return new Evaluation(sender, address, helo, names).run()
}

/** Ends an evaluation from any depth; caught in `run`. */
class Stop {
  readonly result: SpfResult

  constructor(result: SpfResult) {
    this.result = result
  }
}

class Evaluation {
  readonly #domain: string
  readonly #names: NameService
  readonly #macros: Omit<SpfMacros, 'domain'>
  #lookups = 0
  #voids = 0

  constructor({ local, domain }: Mailbox, address: string, helo: string, names: NameService) {
    this.#domain = domain
    this.#names = names
    this.#macros = { sender: `${local}@${domain}`, address, helo }
  }

  async run(): Promise<SpfResult> {
    if (parseAddress(this.#macros.address, newPrefixCell()) !== '') return 'none'
    try {
      return await this.#check(this.#domain)
    } catch (error) {
      if (error instanceof Stop) return error.result
      throw error
    }
  }

  /** check_host() of §4. */
  async #check(domain: string): Promise<SpfResult> {
    const answer = await this.#names.texts(domain)
    if (answer.kind === 'trouble') throw new Stop('temperror')
    const texts = answer.kind === 'found' ? answer.records.filter(isSpfRecord) : []
    const [text] = texts
    if (text === undefined) return 'none'
    const record = texts.length === 1 ? parseSpfRecord(text) : undefined
    if (record === undefined) throw new Stop('permerror')
    return this.#evaluate(record, domain)
  }

  async #evaluate({ terms, redirect }: SpfRecord, domain: string): Promise<SpfResult> {
    for (const term of terms) {
      if (await this.#matches(term, domain)) return term.qualifier
    }
    if (redirect === '') return 'neutral'
    this.#countLookup()
    const result = await this.#check(this.#nameOf(redirect, domain))
    // §6.1: a redirect to nowhere is a fault of the record.
    if (result === 'none') throw new Stop('permerror')
    return result
  }

  async #matches(term: SpfTerm, domain: string): Promise<boolean> {
    switch (term.kind) {
      case 'all':
        return true
      case 'ip4':
      case 'ip6':
        return this.#isIn(term.network)
      case 'include':
        return this.#includes(this.#nameOf(term.spec, domain))
      case 'exists':
        this.#countLookup()
        return this.#exists(this.#nameOf(term.spec, domain))
      case 'a':
        this.#countLookup()
        return this.#isAddressOf(this.#nameOf(term.spec, domain), term)
      case 'mx':
        this.#countLookup()
        return this.#isExchangerOf(this.#nameOf(term.spec, domain), term)
      case 'ptr':
        this.#countLookup()
        return this.#hasNameBelow(this.#nameOf(term.spec, domain))
    }
  }

  /** §5.2: a pass of the included policy matches; one that is not there is a fault of this one. */
  async #includes(name: string): Promise<boolean> {
    this.#countLookup()
    const result = await this.#check(name)
    if (result === 'none') throw new Stop('permerror')
    return result === 'pass'
  }

  async #isAddressOf(name: string, term: Extract<SpfTerm, { kind: 'a' | 'mx' }>): Promise<boolean> {
    const addresses = this.#recordsOf(await this.#names.addresses(name))
    return addresses.some((address) => {
      const length = address.includes(':') ? term.length6 : term.length4
      return this.#isIn(`${address}/${length}`)
    })
  }

  async #isExchangerOf(
    name: string,
    term: Extract<SpfTerm, { kind: 'a' | 'mx' }>,
  ): Promise<boolean> {
    const exchangers = this.#recordsOf(await this.#names.exchangers(name))
    // §4.6.4: more than ten names are a permanent error, not a reason to stop looking.
    if (exchangers.length > spfLookupsMax) throw new Stop('permerror')
    for (const { exchange } of exchangers) {
      if (exchange !== '' && (await this.#isAddressOf(exchange, term))) return true
    }
    return false
  }

  /** §5.7: only the A record is asked for, also for an IPv6 client. */
  async #exists(name: string): Promise<boolean> {
    const addresses = this.#recordsOf(await this.#names.addresses(name))
    return addresses.some((address) => !address.includes(':'))
  }

  /** §5.5: trouble of the DNS is no match here. */
  async #hasNameBelow(domain: string): Promise<boolean> {
    const { address } = this.#macros
    const answer = await this.#names.names(address)
    const found = answer.kind === 'found' ? answer.records.slice(0, spfLookupsMax) : []
    for (const name of found.filter((each) => each === domain || each.endsWith(`.${domain}`))) {
      const forward = await this.#names.addresses(name)
      if (forward.kind === 'found' && forward.records.includes(address)) return true
    }
    return false
  }

  #recordsOf<T>(answer: DnsAnswer<T>): readonly T[] {
    if (answer.kind === 'trouble') throw new Stop('temperror')
    if (answer.kind === 'found') return answer.records
    this.#voids++
    if (this.#voids > spfVoidLookupsMax) throw new Stop('permerror')
    return []
  }

  #countLookup(): void {
    this.#lookups++
    if (this.#lookups > spfLookupsMax) throw new Stop('permerror')
  }

  #nameOf(spec: string, domain: string): string {
    if (spec === '') return domain
    const name = expandMacros(spec, { ...this.#macros, domain })
    if (name === undefined || name === '') throw new Stop('permerror')
    return name.toLowerCase()
  }

  #isIn(network: string): boolean {
    const isInside = prefixHolds(network, this.#macros.address)
    if (isInside === undefined) throw new Stop('permerror')
    return isInside
  }
}
