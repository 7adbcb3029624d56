/**
 * The name in HELO and EHLO. RFC 5321 §4.1.1.1: a domain or an address literal.
 *
 * Wider than the RFC in two points, because honest hosts are named so: underscores, and a final
 * dot. Nothing else: the name goes into Received and into the log.
 */
import { domainOctetsMax } from '../base/limits.ts'
import { isIpLiteral } from './ip-literal.ts'

/** May the text stand as a client's name? */
export function isHelloName(text: string): boolean {
  if (text.startsWith('[')) return isIpLiteral(text)
  if (text === '' || text.length > domainOctetsMax) return false
  for (let i = 0; i < text.length; i++) {
    const octet = text.charCodeAt(i)
    const isDigit = octet >= 0x30 && octet <= 0x39
    const letter = octet | 0x20
    const isLetter = letter >= 0x61 && letter <= 0x7a && octet < 0x80
    const isMark = octet === 0x2d || octet === 0x2e || octet === 0x5f
    if (!isDigit && !isLetter && !isMark) return false
  }
  return text !== '.'
}
