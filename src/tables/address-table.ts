/**
 * AddressTable: e-mail addresses, as the whitelist holds them. The face and the form in memory.
 *
 * An address is one key: lower case, the domain without final dot, a local part that was quoted
 * without need freed of its quotes. Case does not count (RFC 5321 §2.4 lets it count in local
 * parts; no operator means it, and a whitelist that misses `John@` for `john@` refuses wanted
 * mail).
 *
 * Two forms pass test/contract/address-table.ts: this one, and stored-address-table.ts for
 * millions.
 */
import { OperatingError } from '../base/errors.ts'
import { domainOctetsMax, localPartOctetsMax } from '../base/limits.ts'

/** What is known of an address. */
export interface AddressEntry {
  /** As compared. */
  readonly address: string
  /** Where it was learnt: a list's name, `mined`, `learnt`. */
  readonly source: string
  /** Milliseconds since 1970: when mail to it was last seen, or it was entered. */
  readonly seenMs: number
  /** Milliseconds since 1970; Infinity = it stays. */
  readonly expiresMs: number
}

/** How to enter an address. */
export interface AddAddressOptions {
  readonly source: string
  /** Milliseconds from `wallMs`; absent = it stays. */
  readonly ttlMs?: number
  /** Absent = now. */
  readonly wallMs?: number
}

/** A table of addresses. Owned by one thread; synchronous. */
export interface AddressTable {
  /** Whether the address is listed and has not expired. False for texts that are no address. */
  has(address: string): boolean
  find(address: string): AddressEntry | undefined
  /**
   * Enters or renews an address; a later `seenMs` wins.
   * @returns whether it was not there before. Throws OperatingError ADDRESS_SYNTAX.
   */
  add(address: string, options: AddAddressOptions): boolean
  /** @returns whether it was there. */
  remove(address: string): boolean
  /** Enters many at once; texts that are no address are counted and passed over. */
  addMany(addresses: Iterable<string>, options: AddAddressOptions): AddManyResult
  /** All entries in order of the address, expired ones too. */
  entries(): Iterable<AddressEntry>
  /** Deletes what has expired; how many. */
  sweep(wallMs?: number): number
  readonly size: number
  close(): void
}

/** What addMany() did. */
export interface AddManyResult {
  readonly added: number
  readonly known: number
  readonly faulty: number
}

/** The key of an address, or undefined where the text is none. Angle brackets are taken off. */
export function addressKey(text: string): string | undefined {
  const bare = text.startsWith('<') && text.endsWith('>') ? text.slice(1, -1) : text
  const at = bare.lastIndexOf('@')
  if (at <= 0) return undefined
  const domain = bare
    .slice(at + 1)
    .toLowerCase()
    .replace(/\.$/, '')
  const local = unquoted(bare.slice(0, at)).toLowerCase()
  if (local.length > localPartOctetsMax || domain.length > domainOctetsMax) return undefined
  const isFit = domain !== '' && !/[\s@<>]/.test(domain) && !/[\0-\x1f\x7f]/.test(local)
  return isFit ? `${local}@${domain}` : undefined
}

// RFC 5321 §4.1.2  Quoted-string = DQUOTE *QcontentSMTP DQUOTE; quotes around a Dot-string mean
// nothing.
function unquoted(local: string): string {
  const quoted = /^"([^"\\]*)"$/.exec(local)
  const inside = quoted?.[1]
  if (inside === undefined) return local
  const isDotString = /^[^\s.()<>@,;:\\"[\]]+(?:\.[^\s.()<>@,;:\\"[\]]+)*$/.test(inside)
  return isDotString ? inside : local
}

/** The key, or OperatingError ADDRESS_SYNTAX. */
export function addressKeyOrThrow(text: string): string {
  const key = addressKey(text)
  if (key !== undefined) return key
  throw new OperatingError(
    'ADDRESS_SYNTAX',
    `address ${JSON.stringify(text.slice(0, 100))}: not user@domain; write it as john@example.net`,
  )
}

/** The entry that add() makes, given what was there. */
export function renewedEntry(
  address: string,
  options: AddAddressOptions,
  before: AddressEntry | undefined,
): AddressEntry {
  const wallMs = options.wallMs ?? Date.now()
  const expiresMs = options.ttlMs === undefined ? Number.POSITIVE_INFINITY : wallMs + options.ttlMs
  if (before === undefined) return { address, source: options.source, seenMs: wallMs, expiresMs }
  return {
    address,
    source: before.source,
    seenMs: Math.max(before.seenMs, wallMs),
    expiresMs: Math.max(before.expiresMs, expiresMs),
  }
}

/** addMany() by add(), for any form. */
export function addEach(
  table: Pick<AddressTable, 'add'>,
  addresses: Iterable<string>,
  options: AddAddressOptions,
): AddManyResult {
  let added = 0
  let known = 0
  let faulty = 0
  for (const address of addresses) {
    if (addressKey(address) === undefined) faulty++
    else if (table.add(address, options)) added++
    else known++
  }
  return { added, known, faulty }
}

/** A table in memory. */
export function newAddressTable(): AddressTable {
  return new MemoryAddressTable()
}

class MemoryAddressTable implements AddressTable {
  readonly #entries = new Map<string, AddressEntry>()

  has(address: string): boolean {
    return this.find(address) !== undefined
  }

  find(address: string): AddressEntry | undefined {
    const entry = this.#entries.get(addressKey(address) ?? '')
    return entry !== undefined && entry.expiresMs > Date.now() ? entry : undefined
  }

  add(address: string, options: AddAddressOptions): boolean {
    const key = addressKeyOrThrow(address)
    const before = this.find(key)
    this.#entries.set(key, renewedEntry(key, options, before))
    return before === undefined
  }

  remove(address: string): boolean {
    return this.#entries.delete(addressKey(address) ?? '')
  }

  addMany(addresses: Iterable<string>, options: AddAddressOptions): AddManyResult {
    return addEach(this, addresses, options)
  }

  entries(): Iterable<AddressEntry> {
    return [...this.#entries.values()].sort((one, other) => (one.address < other.address ? -1 : 1))
  }

  sweep(wallMs: number = Date.now()): number {
    const before = this.#entries.size
    for (const [key, entry] of this.#entries) {
      if (entry.expiresMs <= wallMs) this.#entries.delete(key)
    }
    return before - this.#entries.size
  }

  get size(): number {
    return this.#entries.size
  }

  close(): void {
    this.#entries.clear()
  }
}
