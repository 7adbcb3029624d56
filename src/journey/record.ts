/**
 * The verdict record: exactly one per transaction and one per connection refused before its first.
 * The keys are those of the log; src/log/ turns them into json, logfmt and postfix lines.
 */
import type { Layer } from '../checks/finding.ts'

/** What was done. */
export type Action = 'pass' | 'refuse' | 'tempfail' | 'observe' | 'reset' | 'drop' | 'tarpit'

/** Did the mailhost take the message? Also where something was observed that is not acted on. */
export function isDelivered({ action, mailhostReply }: VerdictRecord): boolean {
  return (action === 'pass' || action === 'observe') && mailhostReply.startsWith('2')
}

/** One verdict. Peer octets stand as received; the log escapes and cuts them. */
export interface VerdictRecord {
  readonly time: number
  readonly id: string
  readonly client: string
  readonly port: number
  readonly helo: string
  readonly sender: string
  readonly recipients: readonly string[]
  readonly recipientsRefused: readonly string[]
  readonly layer: Layer
  /** Name of the deciding finding, '' for a plain pass. */
  readonly finding: string
  readonly action: Action
  /** The reply that the client got. */
  readonly reply: string
  readonly evidence: readonly string[]
  readonly mailhostReply: string
  readonly octets: number
  /** Duration of the transaction. */
  readonly ms: number
  readonly tls: string
  /** As in Received:: SMTP, ESMTP or ESMTPS; '' or absent before HELO. */
  readonly protocol?: string
}
