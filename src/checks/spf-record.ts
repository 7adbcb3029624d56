/**
 * SPF record: a policy text in, its terms out; and the expansion of its macros. Pure. RFC 7208.
 *
 *   record    = "v=spf1" *( 1*SP ( directive / modifier ) )                        §4.5, §12
 *   directive = [ "+" / "-" / "?" / "~" ] mechanism
 *   mechanism = "all" / "include:" spec / "a" [":" spec] [cidr] / "mx" [":" spec] [cidr]
 *             / "ptr" [":" spec] / "ip4:" network / "ip6:" network / "exists:" spec
 *   modifier  = "redirect=" spec / "exp=" spec / name "=" macro-string
 *
 * A fault anywhere makes the record a permanent error (§4.6). Only plain searches run on the
 * octets.
 */
import { ipv6Groups } from '../base/ip-address.ts'
import { spfRecordOctetsMax } from '../base/limits.ts'

/** What a matching mechanism says. §4.6.2. */
export type SpfQualifier = 'pass' | 'fail' | 'softfail' | 'neutral'

/** One mechanism. `spec` is a domain with macros, '' = the domain itself. */
export type SpfTerm =
  | { readonly kind: 'all'; readonly qualifier: SpfQualifier }
  | {
      readonly kind: 'include' | 'exists' | 'ptr'
      readonly qualifier: SpfQualifier
      readonly spec: string
    }
  | {
      readonly kind: 'a' | 'mx'
      readonly qualifier: SpfQualifier
      readonly spec: string
      /** Prefix lengths. */
      readonly length4: number
      readonly length6: number
    }
  | {
      readonly kind: 'ip4' | 'ip6'
      readonly qualifier: SpfQualifier
      /** As a prefix, with its length. */
      readonly network: string
    }

/** A record's terms in order; `redirect` is '' where there is none. */
export interface SpfRecord {
  readonly terms: readonly SpfTerm[]
  readonly redirect: string
}

/** What macros are filled with. §7.2. */
export interface SpfMacros {
  /** MAIL FROM's mailbox; `postmaster@` and the HELO name where it was null. */
  readonly sender: string
  readonly address: string
  readonly helo: string
  readonly domain: string
}

/** Is this text of a TXT record an SPF record? §4.5: the version, then a blank or the end. */
export function isSpfRecord(text: string): boolean {
  const head = text.slice(0, 7).toLowerCase()
  return head === 'v=spf1' || head === 'v=spf1 '
}

/** The terms, or undefined for a record with a fault. O(octets). */
export function parseSpfRecord(text: string): SpfRecord | undefined {
  if (text.length > spfRecordOctetsMax || !isSpfRecord(text)) return undefined
  const terms: SpfTerm[] = []
  let redirect = ''
  let hasExplanation = false
  for (const word of text.slice(6).split(' ')) {
    if (word === '') continue
    const modifier = modifierOf(word)
    if (modifier === undefined) {
      const term = termOf(word)
      if (term === undefined) return undefined
      terms.push(term)
    } else if (modifier.name === 'redirect') {
      if (redirect !== '' || modifier.value === '') return undefined
      redirect = modifier.value
    } else if (modifier.name === 'exp') {
      if (hasExplanation || modifier.value === '') return undefined
      hasExplanation = true
    }
  }
  return { terms, redirect }
}

/** `name=value`, where the name comes before any colon or slash. */
function modifierOf(word: string): { readonly name: string; readonly value: string } | undefined {
  const equals = word.indexOf('=')
  if (equals <= 0) return undefined
  const name = word.slice(0, equals).toLowerCase()
  const isName = [...name].every((letter) => isLetterOrDigit(letter) || '-_.'.includes(letter))
  return isName ? { name, value: word.slice(equals + 1) } : undefined
}

const qualifiers: Readonly<Record<string, SpfQualifier>> = {
  '+': 'pass',
  '-': 'fail',
  '~': 'softfail',
  '?': 'neutral',
}

function termOf(word: string): SpfTerm | undefined {
  const sign = qualifiers[word.charAt(0)]
  const qualifier = sign ?? 'pass'
  const rest = sign === undefined ? word : word.slice(1)
  const end = [...rest].findIndex((character) => character === ':' || character === '/')
  const kind = (end < 0 ? rest : rest.slice(0, end)).toLowerCase()
  const argument = end < 0 ? '' : rest.slice(end)
  switch (kind) {
    case 'all':
      return argument === '' ? { kind, qualifier } : undefined
    case 'include':
    case 'exists':
      return argument.length > 1 && argument.startsWith(':')
        ? { kind, qualifier, spec: argument.slice(1) }
        : undefined
    case 'ptr':
      if (argument !== '' && (argument.length < 2 || !argument.startsWith(':'))) return undefined
      return { kind, qualifier, spec: argument.slice(1) }
    case 'a':
    case 'mx':
      return hostTerm(kind, qualifier, argument)
    case 'ip4':
    case 'ip6':
      return networkTerm(kind, qualifier, argument)
    default:
      return undefined
  }
}

/** `a`, `a:spec`, `a/24`, `a:spec/24//64`. §5.6: dual-cidr-length. */
function hostTerm(
  kind: 'a' | 'mx',
  qualifier: SpfQualifier,
  argument: string,
): SpfTerm | undefined {
  const slash = slashOf(argument)
  const spec = slash < 0 ? argument : argument.slice(0, slash)
  if (spec !== '' && (!spec.startsWith(':') || spec.length < 2)) return undefined
  const [text4 = '', text6] = (slash < 0 ? '' : argument.slice(slash)).split('//')
  const length4 = text4 === '' ? 32 : lengthOf(text4.slice(1), 32)
  const length6 = text6 === undefined ? 128 : lengthOf(text6, 128)
  if (length4 < 0 || length6 < 0 || (text4 !== '' && !text4.startsWith('/'))) return undefined
  return { kind, qualifier, spec: spec.slice(1), length4, length6 }
}

/** Where the prefix lengths begin: behind every macro, whose delimiters may be slashes. */
function slashOf(argument: string): number {
  return argument.indexOf('/', Math.max(0, argument.lastIndexOf('}')))
}

function networkTerm(
  kind: 'ip4' | 'ip6',
  qualifier: SpfQualifier,
  argument: string,
): SpfTerm | undefined {
  const isFull = argument.startsWith(':') && argument.length > 1
  const [address = '', length, ...more] = argument.slice(1).split('/')
  const isSix = address.includes(':')
  if (!isFull || more.length > 0 || isSix !== (kind === 'ip6')) return undefined
  const bits = kind === 'ip4' ? 32 : 128
  const own = length === undefined ? bits : lengthOf(length, bits)
  return own < 0 ? undefined : { kind, qualifier, network: `${address}/${own}` }
}

/** A prefix length without leading zeros, -1 for anything else. */
function lengthOf(text: string, max: number): number {
  const isNumber = text !== '' && text.length <= 3 && [...text].every(isDigit)
  if (!isNumber || (text.length > 1 && text.startsWith('0'))) return -1
  return Number(text) <= max ? Number(text) : -1
}

/** Fills a domain-spec; undefined for a macro that is none. §7.1. */
export function expandMacros(spec: string, macros: SpfMacros): string | undefined {
  let filled = ''
  for (let at = 0; at < spec.length; at++) {
    if (spec.charAt(at) !== '%') {
      filled += spec.charAt(at)
      continue
    }
    const next = spec.charAt(++at)
    if (next === '%') filled += '%'
    else if (next === '_') filled += ' '
    else if (next === '-') filled += '%20'
    else {
      const end = next === '{' ? spec.indexOf('}', at) : -1
      const value = end < 0 ? undefined : expandMacro(spec.slice(at + 1, end), macros)
      if (value === undefined) return undefined
      filled += value
      at = end
    }
  }
  return withinNameLength(filled)
}

/** `ir`, `d2`, `l1r-`: a letter, how many parts from the right, reversed, the delimiters. */
function expandMacro(text: string, macros: SpfMacros): string | undefined {
  const letter = text.charAt(0).toLowerCase()
  const value = macroValue(letter, macros)
  if (value === undefined) return undefined
  let at = 1
  while (isDigit(text.charAt(at))) at++
  const count = at === 1 ? 0 : Number(text.slice(1, at))
  if (at > 1 && (count === 0 || at > 4)) return undefined
  const isReversed = text.charAt(at).toLowerCase() === 'r'
  const delimiters = text.slice(isReversed ? at + 1 : at) || '.'
  if (![...delimiters].every((character) => '.-+,/_='.includes(character))) return undefined
  const parts = partsOf(value, delimiters)
  const ordered = isReversed ? parts.toReversed() : parts
  return (count === 0 ? ordered : ordered.slice(-count)).join('.')
}

function macroValue(letter: string, macros: SpfMacros): string | undefined {
  const { sender, address, helo, domain } = macros
  const at = sender.lastIndexOf('@')
  switch (letter) {
    case 's':
      return sender
    case 'l':
      return sender.slice(0, Math.max(0, at))
    case 'o':
      return sender.slice(at + 1)
    case 'd':
      return domain
    case 'i':
      return dottedForm(address)
    case 'v':
      return address.includes(':') ? 'ip6' : 'in-addr'
    case 'h':
      return helo
    case 'p':
      // §5.5, §7.3: not to be used; `unknown` is what a receiver that does not look it up writes.
      return 'unknown'
    default:
      return undefined
  }
}

/** IPv6 as 32 nibbles with dots between, IPv4 as it is. §7.3. */
function dottedForm(address: string): string {
  if (!address.includes(':')) return address
  const nibbles = ipv6Groups(address).map((group) => group.toString(16).padStart(4, '0'))
  return [...nibbles.join('')].join('.')
}

function partsOf(value: string, delimiters: string): readonly string[] {
  const parts: string[] = ['']
  for (const character of value) {
    if (delimiters.includes(character)) parts.push('')
    else parts[parts.length - 1] += character
  }
  return parts
}

/** §7.3: a name of more than 253 octets loses labels from the left. */
function withinNameLength(name: string): string {
  let rest = name
  while (rest.length > 253 && rest.includes('.')) rest = rest.slice(rest.indexOf('.') + 1)
  return rest
}

function isDigit(character: string): boolean {
  return character !== '' && character >= '0' && character <= '9'
}

function isLetterOrDigit(character: string): boolean {
  return (character >= 'a' && character <= 'z') || isDigit(character)
}
