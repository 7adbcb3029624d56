/**
 * Addresses of the envelope: the strict grammar of RFC 5321 §4.1.2 and §4.1.3.
 *
 * Stands between a MAIL or RCPT line and everything that reads an address afterwards: what passes
 * here has one at-sign outside quotes, no control octet and a length within §4.5.3.1, so it can be
 * sent to another host as it stands. A source route is recognised and left out (§3.3, appendix C).
 * It decides nothing about whose the domain is.
 *
 *   Reverse-path = Path / "<>"          Path    = "<" [ A-d-l ":" ] Mailbox ">"
 *   A-d-l        = At-domain *( "," At-domain )         Mailbox = Local-part "@" ( Domain / literal
 *   ) Local-part   = Dot-string / Quoted-string           sub-domain = Let-dig [ Ldh-str ]
 */
import {
  domainOctetsMax,
  labelOctetsMax,
  localPartOctetsMax,
  pathOctetsMax,
} from '../base/limits.ts'
import { isIpLiteral } from './ip-literal.ts'

/** A path that follows the grammar. */
export interface Path {
  /** Local part as written, quotes included; '' for the null path. */
  readonly local: string
  /** Lower case; a literal with its brackets; '' for the null path and for a bare local part. */
  readonly domain: string
  /** `local@domain` as written, without source route; what may be sent on between brackets. */
  readonly mailbox: string
  readonly hasSourceRoute: boolean
  /** An octet above 127 is in it: needs SMTPUTF8 (RFC 6531). */
  readonly isUtf8: boolean
  /** Index behind ">". */
  readonly end: number
}

/**
 * Reads a path of `text` at `start`. A mailbox without "@" is taken where `isBareAllowed`
 * (`<Postmaster>`, §4.1.1.3).
 * @returns undefined when the grammar or a length is broken.
 */
export function parsePath(text: string, start: number, isBareAllowed: boolean): Path | undefined {
  if (text.charCodeAt(start) !== lessThan) return undefined
  let at = start + 1
  if (text.charCodeAt(at) === greaterThan) return nullPath(at + 1)
  const hasSourceRoute = text.charCodeAt(at) === atSign
  if (hasSourceRoute) at = endOfSourceRoute(text, at)
  if (at < 0) return undefined
  const localEnd = endOfLocalPart(text, at)
  if (localEnd <= at || localEnd - at > localPartOctetsMax) return undefined
  const local = text.slice(at, localEnd)
  const isBare = text.charCodeAt(localEnd) === greaterThan
  if (isBare && !isBareAllowed) return undefined
  const end = isBare ? localEnd : endOfDomain(text, localEnd)
  if (end < 0 || text.charCodeAt(end) !== greaterThan || end - at > pathOctetsMax) return undefined
  const domain = isBare ? '' : asciiLowerCase(text.slice(localEnd + 1, end))
  const mailbox = text.slice(at, end)
  const isUtf8 = hasHighOctet(mailbox)
  if (isUtf8 && !isValidUtf8(mailbox)) return undefined
  return { local, domain, mailbox, hasSourceRoute, isUtf8, end: end + 1 }
}

/**
 * Does a local part ask somebody behind us to route on: percent, bang, a second at-sign, a source
 * route or a list, quoted or not? RFC 5321 §3.3 names them; every open-relay test tries them.
 */
export function isRoutingLocalPart(local: string): boolean {
  for (let i = 0; i < local.length; i++) {
    const octet = local.charCodeAt(i)
    if (octet === percent || octet === bang || octet === atSign) return true
    if (octet === colon || octet === comma || octet === backslash) return true
  }
  return false
}

/** Does a text that is no path hold what relay attempts are made of? Then the refusal says so. */
export function looksLikeRelayForm(text: string): boolean {
  let atSigns = 0
  for (let i = 0; i < text.length; i++) {
    const octet = text.charCodeAt(i)
    if (octet === atSign) atSigns++
    if (octet <= space || octet === delete_ || octet === quote) return true
  }
  const at = text.lastIndexOf('@')
  const domain = text.slice(at + 1)
  const isRouted = domain.includes('%') || domain.includes('!')
  return atSigns > 1 || isRouted || isRoutingLocalPart(text.slice(0, at))
}

const space = 0x20
const bang = 0x21
const quote = 0x22
const percent = 0x25
const comma = 0x2c
const hyphen = 0x2d
const dot = 0x2e
const colon = 0x3a
const lessThan = 0x3c
const greaterThan = 0x3e
const atSign = 0x40
const bracketOpen = 0x5b
const backslash = 0x5c
const delete_ = 0x7f

/** atext of RFC 5322 §3.2.3, and octets above 127 (RFC 6531 §3.3). */
const isAtext = octetSet("!#$%&'*+-/=?^_`{|}~0123456789")
/** Let-dig, and octets above 127 for U-labels. */
const isLetterDigit = octetSet('0123456789')

/** Letters, `others`, and octets above 127. */
function octetSet(others: string): Uint8Array {
  const set = new Uint8Array(256)
  for (let i = 0; i < others.length; i++) set[others.charCodeAt(i)] = 1
  for (let letter = 0x41; letter <= 0x5a; letter++) {
    set[letter] = 1
    set[letter + 0x20] = 1
  }
  return set.fill(1, 128)
}

function nullPath(end: number): Path {
  return { local: '', domain: '', mailbox: '', hasSourceRoute: false, isUtf8: false, end }
}

/** At "@": the index behind the ":" of a source route, −1 when it is none. */
function endOfSourceRoute(text: string, start: number): number {
  let at = start
  while (text.charCodeAt(at) === atSign) {
    at = endOfDomain(text, at)
    if (at < 0) return -1
    const next = text.charCodeAt(at)
    if (next === colon) return at + 1
    if (next !== comma) return -1
    at++
  }
  return -1
}

/** The index behind a Dot-string or Quoted-string, −1 when it is none. */
function endOfLocalPart(text: string, start: number): number {
  if (text.charCodeAt(start) === quote) return endOfQuotedString(text, start + 1)
  let at = start
  let atomStart = start
  for (; at < text.length; at++) {
    const octet = text.charCodeAt(at)
    if (octet === dot) {
      if (at === atomStart) return -1
      atomStart = at + 1
    } else if (isAtext[octet] !== 1) break
  }
  return at === atomStart ? -1 : at
}

// Quoted-string = DQUOTE *( %d32-33 / %d35-91 / %d93-126 / "\" %d32-126 ) DQUOTE
function endOfQuotedString(text: string, start: number): number {
  for (let at = start; at < text.length; at++) {
    const octet = text.charCodeAt(at)
    if (octet === quote) return at + 1
    if (octet < space || octet === delete_) return -1
    if (octet !== backslash) continue
    const escaped = text.charCodeAt(++at)
    if (!(escaped >= space && escaped < delete_)) return -1
  }
  return -1
}

/** At "@": the index behind the domain or literal, −1 when it is none. */
function endOfDomain(text: string, start: number): number {
  if (text.charCodeAt(start) !== atSign) return -1
  const at = start + 1
  if (text.charCodeAt(at) === bracketOpen) {
    const close = text.indexOf(']', at)
    return close > 0 && isIpLiteral(text.slice(at, close + 1)) ? close + 1 : -1
  }
  const end = endOfDomainName(text, at)
  return end - at > domainOctetsMax ? -1 : end
}

/** The index behind the domain name at `start`, −1 when it is none. */
function endOfDomainName(text: string, start: number): number {
  let at = start
  let labelStart = start
  for (; at < text.length; at++) {
    const octet = text.charCodeAt(at)
    if (isLetterDigit[octet] === 1) continue
    if (octet === hyphen && at > labelStart) continue
    if (octet !== dot || !isLabel(text, labelStart, at)) break
    labelStart = at + 1
  }
  return isLabel(text, labelStart, at) ? at : -1
}

function isLabel(text: string, start: number, end: number): boolean {
  const octets = end - start
  return octets > 0 && octets <= labelOctetsMax && text.charCodeAt(end - 1) !== hyphen
}

function hasHighOctet(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > delete_) return true
  return false
}

/** Lower case of ASCII letters alone: octets above 127 are parts of UTF-8 sequences. */
function asciiLowerCase(text: string): string {
  for (let i = 0; i < text.length; i++) {
    const octet = text.charCodeAt(i)
    if (octet < 0x41 || octet > 0x5a) continue
    return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
  }
  return text
}

/** Is the text, one octet a code unit, well-formed UTF-8 (RFC 3629 §4)? */
function isValidUtf8(text: string): boolean {
  for (let i = 0; i < text.length; ) {
    const lead = text.charCodeAt(i)
    const length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
    if (length === 0 || lead > 0xf4) return false
    for (let k = 1; k < length; k++) {
      const next = text.charCodeAt(i + k)
      if (!(next >= lowestSecond(lead, k) && next <= highestSecond(lead, k))) return false
    }
    i += length
  }
  return true
}

/** Bounds of octet k of a sequence: the second shuts out overlong forms and surrogates. */
function lowestSecond(lead: number, k: number): number {
  if (k > 1) return 0x80
  return lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80
}

function highestSecond(lead: number, k: number): number {
  if (k > 1) return 0xbf
  return lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf
}
