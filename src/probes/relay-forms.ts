/**
 * Relay forms: the transactions that the relay probe offers.
 *
 * The recipient is always an address of our own, tagged with the target, so that an accident comes
 * back to us and names its origin. The first form is plain foreign to foreign; the others are ways
 * in which mailers have been talked into relaying since the nineties. Pure.
 */
import type { RelayForm } from './settings.ts'
import type { ProbeQuestion } from './smtp-probe.ts'

/** What the forms are made of. */
export interface RelayParts {
  readonly sender: string
  /** `local@domain`, ours. */
  readonly recipient: string
  /** The target's name, or its address literal. */
  readonly targetName: string
  readonly address: string
}

/** The questions of the forms, in the order of the setting. */
export function relayQuestions(
  forms: readonly RelayForm[],
  parts: RelayParts,
): readonly ProbeQuestion[] {
  const at = parts.recipient.lastIndexOf('@')
  const tag = parts.address.replaceAll(':', '-').replaceAll('.', '-')
  const local = `${parts.recipient.slice(0, at)}+${tag}`
  const domain = parts.recipient.slice(at + 1)
  return forms.map((name) => ({
    name,
    sender: senderOf(name, parts),
    recipient: recipientOf(name, local, domain, parts.targetName),
  }))
}

/** The address literal of RFC 5321 §4.1.3. */
export function addressLiteral(address: string): string {
  return address.includes(':') ? `[IPv6:${address}]` : `[${address}]`
}

function senderOf(form: RelayForm, parts: RelayParts): string {
  const local = parts.sender.slice(0, Math.max(0, parts.sender.lastIndexOf('@'))) || 'postmaster'
  switch (form) {
    case 'own-name':
      return `${local}@${parts.targetName}`
    case 'localhost':
      return `${local}@localhost`
    case 'no-domain':
      return local
    case 'null':
      return ''
    case 'literal':
      return `${local}@${addressLiteral(parts.address)}`
    default:
      return parts.sender
  }
}

function recipientOf(form: RelayForm, local: string, domain: string, target: string): string {
  switch (form) {
    case 'quoted':
      return `"${local}@${domain}"`
    case 'percent':
      return `${local}%${domain}@${target}`
    case 'bang':
      return `${domain}!${local}`
    case 'route':
      return `@${target}:${local}@${domain}`
    default:
      return `${local}@${domain}`
  }
}
