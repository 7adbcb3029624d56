/**
 * Parameters of MAIL and RCPT. RFC 5321 §4.1.2, RFC 1870, 6152, 6531, 3461.
 *
 *   esmtp-param = esmtp-keyword [ "=" esmtp-value ]
 *   esmtp-keyword = ( ALPHA / DIGIT ) *( ALPHA / DIGIT / "-" )
 *   esmtp-value = 1*( %d33-60 / %d62-126 )
 *
 * Only what the mailhosts offer is taken; the text that goes on to them is made anew from what was
 * understood, never copied.
 */
import { envelopeIdOctetsMax, originalRecipientOctetsMax, sizeDigitsMax } from '../base/limits.ts'

/** Why parameters are refused: broken grammar, or a parameter that is not offered. */
export type ParameterFault = 'syntax' | 'unknown' | 'size-syntax'

/** What MAIL's parameters said. */
export interface MailParameters {
  readonly fault: ParameterFault | undefined
  /** SIZE, 0 when not stated; more than 2^53 as the nearest double. */
  readonly sizeOctets: number
  readonly isUtf8: boolean
  /** To be sent on, with a leading space, or ''. */
  readonly text: string
}

/** What RCPT's parameters said. */
export interface RecipientParameters {
  readonly fault: ParameterFault | undefined
  readonly text: string
}

const noMailParameters: MailParameters = {
  fault: undefined,
  sizeOctets: 0,
  isUtf8: false,
  text: '',
}
const noRecipientParameters: RecipientParameters = { fault: undefined, text: '' }

/** Reads what stands behind MAIL's path. `offered`: EHLO keywords, empty after HELO. */
export function parseMailParameters(text: string, offered: ReadonlySet<string>): MailParameters {
  if (text === '') return noMailParameters
  const parameters = split(text)
  if (parameters === undefined) return { ...noMailParameters, fault: 'syntax' }
  let sizeOctets = 0
  let isUtf8 = false
  let output = ''
  for (const [keyword, value] of parameters) {
    const fault = mailParameterFault(keyword, value, offered)
    if (fault !== undefined) return { ...noMailParameters, fault }
    if (keyword === 'SIZE') sizeOctets = Number(value)
    if (keyword === 'SMTPUTF8') isUtf8 = true
    output += value === '' ? ` ${keyword}` : ` ${keyword}=${value}`
  }
  return { fault: undefined, sizeOctets, isUtf8, text: output }
}

/** Reads what stands behind RCPT's path. */
export function parseRecipientParameters(
  text: string,
  offered: ReadonlySet<string>,
): RecipientParameters {
  if (text === '') return noRecipientParameters
  const parameters = split(text)
  if (parameters === undefined) return { fault: 'syntax', text: '' }
  let output = ''
  for (const [keyword, value] of parameters) {
    const fault = recipientParameterFault(keyword, value, offered)
    if (fault !== undefined) return { fault, text: '' }
    output += ` ${keyword}=${value}`
  }
  return { fault: undefined, text: output }
}

function mailParameterFault(
  keyword: string,
  value: string,
  offered: ReadonlySet<string>,
): ParameterFault | undefined {
  switch (keyword) {
    case 'SIZE':
      if (!offered.has('SIZE')) return 'unknown'
      return isDigits(value) && value.length <= sizeDigitsMax ? undefined : 'size-syntax'
    case 'BODY':
      if (!offered.has('8BITMIME')) return 'unknown'
      // RFC 3030 §3: BINARYMIME is an extension of its own, which is not offered.
      if (value.toUpperCase() === 'BINARYMIME') return 'unknown'
      return isOneOf(value, ['7BIT', '8BITMIME']) ? undefined : 'syntax'
    case 'SMTPUTF8':
      if (!offered.has('SMTPUTF8')) return 'unknown'
      return value === '' ? undefined : 'syntax'
    case 'RET':
      if (!offered.has('DSN')) return 'unknown'
      return isOneOf(value, ['FULL', 'HDRS']) ? undefined : 'syntax'
    case 'ENVID':
      if (!offered.has('DSN')) return 'unknown'
      return isXtext(value) && value.length <= envelopeIdOctetsMax ? undefined : 'syntax'
    default:
      return 'unknown'
  }
}

function recipientParameterFault(
  keyword: string,
  value: string,
  offered: ReadonlySet<string>,
): ParameterFault | undefined {
  if (!offered.has('DSN')) return 'unknown'
  if (keyword === 'NOTIFY') return isNotify(value) ? undefined : 'syntax'
  if (keyword !== 'ORCPT') return 'unknown'
  const semicolon = value.indexOf(';')
  const isTyped = semicolon > 0 && isXtext(value.slice(semicolon + 1))
  return isTyped && value.length <= originalRecipientOctetsMax ? undefined : 'syntax'
}

// notify-list = "NEVER" / ( notify-list-element *( "," notify-list-element ) )
function isNotify(value: string): boolean {
  if (value.toUpperCase() === 'NEVER') return true
  const elements = value.toUpperCase().split(',')
  const isKnown = elements.every((element) => isOneOf(element, ['SUCCESS', 'FAILURE', 'DELAY']))
  return isKnown && new Set(elements).size === elements.length
}

/**
 * Keywords in upper case with their values; undefined when the grammar is broken or one is double.
 */
function split(text: string): [string, string][] | undefined {
  if (text.charCodeAt(0) !== 0x20) return undefined
  const parameters: [string, string][] = []
  for (const part of text.slice(1).split(' ')) {
    const equals = part.indexOf('=')
    const keyword = (equals < 0 ? part : part.slice(0, equals)).toUpperCase()
    const value = equals < 0 ? '' : part.slice(equals + 1)
    if (!isKeyword(keyword) || (equals >= 0 && !isValue(value))) return undefined
    if (parameters.some(([earlier]) => earlier === keyword)) return undefined
    parameters.push([keyword, value])
  }
  return parameters
}

function isKeyword(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const octet = text.charCodeAt(i)
    const isLetterDigit = (octet >= 0x30 && octet <= 0x39) || (octet >= 0x41 && octet <= 0x5a)
    if (!isLetterDigit && (octet !== 0x2d || i === 0)) return false
  }
  return text !== ''
}

function isValue(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const octet = text.charCodeAt(i)
    if (octet < 0x21 || octet > 0x7e || octet === 0x3d) return false
  }
  return text !== ''
}

// xtext = *( xchar / "+" 2HEX ), RFC 3461 §4; upper-case digits.
function isXtext(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) !== 0x2b) continue
    if (!isHexDigit(text.charCodeAt(i + 1)) || !isHexDigit(text.charCodeAt(i + 2))) return false
    i += 2
  }
  return text !== ''
}

function isHexDigit(octet: number): boolean {
  return (octet >= 0x30 && octet <= 0x39) || (octet >= 0x41 && octet <= 0x46)
}

function isDigits(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const octet = text.charCodeAt(i)
    if (octet < 0x30 || octet > 0x39) return false
  }
  return text !== ''
}

function isOneOf(value: string, words: readonly string[]): boolean {
  return words.includes(value.toUpperCase())
}
