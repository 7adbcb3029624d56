/**
 * Our Received field. RFC 5321 §4.4; the protocol words of RFC 3848 and RFC 6531 §4.3.
 */
import { dateTime } from '../smtp/date.ts'
import { idOf } from './conclude.ts'
import type { Session, Transaction } from './session.ts'

/** The field with its CRLF, '' where it is switched off. HELO passed the grammar: safe to write. */
export function receivedField(session: Session, transaction: Transaction): string {
  const { policy } = session.compiled
  if (!policy.addsReceived) return ''
  const { address } = session.client
  const literal = address.includes(':') ? `[IPv6:${address}]` : `[${address}]`
  const id = idOf(session, transaction)
  const protocol = protocolOf(session)
  const spoken = transaction.isUtf8 ? protocol.replace('ESMTP', 'UTF8SMTP') : protocol
  return (
    `Received: from ${session.helo} (${literal})\r\n` +
    `\tby ${policy.name} with ${spoken} id ${id};\r\n` +
    `\t${dateTime(session.ports.records.wallMs())}\r\n`
  )
}

/** How the client speaks: the word of Received and of XFORWARD. */
export function protocolOf(session: Session): string {
  if (!session.isEsmtp) return 'SMTP'
  return session.tls === '' ? 'ESMTP' : 'ESMTPS'
}
