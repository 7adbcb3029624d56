/**
 * Client identity: the lines that tell the mailhost who the client is.
 *
 * XFORWARD and XCLIENT as Postfix defines them (XFORWARD_README, XCLIENT_README; values in the
 * xtext of RFC 3461 §4), the PROXY header version 1 (proxy-protocol.txt §2.1). Only attributes that
 * the mailhost names in its EHLO reply are sent.
 */
import { identityValueOctetsMax } from '../base/limits.ts'

/** Who the client is. Texts are octets of the peer; they are encoded here. */
export interface Identity {
  readonly address: string
  readonly port: number
  readonly localAddress: string
  readonly localPort: number
  readonly helo: string
  /** SMTP, ESMTP, ESMTPS. */
  readonly protocol: string
}

/** `XFORWARD …` or `XCLIENT …` with CRLF, '' when the mailhost names no attribute of ours. */
export function identityCommand(
  verb: 'XFORWARD' | 'XCLIENT',
  attributes: readonly string[],
  identity: Identity,
): string {
  let line = verb
  for (const attribute of attributes) {
    const value = attributeValue(verb, attribute, identity)
    if (value !== undefined) line += ` ${attribute}=${value}`
  }
  return line === verb ? '' : `${line}\r\n`
}

/**
 * `PROXY TCP4 …` with CRLF. Without a client, when only EHLO is asked, the mailhost stands at both
 * ends: `PROXY UNKNOWN`, which means that, is refused by Postfix (3.7: "bad or missing protocol
 * type").
 */
export function proxyHeader(
  identity: Identity | undefined,
  mailhost: { readonly address: string; readonly port: number },
): string {
  const { address, localAddress, port, localPort } = identity ?? {
    ...mailhost,
    localAddress: mailhost.address,
    localPort: mailhost.port,
  }
  const isIpv6 = address.includes(':')
  if (isIpv6 !== localAddress.includes(':')) return 'PROXY UNKNOWN\r\n'
  const family = isIpv6 ? 'TCP6' : 'TCP4'
  return `PROXY ${family} ${address} ${localAddress} ${port} ${localPort}\r\n`
}

function attributeValue(verb: string, attribute: string, identity: Identity): string | undefined {
  switch (attribute) {
    case 'ADDR':
      return identity.address.includes(':') ? `IPV6:${identity.address}` : identity.address
    case 'PORT':
      return String(identity.port)
    case 'NAME':
      return '[UNAVAILABLE]'
    case 'PROTO':
      return xclientProtocol(verb, identity.protocol)
    case 'HELO':
      return xtext(identity.helo)
    case 'SOURCE':
      return 'REMOTE'
    default:
      return undefined
  }
}

// XCLIENT knows SMTP and ESMTP only; XFORWARD takes any word.
function xclientProtocol(verb: string, protocol: string): string {
  if (verb === 'XFORWARD') return xtext(protocol)
  return protocol.startsWith('E') || protocol.startsWith('U') ? 'ESMTP' : 'SMTP'
}

// RFC 3461 §4: xtext = *( xchar / hexchar ), xchar = %d33-42 / %d44-60 / %d62-126
function xtext(text: string): string {
  if (text === '') return '[UNAVAILABLE]'
  if (text.length <= identityValueOctetsMax && isPlain(text)) return text
  let encoded = ''
  for (let at = 0; at < text.length && encoded.length < identityValueOctetsMax; at++) {
    const unit = text.charCodeAt(at) & 0xff
    encoded += isXchar(unit) ? String.fromCharCode(unit) : hexchar(unit)
  }
  return encoded
}

function isPlain(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (!isXchar(text.charCodeAt(at))) return false
  return true
}

function isXchar(unit: number): boolean {
  return unit >= 33 && unit <= 126 && unit !== 0x2b && unit !== 0x3d
}

function hexchar(unit: number): string {
  return `+${unit.toString(16).toUpperCase().padStart(2, '0')}`
}
